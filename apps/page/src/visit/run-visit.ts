// Conducts a visit so that there is an answer soon, which then becomes better: the shape that the visitor asks about is
// timed first, and the backends that may be recommended for it are checked; then come the other shapes. What goes wrong on
// one backend is noted, and the others go on.
import type { BackendName } from '../backends.js';
import { Race } from '../bench/race.js';
import { isHopeless, nextToCheck } from '../recommend/recommend.js';
import { type Shape, sameShape } from '../shape.js';
import type { BackendFindings } from './visit.js';
import type { VisitStore } from './visit-store.js';
import { WorkerClient } from './worker-client.js';

/** Resolves when everything is measured, or when `signal` aborts. */
export async function runVisit(store: VisitStore, signal: AbortSignal): Promise<void> {
  const { settings } = store.value;
  store.reset(settings, 'running');
  try {
    if (settings.shapes.length === 0) {
      await probeAll(store, signal);
      await checkThoseInQuestion(store, signal);
    }
    let waiting = settings.shapes;
    while (waiting.length > 0) {
      const { shape: asked } = store.value.choice;
      const shape = waiting.find((one) => asked && sameShape(one, asked)) ?? waiting[0]!;
      waiting = waiting.filter((one) => one !== shape);
      await time(store, shape, settings.shapes.length - waiting.length - 1, signal);
      await checkThoseInQuestion(store, signal);
    }
    store.end('done');
  } catch (error) {
    store.end('stopped');
    if (!signal.aborted) throw error;
  }
}

/** Each backend once as soon as it is known to work, so that there is an answer; then rounds. */
async function time(store: VisitStore, shape: Shape, index: number, signal: AbortSignal): Promise<void> {
  const race = new Race(store, shape, index, signal);
  try {
    for (const name of store.value.settings.backends) {
      if (isUntried(findingsOf(store, name))) await probe(store, name, signal);
      const enters = mayRun(findingsOf(store, name)) && !isHopeless(store.value, name, shape);
      await race.enter(name, enters);
    }
    await race.run();
  } finally {
    race.end();
  }
}

async function checkThoseInQuestion(store: VisitStore, signal: AbortSignal): Promise<void> {
  for (let name = nextToCheck(store.value); name !== undefined; name = nextToCheck(store.value)) {
    await check(store, name, signal);
  }
}

async function probeAll(store: VisitStore, signal: AbortSignal): Promise<void> {
  const { backends } = store.value.settings;
  for (const [done, name] of backends.entries()) {
    store.progress({ stage: 'availability', on: name, done, total: backends.length });
    await probe(store, name, signal);
  }
}

const findingsOf = (store: VisitStore, name: BackendName): BackendFindings =>
  store.value.backends.find((one) => one.name === name)!;

const isUntried = ({ available, troubles }: BackendFindings) => available === null && troubles.length === 0;

/** What hung once is not waited for again. */
const mayRun = ({ available, troubles }: BackendFindings) =>
  available !== null && troubles.every(({ code }) => code !== 'HUNG');

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
        store.find(name, () => progress);
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
