// A thread beside the calling one, started in Node or in a page.
import { describe, type MaybePromise } from '@batchnorm/core-api';
import { nodeModule } from './features.js';

export interface WorkerThread {
  /** When it has begun to work; rejects when it can't. */
  readonly ready: Promise<void>;
  /** When it has ended, and why; from then on it writes nothing. */
  readonly ended: Promise<string>;
  terminate(): MaybePromise<unknown>;
}

/** What a thread is started with. */
export interface Assignment {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Its number, from 1 on. */
  readonly thread: number;
}

/** What is used of a page's `Worker`. */
export interface PageWorker {
  /** As of `Worker`. */
  postMessage(message: unknown): void;
  /** As of `Worker`. */
  addEventListener(type: 'message' | 'error', listener: (event: object) => void): void;
  /** As of `Worker`. */
  terminate(): void;
}

/** Makes a worker that runs worker.ts. */
export type NewWorker = () => PageWorker;

/** The program of worker.ts and that of Node, as text: so nobody has to find a file. */
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

/** `newWorker`: for a page. Throws the reason when there can be no thread. */
export function startThread(assignment: Assignment, newWorker?: NewWorker): WorkerThread {
  const workers = nodeModule<NodeWorkers>('node:worker_threads');
  const thread = workers ? startInNode(workers, assignment) : startWithoutNode(assignment, newWorker);
  // Where another thread does not start, nobody waits for this one.
  thread.ready.catch(() => undefined);
  return thread;
}

function startWithoutNode(assignment: Assignment, newWorker: NewWorker | undefined): WorkerThread {
  return newWorker ? startInPage(checkedWorker(newWorker()), assignment) : startOfText(assignment);
}

/** Of a caller's `NewWorker`, which may be an async function, or give something else that is none. */
function checkedWorker(worker: PageWorker): PageWorker {
  const { postMessage, addEventListener, terminate } = Object(worker) as PageWorker;
  const isWorker = [postMessage, addEventListener, terminate].every((method) => typeof method === 'function');
  if (isWorker) return worker;
  endLate(worker);
  throw new Error(`received ${describe(worker)} of the option 'worker', expected a Worker`);
}

/** What an async function promises is refused: nobody else would end that worker, or hear that there is none. */
function endLate(promise: unknown): void {
  Promise.resolve(promise)
    .then((late) => (late as Partial<PageWorker> | null | undefined)?.terminate?.())
    .catch(() => undefined);
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

function startOfText(assignment: Assignment): WorkerThread {
  const url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }));
  const thread = startInPage(new Worker(url, { name: 'batchnorm' }), assignment);
  return { ...thread, ready: thread.ready.finally(() => URL.revokeObjectURL(url)) };
}

/** What a browser does not say of a worker that it could not load. */
const notLoaded =
  "its program was not loaded: a content security policy needs worker-src blob:, or createWasmBackend the option 'worker'";

function startInPage(worker: PageWorker, assignment: Assignment): WorkerThread {
  const ended = new Promise<string>((resolve) => {
    worker.addEventListener('error', (event) => resolve((event as Partial<ErrorEvent>).message || notLoaded));
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.addEventListener('message', (event) => {
      if ((event as Partial<MessageEvent>).data === 'ready') resolve();
    });
    ended.then((reason) => reject(new Error(reason)));
  });
  worker.postMessage(assignment);
  return { ready, ended, terminate: () => worker.terminate() };
}
