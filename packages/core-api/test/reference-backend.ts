// A backend for testing the layer: the formulas as they stand, on the host and on a pretended device, that answers when
// the test lets it.
import {
  type AllocatedTensor,
  allocate,
  type Backend,
  type BackwardOutput,
  BatchNormError,
  type CountedPositions,
  copyOn,
  type DeviceMemory,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type Extent,
  type FloatArray,
  type ForwardOutput,
  float16Bits,
  float16Numbers,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type Kernels,
  type Moments,
  type MomentsInput,
  type NormalizeInput,
  type OnDevice,
  ordinaryTensor,
  type Plan,
  type Saved,
  type Stages,
  type Tensor,
  valuesPerChannel,
} from '../src/index.js';

export interface ReferenceOptions {
  readonly dtypes?: readonly Dtype[];
  readonly maxElements?: number;
  /** Every stage waits for this before it computes. */
  readonly gate?: () => PromiseLike<void>;
}

export class ReferenceBackend implements Backend {
  readonly contractVersion = 2;
  readonly name = 'reference';
  readonly capabilities;
  readonly execution = {
    engine: 'JavaScript',
    device: 'cpu',
    threads: 1,
    accumulation: { float16: 'float64', float32: 'float64', float64: 'float64' },
    fallbackReason: null,
  } as const;
  /** Kernels, saved forwards and values on the device that have not been disposed. */
  readonly alive = new Set<object>();
  /** The extents that `prepare` was asked for. */
  readonly prepared: Extent[] = [];
  readonly gate: () => PromiseLike<void>;
  reads = 0;
  /** Whether each backward was asked for dgamma or dbeta, or needed them for dx. */
  readonly parameterGradients: boolean[] = [];
  /** Whether values on the device can't be read for now. */
  isUnsubmitted = false;
  /** Whether values on the device that are made now never can be read. */
  isVoid = false;
  /** Whether values on the device have a view. */
  sharesMemory = false;

  constructor({
    dtypes = ['float16', 'float32', 'float64'],
    maxElements = 1e6,
    gate = async () => {},
  }: ReferenceOptions = {}) {
    this.capabilities = { dtypes, deviceTensors: true, deterministic: true, limits: { elements: maxElements } };
    this.gate = gate;
  }

  prepare(plan: Plan): Kernels {
    this.prepared.push(plan.extent);
    return new ReferenceKernels(this, plan);
  }

  upload({ data, shape }: Tensor): DeviceTensor {
    return new StoredTensor(this, data.slice(), shape);
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    return ordinaryTensor(this, shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    return copyOn(this, tensor);
  }

  dispose(): void {}
}

class SavedForward implements Saved {
  constructor(
    readonly backend: ReferenceBackend,
    readonly x: FloatArray,
    readonly residual: FloatArray | undefined,
    readonly mask: CountedPositions | undefined,
    /** How many values of a channel were normalised together; NaN where statistics were given. */
    readonly M: number,
    readonly gamma: Float64Array,
    readonly beta: Float64Array,
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
  readonly device: Stages<DeviceMemory>;
  readonly extent: Extent;
  readonly dtype: Dtype;
  readonly hasRelu: boolean;

  constructor(
    readonly backend: ReferenceBackend,
    { extent, dtype, activation }: Plan,
  ) {
    this.extent = extent;
    this.dtype = dtype;
    this.hasRelu = activation === 'relu';
    this.device = new DeviceStages(this);
    backend.alive.add(this);
  }

  async moments({ x, mask }: MomentsInput<HostMemory>): Promise<Moments> {
    await this.backend.gate();
    const count = mask?.count ?? valuesPerChannel(this.extent);
    const numbers = numbersOf(x);
    const mean = this.#sums((k) => (this.#counts(k, mask) ? numbers[k]! / count : 0));
    return { count, mean, m2: this.#sums((k, c) => (this.#counts(k, mask) ? (numbers[k]! - mean[c]!) ** 2 : 0)) };
  }

  async normalize(input: NormalizeInput<HostMemory>) {
    await this.backend.gate();
    const { x, residual, mask, y, gamma, beta, epsilon } = input;
    const { batch, given } = input.by;
    const { mean } = batch ?? given;
    const variance = batch ? batch.m2.map((square) => square / batch.count) : given.variance;
    const std = variance.map((value) => Math.sqrt(value + epsilon));
    const out = y ?? allocate(this.dtype, x.length);
    const M = batch?.count ?? Number.NaN;
    const vectors = [gamma.slice(), beta.slice(), mean.slice(), std] as const;
    const saved = new SavedForward(this.backend, numbersOf(x), residual && numbersOf(residual), mask, M, ...vectors);
    this.#forEach((k, c) => {
      out[k] = this.#stored(this.#isOff(saved, k, c) ? 0 : this.#z(saved, k, c));
    });
    return { y: out, saved };
  }

  async gradientSums({ saved, dy }: GradientSumsInput<HostMemory>): Promise<GradientSums> {
    await this.backend.gate();
    const xHat = this.#xHat(saved);
    const g = this.#g(saved as SavedForward, dy);
    return { dgamma: this.#sums((k, c) => g(k, c) * xHat(k, c)), dbeta: this.#sums(g) };
  }

  async inputGradient(input: InputGradientInput<HostMemory>): Promise<BackwardOutput<HostMemory>> {
    await this.backend.gate();
    const { dy, sums, total } = input;
    this.backend.parameterGradients.push(sums !== undefined);
    const saved = input.saved as SavedForward;
    const { M, mask, gamma, std } = saved;
    const { dx = allocate(this.dtype, dy.length) } = input;
    const dresidual = saved.residual && (input.dresidual ?? allocate(this.dtype, dy.length));
    const { dgamma = new Float64Array(gamma.length), dbeta = new Float64Array(gamma.length) } = input;
    if (sums) {
      dgamma.set(sums.dgamma);
      dbeta.set(sums.dbeta);
    }
    const xHat = this.#xHat(input.saved);
    const g = this.#g(saved, dy);
    this.#forEach((k, c) => {
      const value = g(k, c);
      const meanTerms = total && this.#counts(k, mask) ? (total.dbeta[c]! + xHat(k, c) * total.dgamma[c]!) / M : 0;
      if (dresidual) dresidual[k] = this.#stored(value);
      dx[k] = this.#stored((gamma[c]! / std[c]!) * (value - meanTerms));
    });
    return { dx, dresidual, dgamma, dbeta };
  }

  dispose(): void {
    this.backend.alive.delete(this);
  }

  #stored(value: number): number {
    return this.dtype === 'float16' ? float16Bits(value) : value;
  }

  /** gamma · xHat + beta + residual */
  #z({ x, residual, gamma, beta, mean, std }: SavedForward, k: number, c: number): number {
    return (gamma[c]! * (x[k]! - mean[c]!)) / (std[c]! || 1) + beta[c]! + (residual ? residual[k]! : 0);
  }

  #isOff(saved: SavedForward, k: number, c: number): boolean {
    return this.hasRelu && this.#z(saved, k, c) <= 0;
  }

  /** dy behind the nonlinearity */
  #g(saved: SavedForward, dy: FloatArray): (k: number, c: number) => number {
    const numbers = numbersOf(dy);
    return (k, c) => (this.#isOff(saved, k, c) ? 0 : numbers[k]!);
  }

  #counts(k: number, mask: CountedPositions | undefined): boolean {
    const { channels, inner } = this.extent;
    const position = Math.floor(k / (channels * inner)) * inner + (k % inner);
    return mask === undefined || mask.positions[position] === 1;
  }

  #xHat(saved: Saved): (k: number, c: number) => number {
    if (!this.backend.alive.has(this)) throw new Error('disposed kernels were used');
    if (!this.backend.alive.has(saved)) throw new Error('a disposed saved forward was used');
    const { x, mean, std } = saved as SavedForward;
    return (k, c) => (x[k]! - mean[c]!) / std[c]!;
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

/** Those of float16 are stored as bits. */
function numbersOf(data: FloatArray): FloatArray {
  const numbers = float16Numbers();
  return data instanceof Uint16Array ? Float32Array.from(data, (bits) => numbers[bits]!) : data;
}

/** The same arithmetic, with everything that goes in or comes out stored elsewhere. */
class DeviceStages implements Stages<DeviceMemory> {
  readonly host: ReferenceKernels;
  readonly backend: ReferenceBackend;

  constructor(host: ReferenceKernels) {
    this.host = host;
    this.backend = host.backend;
  }

  async moments({ x, epsilon, mask }: MomentsInput<DeviceMemory>) {
    return new Stored(this.backend, await this.host.moments({ x: elementsOf(x), epsilon, mask }));
  }

  async normalize({ x, residual, y, by: { batch, given }, ...others }: NormalizeInput<DeviceMemory>) {
    const by = batch ? { batch: onHost(batch) } : { given };
    const output: ForwardOutput<HostMemory> = await this.host.normalize({
      ...others,
      x: elementsOf(x),
      residual: residual && elementsOf(residual),
      y: y && elementsOf(y),
      by,
    });
    return { y: y ?? new StoredTensor(this.backend, output.y, x.shape), saved: output.saved };
  }

  async gradientSums({ saved, dy }: GradientSumsInput<DeviceMemory>) {
    return new Stored(this.backend, await this.host.gradientSums({ saved, dy: elementsOf(dy) }));
  }

  async inputGradient({ saved, dy, dx, dresidual, sums, total }: InputGradientInput<DeviceMemory>) {
    const gradients = await this.host.inputGradient({
      saved,
      dy: elementsOf(dy),
      dx: dx && elementsOf(dx),
      dresidual: dresidual && elementsOf(dresidual),
      dgamma: undefined,
      dbeta: undefined,
      sums: sums && onHost(sums),
      total: total && onHost(total),
    });
    return {
      dx: dx ?? new StoredTensor(this.backend, gradients.dx, dy.shape),
      dresidual: dresidual ?? (gradients.dresidual && new StoredTensor(this.backend, gradients.dresidual, dy.shape)),
      dgamma: new Stored(this.backend, gradients.dgamma),
      dbeta: new Stored(this.backend, gradients.dbeta),
    };
  }
}

/** What is on the device, or on the host already. */
function onHost<T extends object>(value: T | OnDevice<T>): T {
  return value instanceof Stored ? value.stored : (value as T);
}

function elementsOf(tensor: DeviceTensor): FloatArray {
  return (tensor as StoredTensor).stored;
}

class Stored<T> implements OnDevice<T> {
  declare readonly view?: () => T;
  readonly #isVoid: boolean;

  constructor(
    readonly backend: ReferenceBackend,
    readonly stored: T,
  ) {
    backend.alive.add(this);
    this.#isVoid = backend.isVoid;
    if (backend.sharesMemory) this.view = () => stored;
  }

  get disposed(): boolean {
    return !this.backend.alive.has(this);
  }

  async read(): Promise<T> {
    if (this.disposed) throw new BatchNormError('DISPOSED', 'received read() after dispose()');
    if (this.#isVoid)
      throw new BatchNormError('DISPOSED', 'received read() of what was never computed, expected one that was');
    if (this.backend.isUnsubmitted) throw new BatchNormError('UNSUPPORTED', 'received read(), expected it later');
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
