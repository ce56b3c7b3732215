// Ranks in one process, for tests: each waits in allGather until all have come.
import { BatchNormError, type Collective } from '../src/index.js';

export class InProcessCollective {
  readonly ranks: readonly Collective[];
  /** How many exchanges there were. */
  exchanges = 0;
  #waiting: {
    values: Float64Array;
    done: (values: readonly Float64Array[]) => void;
    fail: (error: unknown) => void;
  }[] = [];

  constructor(size: number) {
    this.ranks = Array.from({ length: size }, (_, rank) => ({
      rank,
      size,
      allGather: (values) => this.#allGather(rank, values.slice()),
      dispose: () => undefined,
    }));
  }

  #allGather(rank: number, values: Float64Array): Promise<readonly Float64Array[]> {
    return new Promise((done, fail) => {
      this.#waiting[rank] = { values, done, fail };
      if (Object.keys(this.#waiting).length < this.ranks.length) return;
      const all = this.#waiting.splice(0);
      this.exchanges++;
      const lengths = all.map(({ values }) => values.length);
      const gathered = all.map(({ values }) => values);
      for (const { done, fail } of all) {
        if (lengths.every((length) => length === lengths[0])) done(gathered);
        else fail(new BatchNormError('COLLECTIVE_FAILED', `received ${lengths} values, expected as many of each rank`));
      }
    });
  }
}
