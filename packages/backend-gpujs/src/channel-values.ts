// What kernels find out per channel: moments, sums of gradients, gradients of parameters. Each is in a table on the
// device, of which it is made when it is read, or the host has seen it already.
import {
  BatchNormError,
  type Extent,
  type GradientSums,
  type MaybePromise,
  type Moments,
  type OnDevice,
  refuse,
} from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import { assertNormalizable, type Parameters } from '@batchnorm/core-api/float32-range';
import { type ArrayOwner, assertAlive, type DeviceArray, readRetained } from './device-array.js';
import { gradientSumsOf, momentsOf } from './passes.js';
import type { SeenMoments, SeenSums } from './redo.js';

/** Makes a value, of the table if it reads that. */
type Compute<T> = (readTable: () => Promise<Float32Array>) => MaybePromise<T>;

/** What the host sees of a value: looked at when somebody first asks. */
export type See<T> = () => Promise<T>;

/** `look`, once: then what it holds is let go. */
export function seeOnce<T>(look: () => Promise<T>): See<T> {
  let pending: (() => Promise<T>) | undefined = look;
  let seen: Promise<T>;
  return () => {
    if (pending) seen = pending();
    pending = undefined;
    return seen;
  };
}

export class ChannelValue<T> implements OnDevice<T> {
  readonly owner: ArrayOwner;
  #table: DeviceArray | undefined;
  #compute: Compute<T>;
  #disposed = false;

  /** Without a table, `compute` reads none. */
  constructor(owner: ArrayOwner, table: DeviceArray | undefined, compute: Compute<T>) {
    this.owner = owner;
    this.#table = table;
    this.#compute = compute;
  }

  /** For those that leave the call that made them: what is dropped without `dispose()` is freed. */
  freedWhenDropped(): this {
    if (this.#table) releaseWhenDropped(this, this.#table);
    return this;
  }

  get disposed(): boolean {
    return this.#disposed || this.#table?.released === true;
  }

  async read(): Promise<T> {
    assertAlive(this.disposed);
    const table = this.#table;
    return this.#compute(() => readRetained(table!));
  }

  /** Becomes what `other` is; `other` must not be used any more. */
  adopt(other: ChannelValue<T>): void {
    this.dispose();
    this.#disposed = false;
    this.#table = other.#table;
    this.#compute = other.#compute;
    this.freedWhenDropped();
  }

  dispose(): void {
    this.#disposed = true;
    releasedByOwner(this);
    this.#table?.release();
  }
}

/** The gradient of a parameter. */
export class GpuJsVector extends ChannelValue<Float64Array> {
  readonly #length: number;

  constructor(owner: ArrayOwner, length: number, table: DeviceArray | undefined, compute: Compute<Float64Array>) {
    super(owner, table, compute);
    this.#length = length;
  }

  /** One that the host has seen. */
  static known(owner: ArrayOwner, values: Float64Array): GpuJsVector {
    return new GpuJsVector(owner, values.length, undefined, () => values.slice());
  }

  /**
   * `vector`, if it can receive a gradient of `length` channels. Errors: `INVALID_TENSOR` unless `owner` has its memory
   * and it has that length; `DISPOSED`.
   */
  static of(vector: OnDevice<Float64Array>, name: string, length: number, owner: ArrayOwner): GpuJsVector {
    if (!(#length in vector) || vector.owner !== owner || vector.#length !== length) {
      throw new BatchNormError(
        'INVALID_TENSOR',
        `received ${name} that this backend did not make for ${length} channels, expected one of its gradients`,
      );
    }
    assertAlive(vector.disposed);
    return vector;
  }
}

/** The moments of a batch. */
export class GpuJsMoments extends ChannelValue<Moments> {
  readonly count: number;
  readonly table: DeviceArray;
  /** Undefined on devices, where no call waits for results. */
  readonly see: See<SeenMoments> | undefined;
  readonly #normalizedBy: Parameters[];

  /**
   * Reading what was not seen fails with `NON_FINITE_STATISTICS` where the variance is finite, but kernels can't
   * normalise by it, or could not with the parameters that they had: there y is NaN.
   */
  constructor(table: DeviceArray, C: number, count: number, epsilon: number, see: See<SeenMoments> | undefined) {
    const normalizedBy: Parameters[] = [];
    super(table.owner, table, async (readTable) => {
      if (see) return copyOf((await see()).moments);
      const moments = momentsOf(await readTable(), C, count);
      assertNormalizable(moments, epsilon, normalizedBy);
      return moments;
    });
    this.count = count;
    this.table = table;
    this.see = see;
    this.#normalizedBy = normalizedBy;
  }

  /** `moments`, if a batch of `owner` has them. Errors: `FOREIGN_TENSOR` otherwise, `DISPOSED`. */
  static of(moments: OnDevice<Moments>, owner: ArrayOwner): GpuJsMoments {
    if (!(#normalizedBy in moments) || moments.owner !== owner) {
      refuse('FOREIGN_TENSOR', 'moments that this backend did not make', "those of this 'gpujs'");
    }
    assertAlive(moments.disposed);
    return moments;
  }

  /** Reading them asks from now on whether kernels could normalise with these parameters, too. */
  normalizeWith(parameters: Parameters): void {
    this.#normalizedBy.push(parameters);
  }
}

/** Σ g · xHat and Σ g, where g is dy behind the nonlinearity. */
export class GpuJsSums extends ChannelValue<GradientSums> {
  readonly table: DeviceArray;
  /** Undefined on devices, where no call waits for results. */
  readonly see: See<SeenSums> | undefined;
  readonly #extent: Extent;

  constructor(table: DeviceArray, extent: Extent, see: See<SeenSums> | undefined) {
    super(table.owner, table, async (readTable) => {
      if (see === undefined) return gradientSumsOf(await readTable(), extent);
      const { dgamma, dbeta } = await see();
      return { dgamma: dgamma.slice(), dbeta: dbeta.slice() };
    });
    this.table = table;
    this.see = see;
    this.#extent = extent;
  }

  /** `sums`, if `owner` has their memory. Errors: `FOREIGN_TENSOR` otherwise, `DISPOSED`. */
  static of(sums: OnDevice<GradientSums>, owner: ArrayOwner): GpuJsSums {
    if (!(#extent in sums) || sums.owner !== owner) {
      refuse('FOREIGN_TENSOR', 'sums of gradients that this backend did not make', "those of this 'gpujs'");
    }
    assertAlive(sums.disposed);
    return sums;
  }

  /** One of the two, by itself: a value that outlives this one. */
  vector(name: keyof GradientSums): GpuJsVector {
    const { see, owner } = this;
    const extent = this.#extent;
    return see
      ? new GpuJsVector(owner, extent.channels, undefined, async () => (await see())[name].slice())
      : new GpuJsVector(
          owner,
          extent.channels,
          this.table.retain(),
          async (readTable) => gradientSumsOf(await readTable(), extent)[name],
        );
  }
}

/** `moments`, in vectors of their own. */
export function copyOf({ count, mean, m2 }: Moments): Moments {
  return { count, mean: mean.slice(), m2: m2.slice() };
}
