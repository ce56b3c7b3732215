// The program of a thread in a page, for a content security policy that allows no worker of text: a module of the page's
// own imports it, and the option `worker` makes a worker of that module. `work` is that of assembly/worker-pool.ts.
import type { Assignment } from './worker-thread.js';

addEventListener('message', (event) => {
  const { module, memory, thread } = event.data as Assignment;
  postMessage('ready');
  const { work } = new WebAssembly.Instance(module, { env: { memory } }).exports;
  (work as (thread: number) => void)(thread);
});
