// The threads beside the calling one. They share one memory; assembly/threaded.ts has what they do.
import { BatchNormError, type MaybePromise } from '@batchnorm/core-api';
import { nodeModule } from './features.js';
import type { KernelMemory } from './memory.js';
import type { KernelExports } from './passes.js';

/** What the threaded kernels export; see assembly/threaded.ts. */
export interface CrewExports extends KernelExports {
  lead(crew: number, job: number, operation: number, unit: number, limit: number): number;
  settled(crew: number): number;
  inherit(crew: number, thread: number): void;
}

/** The address of what threads tell each other: the first bytes that no tensor can have. */
const crewAt = 1024;

/** A worker's program, as text: one import of this package is all that anybody needs. */
const program = `
const work = ({ module, memory, crew, thread }) =>
  new WebAssembly.Instance(module, { env: { memory } }).exports.work(crew, thread);
if (typeof process === 'object' && process.getBuiltinModule) {
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  parentPort.postMessage('ready');
  work(workerData);
} else {
  onmessage = ({ data }) => {
    postMessage('ready');
    work(data);
  };
}`;

interface Thread {
  /** When it has begun to work; rejects when it can't. */
  readonly ready: Promise<void>;
  /** When it has ended, and why; from then on it writes nothing. */
  readonly ended: Promise<string>;
  terminate(): MaybePromise<unknown>;
}

interface Task {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly crew: number;
  /** From 1 on. */
  readonly thread: number;
}

/**
 * A worker that dies costs nothing but its help: what it had taken is done again by the calling thread, which is why no task may
 * write over its own input.
 */
export class Crew {
  readonly #exports: CrewExports;
  readonly #threads: readonly Thread[];
  /** Numbers of threads that have ended, and whose tasks nobody has inherited. */
  readonly #dead = new Set<number>();
  #current: Promise<void> | undefined;
  #disposed = false;

  private constructor(exports: CrewExports, threads: readonly Thread[]) {
    this.#exports = exports;
    this.#threads = threads;
    for (const [n, { ended }] of threads.entries()) void ended.then(() => this.#dead.add(n + 1));
  }

  /** Starts `workers` threads. Rejects with the reason when they can't be had, and leaves none behind. */
  static async start(
    exports: CrewExports,
    module: WebAssembly.Module,
    { memory }: KernelMemory,
    workers: number,
  ): Promise<Crew> {
    const threads: Thread[] = [];
    try {
      for (let n = 1; n <= workers; n++) threads.push(startThread({ module, memory, crew: crewAt, thread: n }));
      await Promise.all(threads.map(({ ready }) => ready));
      return new Crew(exports, threads);
    } catch (error) {
      for (const thread of threads) await thread.terminate();
      throw error;
    }
  }

  /** Into how many tasks a call is cut: a thread that comes late must not be waited for long. */
  get tasks(): number {
    return 2 * (this.#threads.length + 1);
  }

  /**
   * Performs `operation` over [0, limit), `unit` by `unit`, here and on the other threads: all of it, once it has begun. Errors:
   * `DISPOSED`, and nothing has begun.
   */
  share(job: number, operation: number, unit: number, limit: number): MaybePromise<void> {
    if (this.#disposed) {
      throw new BatchNormError(
        'DISPOSED',
        "received dispose() of backend 'wasm' during a call, expected it after the call",
      );
    }
    // Somebody waits for the threads already: what this thread does alone has the same bits.
    if (this.#current !== undefined) this.#exports.perform(job, operation, 0, limit);
    else if (this.#exports.lead(crewAt, job, operation, unit, limit) === 0) {
      this.#current = this.#wait();
      return this.#current;
    }
  }

  /** When what has begun is done. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#current;
    await Promise.all(this.#threads.map((thread) => thread.terminate()));
  }

  /** Lets others run, among them whoever reports that a thread has ended. */
  async #wait(): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve));
      for (const thread of this.#dead) this.#exports.inherit(crewAt, thread);
      this.#dead.clear();
    } while (this.#exports.settled(crewAt) === 0);
    this.#current = undefined;
  }
}

interface NodeWorkers {
  readonly Worker: new (
    program: string,
    options: object,
  ) => {
    once(event: string, listener: (value: unknown) => void): void;
    unref(): void;
    terminate(): Promise<unknown>;
  };
}

function startThread(task: Task): Thread {
  const workers = nodeModule<NodeWorkers>('node:worker_threads');
  return workers ? startInNode(workers, task) : startInPage(task);
}

function startInNode({ Worker }: NodeWorkers, task: Task): Thread {
  const worker = new Worker(program, { eval: true, workerData: task, execArgv: [], name: 'batchnorm' });
  const ended = new Promise<string>((resolve) => {
    worker.once('error', (error) => resolve(String(error)));
    worker.once('exit', (code) => resolve(`exit code ${code}`));
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    ended.then((reason) => reject(new Error(reason)));
  });
  // It must not keep the process alive, but whoever awaits it here must.
  ready.then(
    () => worker.unref(),
    () => undefined,
  );
  return { ready, ended, terminate: () => worker.terminate() };
}

function startInPage(task: Task): Thread {
  const url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'batchnorm' });
  const ended = new Promise<string>((resolve) => {
    worker.onerror = ({ message }) => resolve(message ?? 'its program did not start');
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    ended.then((reason) => reject(new Error(reason)));
  }).finally(() => URL.revokeObjectURL(url));
  worker.postMessage(task);
  return { ready, ended, terminate: () => worker.terminate() };
}
