// A right backend in plain loops, with host memory and an asynchronous device, in both dtypes: what the wrong ones
// wrap.
import {
  allocate,
  assertBackwardInRange,
  assertDtype,
  assertMergedMomentsInRange,
  assertMomentsInRange,
  assertScaleInRange,
  type Backend,
  type BackwardOutput,
  BatchNormError,
  type CountedPositions,
  checkedTensor,
  copyOn,
  type DeviceMemory,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type FloatArray,
  type ForwardOutput,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type MaybePromise,
  type Moments,
  type MomentsInput,
  type NormalizeInput,
  type OnDevice,
  ordinaryTensor,
  type Plan,
  type Saved,
  type Stages,
  type Tensor,
} from '@batchnorm/core-api';

/** The four stages, without promises. */
export interface HostStages extends Stages<HostMemory> {
  moments(input: MomentsInput<HostMemory>): Moments;
  normalize(input: NormalizeInput<HostMemory>): ForwardOutput<HostMemory>;
  gradientSums(input: GradientSumsInput<HostMemory>): GradientSums;
  inputGradient(input: InputGradientInput<HostMemory>): BackwardOutput<HostMemory>;
}

export interface RightKernels extends HostStages {
  readonly device: Stages<DeviceMemory>;
  dispose(): void;
}

/** A plain object of functions that need no `this`: whoever wraps it may replace any of them. */
export interface RightBackend extends Backend {
  prepare(plan: Plan): RightKernels;
  upload(tensor: Tensor): Promise<StoredTensor>;
  dispose(): void;
  /** How many values are alive on the device. */
  alive(): number;
}

/** What is on the device: a copy that the host has no reference to. */
export class Stored<T> implements OnDevice<T> {
  /** Undefined when it has been disposed. */
  value: T | undefined;
  readonly #copy: (value: T) => T;
  readonly #alive: Set<unknown>;

  /** Whether it is one, and not only looks like one. */
  static isStored(value: object): boolean {
    return #copy in value;
  }

  constructor(value: T, copy: (value: T) => T, alive: Set<unknown>) {
    this.value = value;
    this.#copy = copy;
    this.#alive = alive.add(this);
  }

  get disposed(): boolean {
    return this.value === undefined;
  }

  async read(): Promise<T> {
    const copy = this.#copy(contentsOf(this));
    await nextTurn();
    return copy;
  }

  dispose(): void {
    this.value = undefined;
    this.#alive.delete(this);
  }
}

export class StoredTensor extends Stored<FloatArray> implements DeviceTensor {
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];

  constructor(backend: Backend, shape: readonly number[], value: FloatArray, alive: Set<unknown>) {
    super(value, (elements) => elements.slice(), alive);
    this.backend = backend;
    this.dtype = dtypeOf(value);
    this.shape = Object.freeze([...shape]);
  }
}

class ViewableTensor extends StoredTensor {
  view(): FloatArray {
    return contentsOf(this);
  }
}

/** How a device keeps what it has, and when it answers. */
interface DeviceStore {
  tensor(shape: readonly number[], elements: FloatArray): DeviceTensor;
  value<T>(value: T, copy: (value: T) => T): OnDevice<T>;
  answer<T>(compute: () => T): MaybePromise<T>;
}

/** The value itself, no copy. Errors: `FOREIGN_TENSOR`, `DISPOSED`. */
export function contentsOf<T>(stored: OnDevice<T>): T {
  if (!Stored.isStored(stored)) {
    throw new BatchNormError('FOREIGN_TENSOR', 'received a value of another backend, expected one that this made');
  }
  const { value } = stored as Stored<T>;
  if (value === undefined)
    throw new BatchNormError('DISPOSED', 'received a disposed value, expected one that is alive');
  return value;
}

/** What `saved` is, whatever the memory. */
export interface RightSaved extends Saved {
  x: FloatArray;
  residual: FloatArray | undefined;
  /** Which positions had a part in the statistics; undefined: all. */
  mask: CountedPositions | undefined;
  /** How many values of a channel were normalised together; NaN where statistics were given. */
  readonly M: number;
  readonly mean: Float64Array;
  readonly invStd: Float64Array;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
}

const nothing = new Float32Array(0);
const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

export interface RightOptions {
  /** Most elements of one activation. Default 2^28. */
  readonly limit?: number;
  /** Whether tensors on the device can be viewed. Default false. */
  readonly views?: boolean;
}

export function createRightBackend({ limit = 2 ** 28, views = false }: RightOptions = {}): RightBackend {
  let disposed = false;
  const alive = new Set<unknown>();
  const assertUsable = () => {
    if (disposed) throw new BatchNormError('DISPOSED', 'received a call after dispose(), expected none');
  };
  const assertFits = (elements: number) => {
    if (elements <= limit) return;
    throw new BatchNormError('LIMIT_EXCEEDED', `received ${elements} elements, expected at most ${limit}`);
  };
  const Tensor = views ? ViewableTensor : StoredTensor;
  const store: DeviceStore = {
    tensor: (shape, elements) => new Tensor(backend, shape, elements, alive),
    value: (value, copy) => new Stored(value, copy, alive),
    // Computed when called, answered in a later turn.
    async answer(compute) {
      const value = compute();
      await nextTurn();
      return value;
    },
  };
  const backend: RightBackend = {
    contractVersion: 2,
    name: 'right',
    capabilities: {
      dtypes: ['float32', 'float64'],
      deviceTensors: true,
      deterministic: true,
      limits: { elements: limit },
    },
    execution: {
      engine: 'JavaScript',
      device: 'cpu',
      threads: 1,
      accumulation: { float32: 'float64', float64: 'float64' },
      fallbackReason: null,
    },
    prepare(plan) {
      assertUsable();
      const { outer, channels, inner } = plan.extent;
      assertFits(outer * channels * inner);
      const host = guarded(hostStages(plan), assertUsable);
      return { ...host, device: deviceStages(host, store), dispose() {} };
    },
    async upload(given) {
      assertUsable();
      const { data, shape } = checkedTensor(given);
      assertDtype(backend, dtypeOf(data));
      assertFits(data.length);
      const stored = new Tensor(backend, shape, data.slice(), alive);
      await nextTurn();
      return stored;
    },
    empty(shape, dtype) {
      assertUsable();
      return ordinaryTensor(backend, shape, dtype);
    },
    from(tensor) {
      assertUsable();
      return copyOn(backend, tensor);
    },
    dispose() {
      disposed = true;
    },
    alive: () => alive.size,
  };
  return backend;
}

function guarded(stages: HostStages, assertUsable: () => void): HostStages {
  const guard =
    <I, O>(run: (input: I) => O) =>
    (input: I): O => {
      assertUsable();
      return run(input);
    };
  return {
    moments: guard(stages.moments),
    normalize: guard(stages.normalize),
    gradientSums: guard(stages.gradientSums),
    inputGradient: guard(stages.inputGradient),
  };
}

function hostStages({ extent, dtype, activation }: Plan): HostStages {
  const { outer, channels, inner } = extent;

  /** Whether element k is at a position that counts. */
  const counts = (k: number, mask: CountedPositions | undefined) =>
    mask === undefined || mask.positions[Math.floor(k / (channels * inner)) * inner + (k % inner)] === 1;

  /** gamma · xHat + beta + residual */
  function zOf({ x, residual, mean, invStd, gamma, beta }: RightSaved, k: number, c: number): number {
    const z = gamma[c]! * ((x[k]! - mean[c]!) * invStd[c]!) + beta[c]!;
    return residual ? z + residual[k]! : z;
  }

  /** Of element k: `value`, or 0 behind 'relu' where z, rounded as y is, is not positive. */
  function behind(saved: RightSaved, k: number, c: number, value: number): number {
    if (activation !== 'relu') return value;
    const z = zOf(saved, k, c);
    return (dtype === 'float32' ? Math.fround(z) : z) <= 0 ? 0 : value;
  }

  /** Σ term(k, c) of each channel c: blocks of at most 256 values are added up one by one. */
  function sums(term: (k: number, c: number) => number): Float64Array {
    const [total, block] = [new Float64Array(channels), new Float64Array(channels)];
    let filled = 0;
    const closeBlock = () => {
      for (let c = 0; c < channels; c++) total[c]! += block[c]!;
      block.fill(0);
      filled = 0;
    };
    for (let o = 0; o < outer; o++) {
      for (let begin = 0; begin < inner; begin += 256) {
        const end = Math.min(inner, begin + 256);
        if (filled + end - begin > 256) closeBlock();
        filled += end - begin;
        for (let c = 0; c < channels; c++) {
          const run = (o * channels + c) * inner;
          let sum = block[c]!;
          for (let i = begin; i < end; i++) sum += term(run + i, c);
          block[c] = sum;
        }
      }
    }
    closeBlock();
    return total;
  }

  function fill(out: FloatArray, element: (k: number, c: number) => number): FloatArray {
    for (let o = 0, k = 0; o < outer; o++) {
      for (let c = 0; c < channels; c++) {
        for (let i = 0; i < inner; i++, k++) out[k] = element(k, c);
      }
    }
    return out;
  }

  return {
    moments({ x, epsilon, mask }) {
      const count = mask?.count ?? outer * inner;
      const first = mask ? mask.positions.indexOf(1) : 0;
      const start = Math.floor(first / inner) * channels * inner + (first % inner);
      const pivot = Float64Array.from({ length: channels }, (_, c) => x[start + c * inner]!);
      const offset = sums((k, c) => (counts(k, mask) ? x[k]! - pivot[c]! : 0)).map((sum) => sum / count);
      const mean = offset.map((value, c) => pivot[c]! + value);
      const square = (k: number, c: number) => (x[k]! - pivot[c]! - offset[c]!) ** 2;
      const moments = { count, mean, m2: sums((k, c) => (counts(k, mask) ? square(k, c) : 0)) };
      assertMomentsInRange(moments, x, extent, epsilon, mask);
      return moments;
    },

    normalize({ x, residual, mask, gamma, beta, epsilon, y = allocate(dtype, x.length), by: { batch, given } }) {
      if (batch) assertMergedMomentsInRange(batch, x, extent, epsilon, mask);
      const { mean } = batch ?? given;
      const variance = batch ? batch.m2.map((square) => square / batch.count) : given.variance;
      const invStd = variance.map((value) => (value + epsilon === 0 ? 0 : 1 / Math.sqrt(value + epsilon)));
      const scale = invStd.map((value, c) => gamma[c]! * value);
      assertScaleInRange({ invStd, scale }, gamma);
      const saved: RightSaved = {
        x,
        residual,
        mask,
        M: batch ? batch.count : Number.NaN,
        mean: mean.slice(),
        invStd,
        gamma: gamma.slice(),
        beta: beta.slice(),
        dispose() {
          this.x = nothing;
          this.residual = undefined;
        },
      };
      fill(y, (k, c) => behind(saved, k, c, zOf(saved, k, c)));
      return { y, saved };
    },

    gradientSums({ saved, dy }) {
      const own = saved as RightSaved;
      const { x, mean, invStd } = own;
      const g = (k: number, c: number) => behind(own, k, c, dy[k]!);
      return { dgamma: sums((k, c) => g(k, c) * ((x[k]! - mean[c]!) * invStd[c]!)), dbeta: sums(g) };
    },

    inputGradient({ saved, dy, dx = allocate(dtype, dy.length), sums: own, total, ...out }) {
      const { x, residual, mask, M, mean, invStd, gamma } = saved as RightSaved;
      const { dgamma = new Float64Array(channels), dbeta = new Float64Array(channels) } = out;
      const dresidual = residual && (out.dresidual ?? allocate(dtype, dy.length));
      if (own) {
        assertBackwardInRange({ x, invStd, M }, extent, dy, own, total);
        dgamma.set(own.dgamma);
        dbeta.set(own.dbeta);
      }
      fill(dx, (k, c) => {
        const xHat = (x[k]! - mean[c]!) * invStd[c]!;
        const rest = total && counts(k, mask) ? total.dbeta[c]! / M + (xHat * total.dgamma[c]!) / M : 0;
        const g = behind(saved as RightSaved, k, c, dy[k]!);
        if (dresidual) dresidual[k] = g;
        return gamma[c]! * invStd[c]! * (g - rest);
      });
      return { dx, ...(dresidual && { dresidual }), dgamma, dbeta };
    },
  };
}

export const copyOfMoments = ({ count, mean, m2 }: Moments): Moments => ({ count, mean: mean.slice(), m2: m2.slice() });
const copyOfSums = ({ dgamma, dbeta }: GradientSums): GradientSums => ({
  dgamma: dgamma.slice(),
  dbeta: dbeta.slice(),
});

/** The same on what is stored. */
export function deviceStages(host: HostStages, { tensor, value, answer }: DeviceStore): Stages<DeviceMemory> {
  const vector = (elements: Float64Array) => value(elements, (stored) => stored.slice());
  const maybe = <T>(given: OnDevice<T> | undefined) => given && contentsOf(given);
  const merged = <T extends object>(given: T | OnDevice<T>): T => ('read' in given ? contentsOf(given) : given);
  return {
    moments: ({ x, ...others }) => answer(() => value(host.moments({ ...others, x: contentsOf(x) }), copyOfMoments)),

    normalize: ({ x, residual, y, by: { batch, given }, ...others }) =>
      answer(() => {
        const by = batch ? { batch: merged(batch) } : { given };
        const output = host.normalize({ ...others, x: contentsOf(x), residual: maybe(residual), y: maybe(y), by });
        return { y: y ?? tensor(x.shape, output.y), saved: output.saved };
      }),

    gradientSums: ({ saved, dy }) => answer(() => value(host.gradientSums({ saved, dy: contentsOf(dy) }), copyOfSums)),

    inputGradient: ({ saved, dy, dx, dresidual, dgamma, dbeta, sums, total }) =>
      answer(() => {
        const results = host.inputGradient({
          saved,
          dy: contentsOf(dy),
          dx: maybe(dx),
          dresidual: maybe(dresidual),
          dgamma: maybe(dgamma),
          dbeta: maybe(dbeta),
          sums: maybe(sums),
          total: total && merged(total),
        });
        const { dresidual: skip } = results;
        return {
          dx: dx ?? tensor(dy.shape, results.dx),
          ...(skip && { dresidual: dresidual ?? tensor(dy.shape, skip) }),
          dgamma: dgamma ?? vector(results.dgamma),
          dbeta: dbeta ?? vector(results.dbeta),
        };
      }),
  };
}
