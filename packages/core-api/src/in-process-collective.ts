// Ranks that are layers of one process: for tests, and for programs that try out what several processes will do.
import type { Collective } from './collective.js';
import { BatchNormError, refuse } from './errors.js';
import { assertOption, type OptionCheck } from './option-checks.js';

/** More than any test needs; ranks without a limit would be made for minutes, until memory is full. */
const mostRanks = 65_536;

const sizeCheck: OptionCheck = [
  (value) => Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= mostRanks,
  `a whole number from 1 to ${mostRanks}`,
];

/**
 * A collective of `size` ranks in this process, one for each layer that is to be a rank. Each `allGather` waits until all
 * ranks have made theirs. When one is disposed, those that wait for it fail.
 *
 * Errors: `INVALID_OPTION` unless `size` is from 1 to 65,536. Those of `allGather`: `COLLECTIVE_FAILED` on every rank
 * where they give different numbers of values, or one is disposed.
 */
export function inProcessCollective(size: number): readonly Collective[] {
  assertOption('size', size, sizeCheck);
  const exchanges = new Exchanges(size);
  return Array.from({ length: size }, (_, rank) => {
    let calls = 0;
    return {
      rank,
      size,
      allGather: (values) => exchanges.join(calls++, rank, values.slice()),
      dispose: () => exchanges.leave(rank),
    };
  });
}

/** What one rank gave to an exchange, and how it hears of the others. */
interface Waiting {
  readonly values: Float64Array;
  readonly resolve: (values: readonly Float64Array[]) => void;
  readonly reject: (error: unknown) => void;
}

class Exchanges {
  readonly #size: number;
  /** By the number of the call, which counts on each rank. */
  readonly #open = new Map<number, Map<number, Waiting>>();
  #lost: number | undefined;

  constructor(size: number) {
    this.#size = size;
  }

  join(call: number, rank: number, values: Float64Array): Promise<readonly Float64Array[]> {
    return new Promise((resolve, reject) => {
      const ranks = this.#open.get(call) ?? new Map<number, Waiting>();
      this.#open.set(call, ranks);
      ranks.set(rank, { values, resolve, reject });
      if (this.#lost !== undefined) this.#fail(lostError(this.#lost));
      if (ranks.size < this.#size) return;
      this.#open.delete(call);
      finish(Array.from({ length: this.#size }, (_, rank) => ranks.get(rank)!));
    });
  }

  leave(rank: number): void {
    this.#lost ??= rank;
    this.#fail(lostError(rank));
  }

  #fail(error: unknown): void {
    for (const ranks of this.#open.values()) for (const { reject } of ranks.values()) reject(error);
    this.#open.clear();
  }
}

function finish(ranks: readonly Waiting[]): void {
  try {
    const { length } = ranks[0]!.values;
    const other = ranks.findIndex(({ values }) => values.length !== length);
    if (other >= 0) {
      const received = `${ranks[other]!.values.length} values of rank ${other}`;
      refuse('COLLECTIVE_FAILED', received, `${length}, as of rank 0`);
    }
    const gathered = ranks.map(({ values }) => values);
    for (const { resolve } of ranks) resolve(gathered);
  } catch (error) {
    for (const { reject } of ranks) reject(error);
  }
}

const lostError = (rank: number): BatchNormError =>
  new BatchNormError('COLLECTIVE_FAILED', `received nothing of rank ${rank}, which is disposed, expected its values`);
