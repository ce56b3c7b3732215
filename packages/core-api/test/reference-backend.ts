// A backend for testing the layer: the formulas as they stand, on the host and on a pretended device, that answers when
// the test lets it.
import {
  allocate,
  assertFiniteStatistics,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  BatchNormError,
  type DeviceMemory,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type Extent,
  type FloatArray,
  type ForwardInput,
  type ForwardOutput,
  type HostMemory,
  type Kernels,
  type OnDevice,
  type Operations,
  type Plan,
  type Saved,
  type Statistics,
  type Tensor,
  valuesPerChannel,
} from '../src/index.js';

export interface ReferenceOptions {
  readonly dtypes?: readonly Dtype[];
  readonly maxElements?: number;
  /** Every kernel waits for this before it computes. */
  readonly gate?: () => PromiseLike<void>;
}

export class ReferenceBackend implements Backend {
  readonly contractVersion = 1;
  readonly name = 'reference';
  readonly capabilities;
  readonly execution = {
    engine: 'JavaScript',
    device: 'cpu',
    threads: 1,
    accumulation: { float32: 'float64', float64: 'float64' },
    fallbackReason: null,
  } as const;
  /** Kernels, saved forwards and values on the device that have not been disposed. */
  readonly alive = new Set<object>();
  /** The extents that `prepare` was asked for. */
  readonly prepared: Extent[] = [];
  readonly gate: () => PromiseLike<void>;
  reads = 0;
  /** What each backward was asked for. */
  readonly parameterGradients: boolean[] = [];
  /** Whether values on the device have a view. */
  sharesMemory = false;

  constructor({ dtypes = ['float32', 'float64'], maxElements = 1e6, gate = async () => {} }: ReferenceOptions = {}) {
    this.capabilities = { dtypes, deviceTensors: true, deterministic: true, limits: { elements: maxElements } };
    this.gate = gate;
  }

  prepare({ extent, dtype }: Plan): Kernels {
    this.prepared.push(extent);
    return new ReferenceKernels(this, extent, dtype);
  }

  upload({ data, shape }: Tensor): DeviceTensor {
    return new StoredTensor(this, data.slice(), shape);
  }

  dispose(): void {}
}

class SavedForward implements Saved {
  constructor(
    readonly backend: ReferenceBackend,
    readonly x: FloatArray,
    readonly gamma: Float64Array,
    readonly mean: Float64Array,
    readonly std: Float64Array,
  ) {
    backend.alive.add(this);
  }

  dispose(): void {
    this.backend.alive.delete(this);
  }
}

class ReferenceKernels implements Kernels {
  readonly device: Operations<DeviceMemory>;

  constructor(
    readonly backend: ReferenceBackend,
    readonly extent: Extent,
    readonly dtype: Dtype,
  ) {
    this.device = new DeviceKernels(this);
    backend.alive.add(this);
  }

  async forwardTraining({ requireFinite, ...input }: ForwardInput<HostMemory> & { requireFinite: boolean }) {
    await this.backend.gate();
    const M = valuesPerChannel(this.extent);
    const mean = this.#sums((k) => input.x[k]! / M);
    const variance = this.#sums((k, c) => (input.x[k]! - mean[c]!) ** 2 / M);
    if (requireFinite) assertFiniteStatistics({ mean, variance });
    return { ...this.#normalize(input, { mean, variance }), statistics: { mean, variance } };
  }

  async forwardInference(input: ForwardInput<HostMemory> & Statistics) {
    await this.backend.gate();
    return this.#normalize(input, { mean: input.mean.slice(), variance: input.variance });
  }

  async backwardTraining(input: BackwardInput<HostMemory>) {
    await this.backend.gate();
    const M = valuesPerChannel(this.extent);
    return this.#gradients(input, ({ dbeta, dgamma }, xHat, c) => (dbeta[c]! + xHat * dgamma[c]!) / M);
  }

  async backwardInference(input: BackwardInput<HostMemory>) {
    await this.backend.gate();
    return this.#gradients(input, () => 0);
  }

  dispose(): void {
    this.backend.alive.delete(this);
  }

  #normalize({ x, y, gamma, beta, epsilon }: ForwardInput<HostMemory>, { mean, variance }: Statistics) {
    const std = variance.map((value) => Math.sqrt(value + epsilon));
    const out = y ?? allocate(this.dtype, x.length);
    this.#forEach((k, c) => {
      out[k] = (gamma[c]! * (x[k]! - mean[c]!)) / (std[c]! || 1) + beta[c]!;
    });
    return { y: out, saved: new SavedForward(this.backend, x, gamma.slice(), mean, std) };
  }

  #gradients(
    input: BackwardInput<HostMemory>,
    meanTerms: (sums: { dgamma: Float64Array; dbeta: Float64Array }, xHat: number, c: number) => number,
  ): BackwardOutput<HostMemory> {
    const saved = input.saved as SavedForward;
    this.backend.parameterGradients.push(input.parameterGradients);
    if (!this.backend.alive.has(this)) throw new Error('disposed kernels were used');
    if (!this.backend.alive.has(saved)) throw new Error('a disposed saved forward was used');
    const { x, gamma, mean, std } = saved;
    const { dy, dx = allocate(this.dtype, dy.length) } = input;
    const { dgamma = new Float64Array(gamma.length), dbeta = new Float64Array(gamma.length) } = input;
    const xHat = (k: number, c: number) => (x[k]! - mean[c]!) / std[c]!;
    dgamma.set(this.#sums((k, c) => dy[k]! * xHat(k, c)));
    dbeta.set(this.#sums((k) => dy[k]!));
    this.#forEach((k, c) => {
      dx[k] = (gamma[c]! / std[c]!) * (dy[k]! - meanTerms({ dgamma, dbeta }, xHat(k, c), c));
    });
    return { dx, dgamma, dbeta };
  }

  #forEach(visit: (k: number, c: number) => void): void {
    const { outer, channels, inner } = this.extent;
    for (let k = 0; k < outer * channels * inner; k++) visit(k, Math.floor(k / inner) % channels);
  }

  #sums(term: (k: number, c: number) => number): Float64Array {
    const sums = new Float64Array(this.extent.channels);
    this.#forEach((k, c) => {
      sums[c]! += term(k, c);
    });
    return sums;
  }
}

/** The same arithmetic, with everything that goes in or comes out stored elsewhere. */
class DeviceKernels implements Operations<DeviceMemory> {
  constructor(readonly host: ReferenceKernels) {}

  async forwardTraining(input: ForwardInput<DeviceMemory>) {
    const { statistics, ...output } = await this.host.forwardTraining({ ...onHost(input), requireFinite: false });
    return { ...this.#store(output, input), statistics: new Stored(this.host.backend, statistics) };
  }

  async forwardInference({ mean, variance, ...input }: ForwardInput<DeviceMemory> & Statistics) {
    return this.#store(await this.host.forwardInference({ ...onHost(input), mean, variance }), input);
  }

  async backwardTraining(input: BackwardInput<DeviceMemory>) {
    return this.#storeGradients(await this.host.backwardTraining(gradientsOnHost(input)), input);
  }

  async backwardInference(input: BackwardInput<DeviceMemory>) {
    return this.#storeGradients(await this.host.backwardInference(gradientsOnHost(input)), input);
  }

  #store({ y, saved }: ForwardOutput<HostMemory>, { x, y: out }: ForwardInput<DeviceMemory>) {
    return { y: out ?? new StoredTensor(this.host.backend, y, x.shape), saved };
  }

  #storeGradients({ dx, dgamma, dbeta }: BackwardOutput<HostMemory>, { dy, ...out }: BackwardInput<DeviceMemory>) {
    const { backend } = this.host;
    return {
      dx: out.dx ?? new StoredTensor(backend, dx, dy.shape),
      dgamma: new Stored(backend, dgamma),
      dbeta: new Stored(backend, dbeta),
    };
  }
}

function onHost({ x, y, gamma, beta, epsilon }: ForwardInput<DeviceMemory>): ForwardInput<HostMemory> {
  return { x: elementsOf(x), y: y && elementsOf(y), gamma, beta, epsilon };
}

function gradientsOnHost(input: BackwardInput<DeviceMemory>): BackwardInput<HostMemory> {
  const { dy, dx } = input;
  return { ...input, dy: elementsOf(dy), dx: dx && elementsOf(dx), dgamma: undefined, dbeta: undefined };
}

function elementsOf(tensor: DeviceTensor): FloatArray {
  return (tensor as StoredTensor).stored;
}

class Stored<T> implements OnDevice<T> {
  declare readonly view?: () => T;

  constructor(
    readonly backend: ReferenceBackend,
    readonly stored: T,
  ) {
    backend.alive.add(this);
    if (backend.sharesMemory) this.view = () => stored;
  }

  get disposed(): boolean {
    return !this.backend.alive.has(this);
  }

  async read(): Promise<T> {
    if (this.disposed) throw new BatchNormError('DISPOSED', 'received read() after dispose()');
    this.backend.reads++;
    return structuredClone(this.stored);
  }

  dispose(): void {
    this.backend.alive.delete(this);
  }
}

class StoredTensor extends Stored<FloatArray> implements DeviceTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];

  constructor(backend: ReferenceBackend, elements: FloatArray, shape: readonly number[]) {
    super(backend, elements);
    this.dtype = dtypeOf(elements);
    this.shape = [...shape];
  }
}
