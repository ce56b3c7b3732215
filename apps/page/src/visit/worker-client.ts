// A worker as the page sees it: what it does as promises, and an end to waiting when it hangs or crashes.
import type { ErrorCode } from '@batchnorm/core-api';
import type { FromWorker, ServiceName, Services } from '../messages.js';

/** `HUNG`: no sign of life for as long as the visitor's patience lasts. `CRASHED`: an error that answers no request. */
export type FailureCode = ErrorCode | 'HUNG' | 'CRASHED';

export class WorkerFailure extends Error {
  readonly code: FailureCode | null;

  constructor(code: FailureCode | null, message: string) {
    super(message);
    this.code = code;
  }
}

export class WorkerClient {
  readonly #worker = new Worker(new URL('../worker.ts', import.meta.url), { type: 'module' });
  readonly #patience: number;
  readonly #signal: AbortSignal;
  /** Why it can't answer any more. */
  #failure: WorkerFailure | undefined;

  /** Is terminated when `signal` aborts. `patience`: seconds. */
  constructor(patience: number, signal: AbortSignal) {
    this.#patience = patience;
    this.#signal = signal;
    signal.addEventListener('abort', this.terminate, { once: true });
  }

  /** One request at a time. Errors: `WorkerFailure`, the same ever after if it hung or crashed; the signal's reason. */
  ask<Name extends ServiceName>(
    service: Name,
    request: Services[Name]['request'],
    onProgress: (value: Services[Name]['progress']) => void = () => {},
  ): Promise<Services[Name]['answer']> {
    return new Promise((resolve, reject) => {
      this.#signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      const asked = new AbortController();
      const until = { signal: asked.signal };
      let watchdog: ReturnType<typeof setTimeout>;
      const end = (settle: () => void) => {
        clearTimeout(watchdog);
        asked.abort();
        settle();
      };
      const giveUp = (code: FailureCode, message: string) => {
        this.terminate();
        this.#failure = new WorkerFailure(code, message);
        end(() => reject(this.#failure));
      };
      const watch = () => {
        clearTimeout(watchdog);
        const hung = () => giveUp('HUNG', `no sign of life for ${this.#patience} s`);
        watchdog = setTimeout(hung, this.#patience * 1000);
      };
      const onMessage = ({ data }: MessageEvent<FromWorker<Name>>) => {
        watch();
        if (data.kind === 'progress') onProgress(data.value);
        else if (data.kind === 'done') end(() => resolve(data.value));
        else end(() => reject(new WorkerFailure(data.code, data.message)));
      };
      this.#worker.addEventListener('message', onMessage, until);
      this.#worker.addEventListener('messageerror', () => giveUp('CRASHED', 'sent what cannot be read'), until);
      this.#worker.addEventListener(
        'error',
        (event) => giveUp('CRASHED', event.message || 'could not be loaded'),
        until,
      );
      this.#signal.addEventListener('abort', () => end(() => reject(this.#signal.reason)), until);
      watch();
      this.#worker.postMessage({ service, request });
    });
  }

  readonly terminate = (): void => {
    this.#worker.terminate();
    this.#signal.removeEventListener('abort', this.terminate);
  };
}
