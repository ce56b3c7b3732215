// The options of a layer, with their meaning and their defaults.
import type { Backend } from './backend.js';
import type { Dtype } from './tensor.js';

/**
 * The fraction of the old running value that each batch keeps, in [0, 1], as in Keras and ONNX; PyTorch's momentum is 1 − this.
 * `'cumulative'`: the plain average of all batches, each with the same weight, as PyTorch's `None`. `'exact'`: the mean and variance
 * of all values of all batches, as if they had been one batch.
 */
export type Momentum = number | 'cumulative' | 'exact';

export interface BatchNormOptions {
  /** Computes; shared between layers, and disposed by whoever made it. */
  readonly backend: Backend;
  /** C, the number of channels. */
  readonly numFeatures: number;
  /** Added to the variance, inside the square root. Not negative; with 0 a constant channel gives y = beta. Default 1e-5. */
  readonly epsilon?: number;
  /** How running statistics average batches, until it is assigned. Default 0.9. */
  readonly momentum?: Momentum;
  /** The channel axis of activations; negative counts from the end. Default 1. */
  readonly axis?: number;
  /** Whether there are parameters gamma and beta; without, y = xHat and both have length 0. Default true. */
  readonly affine?: boolean;
  /** Whether there is gamma: Keras's `scale`. Without, it is 1 and its array has length 0. Default: as `affine` says of both. */
  readonly scale?: boolean;
  /** Whether there is beta: Keras's `center`. Without, it is 0 and its array has length 0. Default: as `affine` says of both. */
  readonly center?: boolean;
  /** Whether running statistics are kept for inference; without, inference uses batch statistics too. Default true. */
  readonly trackRunningStatistics?: boolean;
  /**
   * What the running variance averages: the `'population'` variance (Keras, ONNX) or the `'sample'` variance, M/(M−1)
   * times it (PyTorch). Activations are always normalised with the population variance. Default 'population'.
   */
  readonly runningVariance?: 'population' | 'sample';
  /** Of activations. Parameters and statistics are float64 always. Default 'float32'. */
  readonly dtype?: Dtype;
  /** M = 1 under batch statistics: `'allow'` gives y = beta; `'reject'` fails with `SINGLE_VALUE`, as in PyTorch. Default 'allow'. */
  readonly singleValue?: 'allow' | 'reject';
  /** A batch without values: `'reject'` fails with `EMPTY_BATCH`; `'pass'` gives an empty y, and changes nothing. Default 'reject'. */
  readonly emptyBatch?: 'reject' | 'pass';
  /**
   * For development: each forward keeps a copy of x, and a backward fails with `INPUT_CHANGED` if one element of it is another now.
   * Without, a few elements are looked at. Costs a copy and a comparison of x for each step. Default false.
   */
  readonly checks?: boolean;
}

/** What a layer is, wherever it runs. */
export type LayerOptions = Omit<BatchNormOptions, 'backend'>;

type Defaulted = Omit<LayerOptions, 'numFeatures' | 'scale' | 'center'>;

/** `scale` and `center` are what `affine` is. */
export const defaultOptions: Readonly<Required<Defaulted>> = {
  epsilon: 1e-5,
  momentum: 0.9,
  axis: 1,
  affine: true,
  trackRunningStatistics: true,
  runningVariance: 'population',
  dtype: 'float32',
  singleValue: 'allow',
  emptyBatch: 'reject',
  checks: false,
};

/** Options with every default filled in. */
export type ResolvedOptions = Readonly<Required<BatchNormOptions>>;
