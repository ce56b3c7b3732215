// A right backend in plain loops, with host memory and an asynchronous device, in both dtypes: what the wrong ones
// wrap.
import {
  allocate,
  assertBackwardInRange,
  assertFiniteStatistics,
  assertForwardInRange,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  BatchNormError,
  checkedTensor,
  type DeviceMemory,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type FloatArray,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type HostMemory,
  type Memory,
  type OnDevice,
  type Operations,
  type Plan,
  type Saved,
  type Statistics,
  type Tensor,
} from '@batchnorm/core-api';

/** The four operations, without promises. */
export interface HostOperations extends Operations<HostMemory> {
  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory>;
  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory>;
  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory>;
  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory>;
}

export interface RightKernels extends HostOperations {
  readonly device: Operations<DeviceMemory>;
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

type NewTensor = (shape: readonly number[], elements: FloatArray) => StoredTensor;

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
  readonly mean: Float64Array;
  readonly invStd: Float64Array;
  readonly gamma: Float64Array;
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
  const tensor: NewTensor = (shape, elements) => new Tensor(backend, shape, elements, alive);
  const backend: RightBackend = {
    contractVersion: 1,
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
      const host = guarded(hostOperations(plan), assertUsable);
      return { ...host, device: deviceOperations(host, tensor, alive), dispose() {} };
    },
    async upload(given) {
      assertUsable();
      const { data, shape } = checkedTensor(given);
      assertFits(data.length);
      const stored = tensor(shape, data.slice());
      await nextTurn();
      return stored;
    },
    dispose() {
      disposed = true;
    },
    alive: () => alive.size,
  };
  return backend;
}

function guarded(operations: HostOperations, assertUsable: () => void): HostOperations {
  const guard =
    <I, O>(run: (input: I) => O) =>
    (input: I): O => {
      assertUsable();
      return run(input);
    };
  return {
    forwardTraining: guard(operations.forwardTraining),
    forwardInference: guard(operations.forwardInference),
    backwardTraining: guard(operations.backwardTraining),
    backwardInference: guard(operations.backwardInference),
  };
}

function hostOperations({ extent, dtype }: Plan): HostOperations {
  const { outer, channels, inner } = extent;
  const M = outer * inner;

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

  function statistics(x: FloatArray): Statistics {
    const pivot = Float64Array.from({ length: channels }, (_, c) => x[c * inner]!);
    const offset = sums((k, c) => x[k]! - pivot[c]!).map((sum) => sum / M);
    const mean = offset.map((value, c) => pivot[c]! + value);
    const variance = sums((k, c) => (x[k]! - pivot[c]! - offset[c]!) ** 2).map((sum) => sum / M);
    return { mean, variance };
  }

  function normalize(
    input: ForwardInput<HostMemory>,
    { mean, variance }: Statistics,
    isOfBatch: boolean,
  ): ForwardOutput<HostMemory> {
    const { x, gamma, beta, epsilon, y = allocate(dtype, x.length) } = input;
    const invStd = variance.map((value) => (value + epsilon === 0 ? 0 : 1 / Math.sqrt(value + epsilon)));
    const scale = invStd.map((value, c) => gamma[c]! * value);
    assertForwardInRange({ x, mean, variance, invStd, scale }, extent, input, isOfBatch);
    fill(y, (k, c) => gamma[c]! * ((x[k]! - mean[c]!) * invStd[c]!) + beta[c]!);
    const saved: RightSaved = {
      x,
      mean: mean.slice(),
      invStd,
      gamma: gamma.slice(),
      dispose() {
        this.x = nothing;
      },
    };
    return { y, saved };
  }

  function gradients(input: BackwardInput<HostMemory>, throughStatistics: boolean): BackwardOutput<HostMemory> {
    const { x, mean, invStd, gamma } = input.saved as RightSaved;
    const { dy, dx = allocate(dtype, dy.length) } = input;
    const { dgamma = new Float64Array(channels), dbeta = new Float64Array(channels) } = input;
    const products = sums((k, c) => dy[k]! * (x[k]! - mean[c]!)).map((sum, c) => sum * invStd[c]!);
    const total = sums((k) => dy[k]!);
    assertBackwardInRange({ x, invStd }, extent, { dy, dgamma: products, dbeta: total }, throughStatistics);
    dgamma.set(products);
    dbeta.set(total);
    fill(dx, (k, c) => {
      const xHat = (x[k]! - mean[c]!) * invStd[c]!;
      const rest = throughStatistics ? dbeta[c]! / M + (xHat * dgamma[c]!) / M : 0;
      return gamma[c]! * invStd[c]! * (dy[k]! - rest);
    });
    return { dx, dgamma, dbeta };
  }

  return {
    forwardTraining(input) {
      const batch = statistics(input.x);
      if (input.requireFinite) assertFiniteStatistics(batch);
      return { ...normalize(input, batch, true), statistics: batch };
    },
    forwardInference: (input) => normalize(input, input, false),
    backwardTraining: (input) => gradients(input, true),
    backwardInference: (input) => gradients(input, false),
  };
}

/** The same on stored copies: computed when called, answered in a later turn. */
function deviceOperations(host: HostOperations, tensor: NewTensor, alive: Set<unknown>): Operations<DeviceMemory> {
  const vector = (elements: Float64Array) => new Stored(elements, (value) => value.slice(), alive);
  const statistics = (value: Statistics) =>
    new Stored(value, ({ mean, variance }) => ({ mean: mean.slice(), variance: variance.slice() }), alive);
  const elementsOf = <I extends ForwardInput<Memory>>(input: I) => ({
    ...input,
    x: contentsOf(input.x as DeviceTensor),
    y: input.y && contentsOf(input.y as DeviceTensor),
  });

  function backward(input: BackwardInput<DeviceMemory>, run: HostOperations['backwardTraining']) {
    const given = (value: OnDevice<FloatArray> | undefined) => value && contentsOf(value);
    const results = run({
      saved: input.saved,
      parameterGradients: input.parameterGradients,
      dy: contentsOf(input.dy),
      dx: given(input.dx),
      dgamma: given(input.dgamma) as Float64Array | undefined,
      dbeta: given(input.dbeta) as Float64Array | undefined,
    });
    return later({
      dx: input.dx ?? tensor(input.dy.shape, results.dx),
      dgamma: input.dgamma ?? vector(results.dgamma),
      dbeta: input.dbeta ?? vector(results.dbeta),
    });
  }

  return {
    async forwardTraining(input) {
      const { y, saved, statistics: batch } = host.forwardTraining({ ...elementsOf(input), requireFinite: false });
      return later({ y: input.y ?? tensor(input.x.shape, y), saved, statistics: statistics(batch) });
    },
    async forwardInference(input) {
      const { y, saved } = host.forwardInference(elementsOf(input));
      return later({ y: input.y ?? tensor(input.x.shape, y), saved });
    },
    backwardTraining: async (input) => backward(input, host.backwardTraining),
    backwardInference: async (input) => backward(input, host.backwardInference),
  };
}

async function later<T>(value: T): Promise<T> {
  await nextTurn();
  return value;
}
