// Ranges of a linear memory that somebody has: until they are freed, or their owner is garbage.

/** Gives back the range of `bytes` bytes at the address `at`. */
type Release = (at: number, bytes: number) => void;

/**
 * To have the engine watch an object takes as long as a small kernel, so that ranges are watched together: those of a
 * cohort, so many and so many bytes at a time. What was dropped stays until everything else in its cohort has been
 * freed or dropped.
 */
const [mostRanges, mostBytes] = [16, 512 << 10];

/** A range of memory that somebody has. */
export class Allocation {
  readonly at: number;
  readonly bytes: number;
  #cohort: Cohort | undefined;

  constructor(at: number, bytes: number, cohort: Cohort) {
    this.at = at;
    this.bytes = bytes;
    this.#cohort = cohort;
  }

  get isFree(): boolean {
    return this.#cohort === undefined;
  }

  /** Again is allowed and does nothing. */
  free(): void {
    this.#cohort?.inUse.release(this.at);
    this.#cohort = undefined;
  }
}

/** Allocations of one memory. */
export class Allocations {
  readonly #release: Release;
  /** Of those that somebody has. */
  bytes = 0;
  /** The cohort that the next allocation joins. */
  #newest: Cohort | undefined;

  /** `release` is called with each range that was freed, or whose owner is garbage. */
  constructor(release: Release) {
    this.#release = (at, bytes) => {
      this.bytes -= bytes;
      release(at, bytes);
    };
  }

  add(at: number, bytes: number): Allocation {
    this.bytes += bytes;
    const cohort = this.#newest?.inUse.hasRoomFor(bytes) ? this.#newest : this.#newCohort(bytes);
    cohort.inUse.add(at, bytes);
    return new Allocation(at, bytes, cohort);
  }

  /** Lets go of the newest cohort: what this refers to is never garbage. */
  leaveNewest(): void {
    this.#newest = undefined;
  }

  #newCohort(bytesOfFirst: number): Cohort {
    const cohort = new Cohort(this.#release);
    // An allocation that fills a cohort by itself leaves the newest one to smaller allocations.
    if (bytesOfFirst < mostBytes) {
      this.#newest = cohort;
      collections.register({}, this);
    }
    return cohort;
  }
}

/** Notices that garbage was collected: its targets are garbage at once. To ask a WeakRef in each call takes longer. */
const collections = new FinalizationRegistry<Allocations>((allocations) => allocations.leaveNewest());

/** Releases what is left of cohorts that are garbage. */
const dropped = new FinalizationRegistry<InUse>((inUse) => inUse.releaseAll());

/** Only allocations refer to it: when all of them are garbage, it is garbage, too. */
class Cohort {
  readonly inUse: InUse;

  constructor(release: Release) {
    this.inUse = new InUse(release);
    dropped.register(this, this.inUse);
  }
}

/** The ranges of a cohort that have not been freed, in no order. */
class InUse {
  readonly #release: Release;
  readonly #begins: number[] = [];
  readonly #sizes: number[] = [];
  bytes = 0;

  constructor(release: Release) {
    this.#release = release;
  }

  get count(): number {
    return this.#begins.length;
  }

  hasRoomFor(bytes: number): boolean {
    return this.count < mostRanges && this.bytes + bytes <= mostBytes;
  }

  add(at: number, bytes: number): void {
    this.#begins.push(at);
    this.#sizes.push(bytes);
    this.bytes += bytes;
  }

  release(at: number): void {
    const index = this.#begins.indexOf(at);
    const bytes = this.#sizes[index]!;
    const [lastBegin, lastSize] = [this.#begins.pop()!, this.#sizes.pop()!];
    if (index < this.count) {
      this.#begins[index] = lastBegin;
      this.#sizes[index] = lastSize;
    }
    this.bytes -= bytes;
    this.#release(at, bytes);
  }

  releaseAll(): void {
    while (this.count > 0) this.release(this.#begins[0]!);
  }
}
