// Times backends against each other on one shape. Each is timed once when it enters, so that there is an answer early.
// After that they take turns, round by round, so that whatever else the device does falls on all alike; those that are
// out of the fastest's reach are spared. Each has a worker of its own, and only one of them works at a time.
import { product } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import { type Operation, operations } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import { inReach, recommend } from '../recommend/recommend.js';
import type { Memory, Shape } from '../shape.js';
import { withRound } from '../visit/visit.js';
import type { VisitStore } from '../visit/visit-store.js';
import { WorkerClient, WorkerFailure } from '../visit/worker-client.js';
import { shapeWords } from '../words.js';
import { copyLimit } from './copy-limit.js';

/** Seconds of one sample, at least. */
const sampleTime = 0.03;

/** Rounds of every backend: from then on it must be in the fastest's reach. */
const leastRounds = 2;

export class Race {
  readonly #store: VisitStore;
  readonly #shape: Shape;
  readonly #signal: AbortSignal;
  readonly #copier: WorkerClient;
  /** Those that are timed. One that fails is out. */
  readonly #racers = new Map<BackendName, WorkerClient>();
  readonly #turns: number;
  #done: number;

  /** `index`: how many shapes have been timed before. Every method rejects with the reason of `signal`. */
  constructor(store: VisitStore, shape: Shape, index: number, signal: AbortSignal) {
    const { backends, rounds, shapes, patience } = store.value.settings;
    this.#store = store;
    this.#shape = shape;
    this.#signal = signal;
    this.#copier = new WorkerClient(patience, signal);
    const turnsOfShape = backends.length * (1 + rounds * operations.length);
    this.#turns = turnsOfShape * shapes.length;
    this.#done = turnsOfShape * index;
  }

  /**
   * Verifies a backend on the numbers that are timed, and times each operation once. `takesPart`: else its turns
   * pass.
   */
  async enter(name: BackendName, takesPart: boolean): Promise<void> {
    await this.#turn(takesPart, name, async () => {
      const worker = new WorkerClient(this.#store.value.settings.patience, this.#signal);
      this.#racers.set(name, worker);
      const verified = await worker.ask('open', { backend: name, shape: this.#shape });
      this.#store.find(name, (findings) => ({
        verified: { ...findings.verified, [shapeText(this.#shape)]: verified },
      }));
    });
    for (const operation of this.#operations()) {
      const copy = this.#racers.has(name) ? await this.#copy() : Number.NaN;
      await this.#turn(this.#racers.has(name), name, () => this.#sample(name, operation, 'host', copy));
    }
  }

  /** The other rounds of those that have entered. */
  async run(): Promise<void> {
    const { backends, rounds } = this.#store.value.settings;
    for (let round = 1; round < rounds; round++) {
      for (const operation of this.#operations()) {
        const copy = await this.#copy();
        const standing = recommend(this.#store.value, this.#shape, operation);
        const leader = standing.ranking[0]?.backend;
        const close = inReach(standing);
        for (const name of backends) {
          const takesPart = this.#racers.has(name) && (round < leastRounds || close.has(name));
          await this.#turn(takesPart, name, async () => {
            await this.#sample(name, operation, 'host', copy);
            if (name === leader) await this.#sample(name, operation, 'allocated', copy);
          });
        }
      }
    }
  }

  end(): void {
    for (const worker of [this.#copier, ...this.#racers.values()]) worker.terminate();
  }

  /** The one that the visitor asks about comes first. */
  #operations(): Operation[] {
    const { operation: asked } = this.#store.value.choice;
    return [asked, ...operations.filter((one) => one !== asked)];
  }

  async #turn(takesPart: boolean, name: BackendName, work: () => Promise<void>): Promise<void> {
    const on = shapeWords(this.#shape);
    this.#store.progress({ stage: 'speed', on, done: this.#done++, total: this.#turns });
    if (!takesPart) return;
    try {
      await work();
    } catch (error) {
      this.#racers.get(name)?.terminate();
      this.#racers.delete(name);
      this.#store.trouble(name, 'speed', error, this.#shape);
    }
  }

  async #sample(name: BackendName, operation: Operation, memory: Memory, copy: number): Promise<void> {
    const seconds = await this.#racers.get(name)!.ask('sample', { operation, memory, sampleTime });
    if (seconds === null) return;
    const measured = { shape: this.#shape, operation, memory };
    const limit = copyLimit(operation, copy);
    this.#store.find(name, ({ timings }) => ({ timings: withRound(timings, measured, seconds, limit) }));
  }

  /** Seconds. Without a copy to hold them against, times are still times. */
  async #copy(): Promise<number> {
    try {
      return await this.#copier.ask('copy', { elements: product(this.#shape), sampleTime });
    } catch (error) {
      if (!(error instanceof WorkerFailure)) throw error;
      return Number.NaN;
    }
  }
}
