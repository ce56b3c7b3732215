// The ranks of a layer: what they tell each other between the stages, so that each computes the same or all fail.
import type { GradientSums } from './backend.js';
import type { Place } from './call-queue.js';
import type { Collective } from './collective.js';
import { describe } from './describe.js';
import { BatchNormError, refuse } from './errors.js';
import { assertFiniteMoments, type Moments, mergeInto, noMoments } from './moments.js';
import type { Momentum, ResolvedOptions } from './options.js';
import { typedArrayName } from './tensor-checks.js';

/** What stands between the stages of an operation that several ranks do together. */
export interface Peers {
  /** The moments of all ranks, of the same bits on each. Errors: `COLLECTIVE_FAILED`. */
  mergeMoments(local: Moments): Promise<Moments>;
  /** Of these moments of all ranks. Errors: `NON_FINITE_STATISTICS`, which names the first rank that gave such. */
  assertFinite(all: Moments): void;
  /** The sums of all ranks, of the same bits on each. Errors: `COLLECTIVE_FAILED`. */
  addSums(local: GradientSums): Promise<GradientSums>;
}

/** What several ranks do together. */
export type SharedOperation = 'forward' | 'backward';

/** What must be the same on every rank, by names for messages. */
type Agreement = Readonly<Record<string, number>>;

/** What differs from call to call, and must be the same on every rank in one. */
export interface SharedCall {
  readonly training?: number;
  readonly track?: number;
  /** See `codeOf`. */
  readonly momentum?: number;
  /** Of a backward: the how many-th forward of all ranks it is of. */
  readonly ofForward?: number;
}

/** The options that results depend on. */
function agreedOptions(options: ResolvedOptions): Agreement {
  const { epsilon, scale, center, activation, trackRunningStatistics, varianceEstimator } = options;
  return {
    epsilon,
    scale: +scale,
    center: +center,
    relu: +(activation === 'relu'),
    trackRunningStatistics: +trackRunningStatistics,
    sampleVariance: +(varianceEstimator === 'sample'),
  };
}

/** A momentum as ranks tell it each other. */
export function codeOf(momentum: Momentum): number {
  return typeof momentum === 'number' ? momentum : -1 - averages.indexOf(momentum);
}

const averages: readonly Momentum[] = ['cumulative', 'exact'];

/** A value of an agreement as messages show it, where that is not its name and its number. */
const texts: Readonly<Record<string, (value: number) => string>> = {
  forward: (value) => (value ? 'a forward' : 'a backward'),
  ofForward: (value) => `a backward of forward ${value}`,
  momentum: (value) => `momentum ${value < 0 ? averages[-1 - value] : value}`,
  relu: (value) => `activation '${value ? 'relu' : 'none'}'`,
  sampleVariance: (value) => `varianceEstimator '${value ? 'sample' : 'population'}'`,
  ...Object.fromEntries(
    ['training', 'track', 'scale', 'center', 'trackRunningStatistics'].map((name) => [
      name,
      (value: number) => `${name} ${value === 1}`,
    ]),
  ),
};

const textOf = (name: string, value: number): string => texts[name]?.(value) ?? `${name} ${value}`;

/** How many layers have been made with a collective, which tells layers apart that are made alike on every rank. */
const layers = new WeakMap<Collective, number>();

export class Group {
  readonly #collective: Collective;
  readonly #channels: number;
  readonly #agreed: Agreement;

  constructor(collective: Collective, options: ResolvedOptions) {
    this.#collective = collective;
    this.#channels = options.numFeatures;
    const layer = layers.get(collective) ?? 0;
    layers.set(collective, layer + 1);
    this.#agreed = { layer, ...agreedOptions(options) };
  }

  /**
   * What `work` gives in a call that every rank makes. Where it fails on one rank before that has heard of all others,
   * it fails on all: there with its own error, elsewhere with `COLLECTIVE_FAILED`. Nothing is gathered before `place` has
   * been reached.
   */
  async call<T>(
    operation: SharedOperation,
    call: SharedCall,
    place: Place | undefined,
    work: (round: Round) => Promise<T>,
  ): Promise<T> {
    // The same fields in every call: messages of different calls are as long, and tell what differs.
    const { training = 0, track = 0, momentum = 0, ofForward = 0 } = call;
    const header = { forward: +(operation === 'forward'), training, track, momentum, ofForward, ...this.#agreed };
    const round = new Round(header, this.#channels, async (values) => {
      await place?.reached;
      return this.#allGather(values);
    });
    try {
      return await work(round);
    } catch (error) {
      await round.fail();
      throw error;
    }
  }

  async #allGather(values: Float64Array): Promise<readonly Float64Array[]> {
    const { size } = this.#collective;
    let gathered: readonly Float64Array[];
    try {
      gathered = await this.#collective.allGather(values);
    } catch (cause) {
      if (cause instanceof BatchNormError) throw cause;
      refuse('COLLECTIVE_FAILED', `allGather() that throws: ${describe(Object(cause).message)}`, 'values', { cause });
    }
    const areVectors = Array.isArray(gathered) && gathered.every((values) => typedArrayName(values) === 'Float64Array');
    if (!areVectors || gathered.length !== size) {
      refuse('COLLECTIVE_FAILED', `${describe(gathered)} from allGather()`, `a Float64Array of each of ${size} ranks`);
    }
    const rank = gathered.findIndex(({ length }) => length !== values.length);
    if (rank >= 0) {
      refuse(
        'COLLECTIVE_FAILED',
        `${gathered[rank]!.length} values of rank ${rank}`,
        `${values.length}, as of this one`,
      );
    }
    return gathered;
  }
}

/** One rank's moments or sums, as they are sent. */
interface Part {
  readonly count: number;
  readonly first: Float64Array;
  readonly second: Float64Array;
}

/**
 * One call of every rank. In the exchange each tells what it has computed, or that it could not. After it each can still
 * say, when asked to confirm, that it could not do the rest.
 *
 * A message is [failed, header…, count, first…, second…], in an exchange, and [failed] in a confirmation.
 */
export class Round implements Peers {
  readonly #header: Agreement;
  readonly #channels: number;
  readonly #allGather: Collective['allGather'];
  /** What each rank gave to a merge. */
  #merged: readonly Moments[] = [];
  /** In which messages the others expect this rank. */
  #awaited: 'exchange' | 'confirmation' | 'none' = 'exchange';

  constructor(header: Agreement, channels: number, allGather: Collective['allGather']) {
    this.#header = header;
    this.#channels = channels;
    this.#allGather = allGather;
  }

  /** Merged in rank order. What is not finite stays so. */
  async mergeMoments({ count, mean, m2 }: Moments): Promise<Moments> {
    const ranks = await this.#exchange({ count, first: mean, second: m2 });
    this.#awaited = 'confirmation';
    this.#merged = ranks.map(({ count, first, second }) => ({ count, mean: first, m2: second }));
    let all = noMoments(this.#channels);
    for (const moments of this.#merged) {
      mergeInto(all.mean, all.m2, all, moments);
      all = { ...all, count: all.count + moments.count };
    }
    return all;
  }

  assertFinite(all: Moments): void {
    for (const [rank, moments] of this.#merged.entries()) assertFiniteMoments(moments, `a batch of rank ${rank}`);
    // Of finite moments float64 may not hold those of all.
    assertFiniteMoments(all, 'a batch of all ranks');
  }

  /** Added up in rank order. */
  async addSums({ dgamma, dbeta }: GradientSums): Promise<GradientSums> {
    const ranks = await this.#exchange({ count: 0, first: dgamma, second: dbeta });
    const total = (of: 'first' | 'second') =>
      Float64Array.from(dgamma, (_, c) => ranks.reduce((sum, rank) => sum + rank[of][c]!, 0));
    return { dgamma: total('first'), dbeta: total('second') };
  }

  /** Before anything changes: waits until every rank could do its part. Errors: `COLLECTIVE_FAILED`. */
  async confirm(): Promise<void> {
    this.#awaited = 'none';
    assertNoneFailed(await this.#allGather(Float64Array.of(0)));
  }

  /** Tells the others, where they wait for this rank, that it has failed. */
  async fail(): Promise<void> {
    const awaited = this.#awaited;
    this.#awaited = 'none';
    if (awaited === 'none') return;
    const nothing = { count: 0, first: new Float64Array(this.#channels), second: new Float64Array(this.#channels) };
    const message = awaited === 'exchange' ? this.#message(1, nothing) : Float64Array.of(1);
    // This rank has its own error already.
    await this.#allGather(message).catch(() => undefined);
  }

  async #exchange(part: Part): Promise<readonly Part[]> {
    this.#awaited = 'none';
    const gathered = await this.#allGather(this.#message(0, part));
    assertNoneFailed(gathered);
    const names = Object.keys(this.#header);
    assertAgreement(names, gathered);
    const at = 1 + names.length;
    const middle = at + 1 + this.#channels;
    return gathered.map((values) => ({
      count: values[at]!,
      first: values.subarray(at + 1, middle),
      second: values.subarray(middle),
    }));
  }

  #message(failed: 0 | 1, { count, first, second }: Part): Float64Array {
    const beginning = [failed, ...Object.values(this.#header), count];
    const message = new Float64Array(beginning.length + first.length + second.length);
    message.set(beginning);
    message.set(first, beginning.length);
    message.set(second, beginning.length + first.length);
    return message;
  }
}

/** Errors: `COLLECTIVE_FAILED`, which names the first rank that says so. */
function assertNoneFailed(gathered: readonly Float64Array[]): void {
  const rank = gathered.findIndex(([failed]) => failed !== 0);
  if (rank >= 0) refuse('COLLECTIVE_FAILED', `a call that failed on rank ${rank}`, 'one that succeeds on every rank');
}

/** Errors: `COLLECTIVE_FAILED`, which names the first rank that differs from rank 0, and in what. */
function assertAgreement(names: readonly string[], gathered: readonly Float64Array[]): void {
  const [first] = gathered;
  for (const [rank, values] of gathered.entries()) {
    const n = names.findIndex((_, n) => !Object.is(values[1 + n], first![1 + n]));
    if (n < 0) continue;
    const what = (value: number) => textOf(names[n]!, value);
    refuse('COLLECTIVE_FAILED', `rank ${rank} with ${what(values[1 + n]!)}`, `${what(first![1 + n]!)}, as rank 0 has`);
  }
}
