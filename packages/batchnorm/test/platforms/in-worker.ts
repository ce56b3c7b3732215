// The probe in a worker of the page, or in its service worker, which answers when it is asked.
import { probe } from './probe.js';

const newWorker = () => new Worker('/threads.js', { type: 'module' });

addEventListener('message', async (event) => {
  const [port] = event.ports;
  port!.postMessage(await probe(newWorker).catch((error: unknown) => String(error)));
});
