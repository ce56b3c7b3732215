// Conducts a visit: what works here, whether it is right, how fast it is. What goes wrong on one backend is noted, and
// the others go on.
import type { BackendName } from '../backends.js';
import { timeBackends } from '../bench/time-backends.js';
import type { VisitStore } from './visit-store.js';
import { WorkerClient } from './worker-client.js';

/** Resolves when everything is measured, or when `signal` aborts. */
export async function runVisit(store: VisitStore, signal: AbortSignal): Promise<void> {
  const { settings } = store.value;
  const { backends, kit, shapes } = settings;
  store.reset(settings, 'running');
  try {
    for (const [done, name] of backends.entries()) {
      store.progress({ stage: 'availability', on: name, done, total: backends.length });
      await probe(store, name, signal);
    }
    const usable = store.value.backends.filter(({ available }) => available !== null).map(({ name }) => name);
    // What hung once is not waited for again.
    const answers = (name: BackendName) =>
      store.value.backends.every((one) => one.name !== name || one.troubles.every(({ code }) => code !== 'HUNG'));
    if (kit) for (const name of usable) await check(store, name, signal);
    for (const shape of shapes) await timeBackends(store, shape, usable.filter(answers), signal);
    store.end('done');
  } catch (error) {
    store.end('stopped');
    if (!signal.aborted) throw error;
  }
}

async function probe(store: VisitStore, name: BackendName, signal: AbortSignal): Promise<void> {
  const worker = new WorkerClient(store.value.settings.patience, signal);
  try {
    const available = await worker.ask('probe', { backend: name });
    store.find(name, () => ({ available }));
  } catch (error) {
    store.trouble(name, 'availability', error);
  } finally {
    worker.terminate();
  }
}

async function check(store: VisitStore, name: BackendName, signal: AbortSignal): Promise<void> {
  const worker = new WorkerClient(store.value.settings.patience, signal);
  let [done, total] = [0, 0];
  const show = () => store.progress({ stage: 'conformance', on: name, done, total });
  show();
  try {
    await worker.ask('kit', { backend: name }, (progress) => {
      if ('plan' in progress) {
        total = progress.plan.length;
        // The same for all: room is made for their cells at once.
        for (const { name, available } of store.value.backends) if (available) store.find(name, () => progress);
      } else {
        done++;
        store.find(name, ({ results }) => ({ results: [...results, progress.result] }));
      }
      show();
    });
    store.find(name, () => ({ kitDone: true }));
  } catch (error) {
    store.trouble(name, 'conformance', error);
  } finally {
    worker.terminate();
  }
}
