// A child process that answers requests: one line of JSON each way, in order.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** { method, … } goes in; { result } or { error } comes out. */
export class LineProcess {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #pending: Pending[] = [];
  readonly #command: string;
  #stderr = '';
  #ended: Error | undefined;

  constructor(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#command = command;
    this.#child = spawn(command, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
    this.#child.stderr.on('data', (text: Buffer) => {
      this.#stderr = (this.#stderr + text.toString()).slice(-2000);
    });
    this.#child.stdin.on('error', () => {}); // it has ended; 'close' says so
    this.#child.on('error', (error) => this.#end(error));
    this.#child.on('close', (code, signal) => this.#end(new Error(this.#lastWords(code ?? signal))));
    createInterface(this.#child.stdout).on('line', (line) => this.#answer(line));
  }

  /** Rejects with what it answers, or when it has ended. */
  call<Result>(method: string, parameters: object = {}): Promise<Result> {
    if (this.#ended) return Promise.reject(this.#ended);
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve: resolve as (result: unknown) => void, reject });
      this.#child.stdin.write(`${JSON.stringify({ method, ...parameters })}\n`);
    });
  }

  kill(): void {
    this.#child.kill();
  }

  #answer(line: string): void {
    const answer = JSON.parse(line) as { readonly result?: unknown; readonly error?: string };
    const pending = this.#pending.shift();
    if (answer.error === undefined) pending?.resolve(answer.result);
    else pending?.reject(new Error(answer.error));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#pending.splice(0)) reject(this.#ended);
  }

  #lastWords(status: number | string | null): string {
    const words = this.#stderr.trim().split('\n').at(-1) ?? '';
    return `${this.#command} ended (${status})${words === '' ? '' : `: ${words}`}`;
  }
}
