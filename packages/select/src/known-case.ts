// A tiny case whose results are known: whether a backend computes right, and how large its errors are.
import {
  type Backend,
  BatchNorm,
  type Dtype,
  elementsFrom,
  type FloatArray,
  numbersOf,
  product,
  type Tensor,
} from '@batchnorm/core-api';

/**
 * The equations of docs/semantics.md on four values per channel, epsilon = 1, worked out in exact arithmetic.
 *
 * Channel 0: deviations (3, −1, −1, −1) from 2, so variance 3, √(3 + 1) = 2 and xHat = (3, −1, −1, −1)/2.
 * Channel 1: the same around 4001, where E[x²] − E[x]² in float32 has no digit left.
 * Channel 2: √(variance + 1) = 1.46175… is no fraction: results in 40 digits, rounded to the nearest float64.
 *
 * z is inference with the running statistics given: √(runningVariance + 1) is 4, 2 and √1.5.
 */
const channels = [
  {
    x: [5, 1, 1, 1],
    gamma: 2,
    beta: 1,
    mean: 2,
    variance: 3,
    y: [4, 0, 0, 0],
    dy: [1, 0, 0, 1],
    dx: [0.125, -0.375, -0.375, 0.625],
    dgamma: 1,
    dbeta: 2,
    runningMean: 1,
    runningVariance: 15,
    z: [3, 1, 1, 1],
  },
  {
    x: [4000, 4000, 4004, 4000],
    gamma: -0.5,
    beta: 3,
    mean: 4001,
    variance: 3,
    y: [3.25, 3.25, 2.25, 3.25],
    dy: [1, -2, 3, 0],
    dx: [-0.28125, 0.46875, -0.15625, -0.03125],
    dgamma: 5,
    dbeta: 2,
    runningMean: 4002,
    runningVariance: 3,
    z: [3.5, 3.5, 2.5, 3.5],
  },
  {
    x: [0.5, -1, 2, 0.25],
    gamma: 1.5,
    beta: -0.75,
    mean: 0.4375,
    variance: 1.13671875,
    y: [-0.685864631278648, -2.225113480591094, 0.8533842180337979, -0.9424061061640557],
    dy: [0.25, 1, -0.5, 2],
    dx: [-0.4296014460603902, -0.1242842611419251, -0.7349186309788552, 1.2888043381811705],
    dgamma: -1.7637226398371777,
    dbeta: 2.75,
    runningMean: 0.25,
    runningVariance: 0.5,
    z: [-0.44381378215210276, -2.2809310892394863, 1.3933035249352808, -0.75],
  },
] as const;

/**
 * How often the batch is repeated, so that sums have more than four terms: mean, variance, y, dx and z stay what they
 * are, dgamma and dbeta grow by that factor.
 */
const repeats = 64;

/** [outer, channels, inner]: four values per channel in each repeat. */
const shape = [2 * repeats, channels.length, 2] as const;

/**
 * The largest relative error of a right result. The condition number of channel 1 is |mean|/σ = 2000; statistics that
 * are accumulated in the dtype itself, around a pivot, err by a few times that many roundoffs (docs/numerics.md). Wrong
 * results err by 1e-2 or more. float16 rounds as much again, once.
 */
export const tolerance: Readonly<Record<Dtype, number>> = {
  float16: 2 * 2 ** -11,
  float32: 2 ** 13 * 2 ** -24,
  float64: 2 ** 13 * 2 ** -53,
};

/**
 * The largest error of forward-inference, forward-training and backward, relative to the largest value of the same
 * result and channel. Errors: those of the layer; an `Error` that names the result that is wrong.
 */
export async function errorInKnownCase(backend: Backend, dtype: Dtype): Promise<number> {
  // With momentum 0 the running statistics are those of the latest batch.
  const layer = new BatchNorm({ backend, numFeatures: channels.length, dtype, epsilon: 1, momentum: 0 });
  try {
    await layer.loadState({
      formatVersion: 1,
      numFeatures: channels.length,
      gamma: column('gamma'),
      beta: column('beta'),
      runningMean: column('runningMean'),
      runningVariance: column('runningVariance'),
      batchesTracked: 1,
    });
    const z = await layer.forward(batch('x', dtype), { training: false });
    const y = await layer.forward(batch('x', dtype));
    const { dx, dgamma, dbeta } = await layer.backward(batch('dy', dtype));
    return Math.max(
      ...errorsOfBatch('z', z),
      ...errorsOfBatch('y', y),
      ...errorsOfVector('mean', layer.runningMean),
      ...errorsOfVector('variance', layer.runningVariance),
      ...errorsOfBatch('dx', dx),
      ...errorsOfVector('dgamma', dgamma, repeats),
      ...errorsOfVector('dbeta', dbeta, repeats),
    );
  } finally {
    await layer.dispose();
  }

  function errorsOfBatch(name: BatchName, { data }: Tensor): number[] {
    return channels.map((channel, c) => errorOf(`${name} of channel ${c}`, valuesOfChannel(data, c), channel[name]));
  }

  function errorsOfVector(name: VectorName, values: Float64Array, factor = 1): number[] {
    return channels.map((channel, c) => errorOf(`${name} of channel ${c}`, [values[c]!], [channel[name] * factor]));
  }

  /** The largest relative error of `received`, for which `expected` is repeated. */
  function errorOf(name: string, received: readonly number[], expected: readonly number[]): number {
    const scale = Math.max(...expected.map(Math.abs));
    const errors = received.map((value, k) => Math.abs(value - expected[k % expected.length]!) / scale);
    // `!(… <= …)` and not `>`, so that NaN is wrong, too.
    const wrong = errors.findIndex((error) => !(error <= tolerance[dtype]));
    if (wrong === -1) return Math.max(...errors);
    throw new Error(
      `computes wrong: ${name} is ${received[wrong]} where ${expected[wrong % expected.length]} is right`,
    );
  }
}

type BatchName = 'x' | 'y' | 'dy' | 'dx' | 'z';
type VectorName = Exclude<keyof (typeof channels)[number], BatchName>;

function column(name: VectorName): number[] {
  return channels.map((channel) => channel[name]);
}

function batch(name: BatchName, dtype: Dtype): Tensor {
  const data = new Float64Array(product(shape));
  channels.forEach((channel, c) => {
    indicesOfChannel(c).forEach((index, k) => {
      data[index] = channel[name][k % channel[name].length]!;
    });
  });
  return { data: elementsFrom(dtype, data), shape };
}

function valuesOfChannel(data: FloatArray, c: number): number[] {
  const numbers = numbersOf(data);
  return indicesOfChannel(c).map((index) => numbers[index]!);
}

/** The indices of a channel's elements, in the order of its values. */
function indicesOfChannel(c: number): number[] {
  const [outer, C, inner] = shape;
  return Array.from({ length: outer * inner }, (_, k) => (Math.floor(k / inner) * C + c) * inner + (k % inner));
}
