// Times backends against each other: in every round each of them takes its turn, so that whatever else the device does
// falls on all alike. Each has its own worker, and only one of them works at a time.
import { product } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import { operations } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import type { Shape } from '../shape.js';
import { withRound } from '../visit/visit.js';
import type { VisitStore } from '../visit/visit-store.js';
import { WorkerClient, WorkerFailure } from '../visit/worker-client.js';
import { copyLimit } from './copy-limit.js';

/** Seconds of one sample, at least. */
const sampleTime = 0.03;

/**
 * Every operation on one shape. Rejects with the signal's reason; what fails on a backend is noted, and it drops out.
 */
export async function timeBackends(
  store: VisitStore,
  shape: Shape,
  names: readonly BackendName[],
  signal: AbortSignal,
): Promise<void> {
  const { shapes, rounds, patience } = store.value.settings;
  const copier = new WorkerClient(patience, signal);
  const workers = new Map(names.map((name) => [name, new WorkerClient(patience, signal)]));
  const total = names.length * (1 + rounds * operations.length);
  let done = shapes.indexOf(shape) * total;

  const racers = new Set(names);
  const turn = async (name: BackendName, work: (worker: WorkerClient) => Promise<void>) => {
    store.progress({ stage: 'speed', on: shapeText(shape), done: done++, total: total * shapes.length });
    if (!racers.has(name)) return;
    try {
      await work(workers.get(name)!);
    } catch (error) {
      racers.delete(name);
      store.trouble(name, 'speed', error);
    }
  };

  try {
    for (const name of names) {
      await turn(name, async (worker) => {
        const verified = await worker.ask('open', { backend: name, shape });
        store.find(name, (findings) => ({ verified: { ...findings.verified, [shapeText(shape)]: verified } }));
      });
    }
    for (let round = 0; round < rounds; round++) {
      for (const operation of operations) {
        const copy = await copier.ask('copy', { elements: product(shape), sampleTime }).catch(unknownUnlessAborted);
        for (const name of names) {
          await turn(name, async (worker) => {
            const seconds = await worker.ask('sample', { operation, sampleTime });
            const limit = copyLimit(operation, copy);
            store.find(name, ({ timings }) => ({ timings: withRound(timings, { shape, operation }, seconds, limit) }));
          });
        }
      }
    }
  } finally {
    for (const worker of [copier, ...workers.values()]) worker.terminate();
  }
}

/** Without a copy to hold them against, times are still times. */
function unknownUnlessAborted(error: unknown): number {
  if (!(error instanceof WorkerFailure)) throw error;
  return Number.NaN;
}
