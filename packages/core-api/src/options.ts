// The options of a layer, with their meaning and their defaults.
import type { Backend, Nonlinearity } from './backend.js';
import type { Collective } from './collective.js';
import type { Dtype } from './tensor.js';

/**
 * How running statistics average batches. A number in [0, 1] is the fraction of the old value that each batch keeps, as
 * in Keras and ONNX; PyTorch's momentum is 1 − this. `'cumulative'` is the plain average of all batches, as PyTorch's
 * `None`. `'exact'` gives the mean and variance of all values of all batches, as if they had been one batch.
 */
export type Momentum = number | 'cumulative' | 'exact';

/** What a layer is made with. */
export interface BatchNormOptions {
  /** What computes. Layers may share one; whoever made it disposes it. */
  readonly backend: Backend;
  /** C, the number of channels. */
  readonly numFeatures: number;
  /** Added to the variance under the root. Not negative; with 0 a constant channel gives y = beta. Default 1e-5. */
  readonly epsilon?: number;
  /** How running statistics average batches. A layer's `momentum` can be assigned later. Default 0.9. */
  readonly momentum?: Momentum;
  /** The channel axis of activations; negative counts from the end. Default 1. */
  readonly axis?: number;
  /** Whether there are parameters gamma and beta. `false`: y = xHat, and both have length 0. Default true. */
  readonly affine?: boolean;
  /** Whether there is gamma, as in Keras. `false`: the factor is 1, and gamma has length 0. Default: `affine`. */
  readonly scale?: boolean;
  /** Whether there is beta, as in Keras. `false`: nothing is added, and beta has length 0. Default: `affine`. */
  readonly center?: boolean;
  /** Whether running statistics are kept for inference. `false`: inference uses batch statistics, too. Default true. */
  readonly trackRunningStatistics?: boolean;
  /**
   * Which variance of a batch the running variance averages: the `'population'` variance Σ(x − mean)²/M (Keras, ONNX),
   * or the `'sample'` variance Σ(x − mean)²/(M − 1) (PyTorch). Activations are always normalised with the population
   * variance. Default 'population'.
   */
  readonly varianceEstimator?: 'population' | 'sample';
  /**
   * The old name of `varianceEstimator`. Both together must say the same.
   * @deprecated Use `varianceEstimator`.
   */
  readonly runningVariance?: 'population' | 'sample';
  /**
   * A nonlinearity in the same pass as the normalisation, after the addition of a residual. Default 'none'.
   */
  readonly activation?: Nonlinearity;
  /**
   * The element type of activations. Parameters and statistics are always float64. 'float16' takes half the memory of
   * 'float32': a Uint16Array of bits, or a Float16Array. Default 'float32'.
   */
  readonly dtype?: Dtype;
  /**
   * Batch statistics of one value per channel: `'allow'` gives y = beta; `'reject'` fails with `SINGLE_VALUE`, as in
   * PyTorch. Default 'allow'.
   */
  readonly singleValue?: 'allow' | 'reject';
  /**
   * A batch without values: `'reject'` fails with `EMPTY_BATCH`; `'pass'` gives an empty y, and running statistics stay
   * as they are. Default 'reject'.
   */
  readonly emptyBatch?: 'reject' | 'pass';
  /**
   * For development. `true`: each forward copies x, and its backward fails with `INPUT_CHANGED` if any element has
   * changed since, which costs a copy and a comparison of x in each step. `false`: a few elements of x are compared.
   * Default false.
   */
  readonly checks?: boolean;
  /**
   * Other processes whose batches are normalised together with this one's, as by PyTorch's SyncBatchNorm: forwards and
   * backwards with batch statistics are calls of every rank. dgamma and dbeta stay those of this rank. Whoever made it
   * disposes it. Default: none.
   */
  readonly collective?: Collective | undefined;
}

/** The options that do not depend on where a layer runs. */
export type LayerOptions = Omit<BatchNormOptions, 'backend' | 'collective'>;

type Defaulted = Omit<LayerOptions, 'numFeatures' | 'scale' | 'center'>;

/** The defaults of what has one of its own: `scale` and `center` default to `affine`. */
export const defaultOptions: Readonly<Required<Defaulted>> = {
  epsilon: 1e-5,
  momentum: 0.9,
  axis: 1,
  affine: true,
  trackRunningStatistics: true,
  varianceEstimator: 'population',
  runningVariance: 'population',
  activation: 'none',
  dtype: 'float32',
  singleValue: 'allow',
  emptyBatch: 'reject',
  checks: false,
};

/** Options with every default filled in. `runningVariance` is what `varianceEstimator` is. */
export type ResolvedOptions = Readonly<Required<Omit<BatchNormOptions, 'collective'>>> &
  Pick<BatchNormOptions, 'collective'>;
