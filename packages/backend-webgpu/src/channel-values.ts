// What kernels find out per channel: moments, sums of gradients, gradients of parameters. Each is in a table on the
// device, which the host reads when somebody asks.
import { type GradientSums, type MaybePromise, type Moments, type OnDevice, refuse } from '@batchnorm/core-api';
import { releasedByOwner, releaseWhenDropped } from '@batchnorm/core-api/finalization';
import { assertNormalizable, type Parameters } from '@batchnorm/core-api/float32-range';
import type { DeviceBuffer } from './device-buffer.js';
import { refuseDisposed } from './device-tensor.js';
import type { Gpu } from './gpu.js';
import { gradientSumsOf, momentsOf } from './tables.js';

abstract class ChannelValue<T> implements OnDevice<T> {
  readonly gpu: Gpu;
  readonly channels: number;
  #table: DeviceBuffer | undefined;

  /** It has the reference to `table` from now on. */
  constructor(gpu: Gpu, table: DeviceBuffer, channels: number) {
    this.gpu = gpu;
    this.channels = channels;
    this.#table = table;
    releaseWhenDropped(this, table);
  }

  get disposed(): boolean {
    return this.#table === undefined;
  }

  /** Errors: `DISPOSED`. */
  get table(): DeviceBuffer {
    return this.#table ?? refuseDisposed();
  }

  /** Errors: `DISPOSED`, `DEVICE_LOST`. */
  async read(): Promise<T> {
    const [bytes] = await this.gpu.read(this.table);
    return this.fromTable(bytes!);
  }

  /** Becomes a value of `table`, to which it has the reference from now on. */
  protected become(table: DeviceBuffer): void {
    this.dispose();
    this.#table = table;
    releaseWhenDropped(this, table);
  }

  dispose(): void {
    releasedByOwner(this);
    this.#table?.release();
    this.#table = undefined;
  }

  protected abstract fromTable(table: ArrayBuffer): MaybePromise<T>;
}

/** The gradient of a parameter. */
export class WebGpuVector extends ChannelValue<Float64Array> {
  #name: keyof GradientSums;

  constructor(gpu: Gpu, table: DeviceBuffer, channels: number, name: keyof GradientSums) {
    super(gpu, table, channels);
    this.#name = name;
  }

  /** Errors: `INVALID_TENSOR` unless `vector` can receive a gradient of `channels` on `gpu`; `DISPOSED`. */
  static of(vector: OnDevice<Float64Array>, name: string, channels: number, gpu: Gpu): WebGpuVector {
    if (!(#name in vector) || vector.gpu !== gpu || vector.channels !== channels) {
      refuse(
        'INVALID_TENSOR',
        `out.${name} that this backend did not make for ${channels} channels`,
        'one of its gradients',
      );
    }
    vector.table;
    return vector;
  }

  /** The gradient `name` of `table`, to which it has the reference from now on. */
  receive(table: DeviceBuffer, name: keyof GradientSums): this {
    this.become(table);
    this.#name = name;
    return this;
  }

  protected override fromTable(table: ArrayBuffer): Float64Array {
    return gradientSumsOf(new Float32Array(table))[this.#name];
  }
}

/** The moments of a batch. */
export class WebGpuMoments extends ChannelValue<Moments> {
  readonly count: number;
  readonly #epsilon: number;
  readonly #normalizedBy: Parameters[] = [];

  /**
   * Reading them fails with `NON_FINITE_STATISTICS` where the variance is finite, but float32 can't normalise by it, or
   * could not with the parameters that it had: there y is NaN.
   */
  constructor(gpu: Gpu, table: DeviceBuffer, channels: number, count: number, epsilon: number) {
    super(gpu, table, channels);
    this.count = count;
    this.#epsilon = epsilon;
  }

  /** `moments`, if a batch on `gpu` has them. Errors: `FOREIGN_TENSOR` otherwise, `DISPOSED`. */
  static of(moments: OnDevice<Moments>, gpu: Gpu): WebGpuMoments {
    if (!(#normalizedBy in moments) || moments.gpu !== gpu) {
      refuse('FOREIGN_TENSOR', 'moments that this backend did not make', "those of this 'webgpu'");
    }
    moments.table;
    return moments;
  }

  /** Reading them asks from now on whether float32 could normalise with these parameters, too. */
  normalizeWith(parameters: Parameters): void {
    this.#normalizedBy.push(parameters);
  }

  /** What a copy of the table says. */
  momentsOf(table: ArrayBuffer): Moments {
    return momentsOf(new Float32Array(table), this.count);
  }

  /** Errors: `NON_FINITE_STATISTICS`. */
  assertNormalizable(moments: Moments): void {
    assertNormalizable(moments, this.#epsilon, this.#normalizedBy);
  }

  protected override fromTable(table: ArrayBuffer): Moments {
    const moments = this.momentsOf(table);
    this.assertNormalizable(moments);
    return moments;
  }
}

/** Σ g · xHat and Σ g. */
export class WebGpuSums extends ChannelValue<GradientSums> {
  readonly #isSums = true;

  /** `sums`, if `gpu` has their memory. Errors: `FOREIGN_TENSOR` otherwise, `DISPOSED`. */
  static of(sums: OnDevice<GradientSums>, gpu: Gpu): WebGpuSums {
    if (!(#isSums in sums) || sums.gpu !== gpu) {
      refuse('FOREIGN_TENSOR', 'sums of gradients that this backend did not make', "those of this 'webgpu'");
    }
    sums.table;
    return sums;
  }

  protected override fromTable(table: ArrayBuffer): GradientSums {
    return gradientSumsOf(new Float32Array(table));
  }
}
