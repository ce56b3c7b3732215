// Contenders in Node, each in a process of its own, because they are not alone in one: when a WebAssembly memory grows,
// or a buffer is transferred to a worker, V8 gives up an assumption about all typed arrays of the process, and loops
// over them get slower.
import { fileURLToPath } from 'node:url';
import type { Sampling } from '../timing/clock.js';
import { LineProcess } from './line-process.js';
import { type Preparation, qualified, type Request, type Runner, unqualified } from './runner.js';

const worker = fileURLToPath(new URL('worker.js', import.meta.url));

export class ChildProcesses implements Runner {
  readonly platform = 'node';
  readonly #arguments: readonly string[];
  readonly #processes: Map<string, LineProcess> = new Map();

  /** `root`: the working tree whose packages are timed, when it is not this one. */
  constructor(root?: string) {
    this.#arguments = root === undefined ? [worker] : [worker, root];
  }

  async prepare(request: Request): Promise<Preparation> {
    const { contender } = request;
    const child = this.#processes.get(contender) ?? new LineProcess(process.execPath, this.#arguments);
    this.#processes.set(contender, child);
    try {
      return qualified(contender, await child.call<Preparation>('prepare', request));
    } catch (error) {
      this.#processes.delete(contender);
      return { failed: (error as Error).message };
    }
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    const [contender, idThere] = unqualified(id);
    return this.#processes.get(contender)!.call('sample', { id: idThere, sampling });
  }

  async release(): Promise<void> {
    for (const child of this.#processes.values()) await child.call('release');
  }

  async close(): Promise<void> {
    for (const child of this.#processes.values()) child.kill();
    this.#processes.clear();
  }
}
