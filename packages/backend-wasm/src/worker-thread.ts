// A thread beside the calling one, started in Node or in a page.
import type { MaybePromise } from '@batchnorm/core-api';
import { nodeModule } from './features.js';

export interface WorkerThread {
  /** When it has begun to work; rejects when it can't. */
  readonly ready: Promise<void>;
  /** When it has ended, and why; from then on it writes nothing. */
  readonly ended: Promise<string>;
  terminate(): MaybePromise<unknown>;
}

/** What a thread is started with. */
interface Assignment {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Its number, from 1 on. */
  readonly thread: number;
}

/** Its program, as text: so nobody has to find a file. `work` is that of assembly/worker-pool.ts. */
const program = `
const work = ({ module, memory, thread }) =>
  new WebAssembly.Instance(module, { env: { memory } }).exports.work(thread);
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

export function startThread(assignment: Assignment): WorkerThread {
  const workers = nodeModule<NodeWorkers>('node:worker_threads');
  return workers ? startInNode(workers, assignment) : startInPage(assignment);
}

function startInNode({ Worker }: NodeWorkers, assignment: Assignment): WorkerThread {
  const worker = new Worker(program, { eval: true, workerData: assignment, execArgv: [], name: 'batchnorm' });
  const ended = new Promise<string>((resolve) => {
    worker.once('error', (error) => resolve(String(error)));
    worker.once('exit', (code) => resolve(`exit code ${code}`));
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.once('message', () => resolve());
    ended.then((reason) => reject(new Error(reason)));
  });
  // A worker keeps the process alive until it is ready, because somebody waits for that, and no longer.
  ready.then(
    () => worker.unref(),
    () => undefined,
  );
  return { ready, ended, terminate: () => worker.terminate() };
}

function startInPage(assignment: Assignment): WorkerThread {
  const url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }));
  const worker = new Worker(url, { name: 'batchnorm' });
  const ended = new Promise<string>((resolve) => {
    worker.onerror = ({ message }) => resolve(message ?? 'its program did not start');
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    ended.then((reason) => reject(new Error(reason)));
  }).finally(() => URL.revokeObjectURL(url));
  worker.postMessage(assignment);
  return { ready, ended, terminate: () => worker.terminate() };
}
