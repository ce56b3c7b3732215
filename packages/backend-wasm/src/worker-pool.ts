// The threads that help the calling one: all run assembly/worker-pool.ts on one memory, where they find what to do.
import { BatchNormError, type MaybePromise } from '@batchnorm/core-api';
import type { PoolExports } from './abi/exports.js';
import { type NewWorker, startThread, type WorkerThread } from './worker-thread.js';

/** How many milliseconds a synchronous call waits for a thread that has taken a task, which takes it one or two. */
const longestWait = 5000;
/** How many milliseconds threads may take to start: tens in Node; in a page a slow network may bring their program. */
const longestStart = 10_000;

/**
 * A worker that dies costs nothing but its help: the calling thread does its task again, which is why no task may write
 * over its own input.
 */
export class WorkerPool {
  readonly #exports: PoolExports;
  readonly #threads: readonly WorkerThread[];
  /** Numbers of threads that have ended, and whose tasks have not been done again. */
  readonly #ended = new Set<number>();
  /** The call that the calling thread waits for, if any. */
  #current: Promise<void> | undefined;
  /** Why no call may use the threads any more. */
  #refusal: BatchNormError | undefined;
  #isSynchronous = false;

  private constructor(exports: PoolExports, threads: readonly WorkerThread[]) {
    this.#exports = exports;
    this.#threads = threads;
    for (const [n, { ended }] of threads.entries()) void ended.then(() => this.#ended.add(n + 1));
  }

  /** Starts `workers` threads. Rejects with the reason when one of them does not start in time, and leaves none. */
  static async start(
    exports: PoolExports,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    workers: number,
    newWorker?: NewWorker,
  ): Promise<WorkerPool> {
    const threads: WorkerThread[] = [];
    try {
      for (let thread = 1; thread <= workers; thread++) {
        threads.push(startThread({ module, memory, thread }, newWorker));
      }
      await allReady(threads);
      return new WorkerPool(exports, threads);
    } catch (error) {
      await Promise.allSettled(threads.map(async (thread) => thread.terminate()));
      throw error;
    }
  }

  /** Tasks of a call, two for each thread: worth taking, and short to wait for when a thread is late. */
  get tasks(): number {
    return 2 * (this.#threads.length + 1);
  }

  /** Errors: `DISPOSED`; `DEVICE_LOST` after a call that a thread did not answer. */
  assertUsable(): void {
    if (this.#refusal) throw this.#refusal;
  }

  /**
   * Performs `code` over [0, limit) in tasks of `grain`, on all threads; all of it, once it has begun. Errors:
   * `DISPOSED`, `DEVICE_LOST`, and nothing has begun.
   */
  parallelFor(job: number, code: number, grain: number, limit: number): MaybePromise<void> {
    this.assertUsable();
    // The threads are still busy with another call: this thread does all of it, with the same bits.
    if (this.#current !== undefined) this.#exports.perform(job, code, 0, limit);
    else if (this.#exports.dispatch(job, code, grain, limit) === 0) {
      if (this.#isSynchronous) return this.#waitAwake();
      this.#current = this.#wait();
      return this.#current;
    }
  }

  /**
   * Calls `work`, in which this thread stays awake until all tasks of a call are done. It does not hear of a thread that
   * has ended then, so that it stops waiting after a while. Errors: `DEVICE_LOST`, and from then on of every call, because
   * the thread may still write.
   */
  synchronously(work: () => void): void {
    const before = this.#isSynchronous;
    this.#isSynchronous = true;
    try {
      work();
    } finally {
      this.#isSynchronous = before;
    }
  }

  /** Ends the threads, after the call that has begun. */
  async dispose(): Promise<void> {
    this.#refusal ??= new BatchNormError(
      'DISPOSED',
      "received dispose() of backend 'wasm' during a call, expected it after the call",
    );
    await this.#current;
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  #waitAwake(): void {
    const end = performance.now() + longestWait;
    while (this.#exports.isDone() === 0) {
      if (performance.now() < end) continue;
      this.#refusal = new BatchNormError(
        'DEVICE_LOST',
        `received no answer from a thread within ${longestWait} ms, expected one: it has died, or does not get a processor`,
      );
      throw this.#refusal;
    }
  }

  /** Lets the event loop run until all tasks are done: it is there that one hears of a thread that has ended. */
  async #wait(): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve));
      for (const thread of this.#ended) this.#exports.redo(thread);
      this.#ended.clear();
    } while (this.#exports.isDone() === 0);
    this.#current = undefined;
  }
}

/** Rejects with the reason when one of them does not start, or says nothing for too long. */
async function allReady(threads: readonly WorkerThread[]): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const reason = `no answer of a worker within ${longestStart} ms`;
    timer = setTimeout(() => reject(new Error(reason)), longestStart);
  });
  try {
    await Promise.race([late, Promise.all(threads.map(({ ready }) => ready))]);
  } finally {
    clearTimeout(timer);
  }
}
