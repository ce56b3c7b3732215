// The options of a layer, with their meaning and their defaults.
import type { Backend } from './backend.js';
import type { Dtype } from './tensor.js';

export interface BatchNormOptions {
  /** Computes; shared between layers, and disposed by whoever made it. */
  readonly backend: Backend;
  /** C, the number of channels. */
  readonly numFeatures: number;
  /** Added to the variance, inside the square root. Positive. Default 1e-5. */
  readonly epsilon?: number;
  /**
   * The fraction of the old running value that each batch keeps, in [0, 1], as in Keras and ONNX; PyTorch's momentum
   * is 1 − this. `'cumulative'` is the plain average of all batches. Default 0.9.
   */
  readonly momentum?: number | 'cumulative';
  /** The channel axis of activations; negative counts from the end. Default 1. */
  readonly axis?: number;
  /** Whether there are parameters gamma and beta; without, y = xHat and both have length 0. Default true. */
  readonly affine?: boolean;
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
}

/** What a layer is, wherever it runs. */
export type LayerOptions = Omit<BatchNormOptions, 'backend'>;

type Defaulted = Omit<LayerOptions, 'numFeatures'>;

export const defaultOptions: Readonly<Required<Defaulted>> = {
  epsilon: 1e-5,
  momentum: 0.9,
  axis: 1,
  affine: true,
  trackRunningStatistics: true,
  runningVariance: 'population',
  dtype: 'float32',
  singleValue: 'allow',
};

/** Options with every default filled in. */
export type ResolvedOptions = Readonly<Required<BatchNormOptions>>;
