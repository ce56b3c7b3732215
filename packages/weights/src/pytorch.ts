// Batch norms of PyTorch: torch.nn.BatchNorm1d, 2d and 3d, and SyncBatchNorm.
import { describe, type Momentum, refuse } from '@batchnorm/core-api';
import { assertVariance, type Layer, type LayerWeights, layerWeights, stateOf } from './layer-weights.js';
import type { FileTensor } from './tensor-file.js';
import { assertGiven, refuseUnheld, type TranslationOptions, translationOptions } from './translation.js';
import { optionalVector, tensorFrom, type VectorLike, vectorOf } from './vectors.js';

/** The state dict of one layer: what is absent is None there. */
export interface PyTorchStateDict {
  /** gamma, [C]. */
  readonly weight?: VectorLike | undefined;
  /** beta, [C]. */
  readonly bias?: VectorLike | undefined;
  /** [C] */
  readonly running_mean?: VectorLike | undefined;
  /** Averages of the sample variance, [C]. */
  readonly running_var?: VectorLike | undefined;
  readonly num_batches_tracked?: ScalarLike | undefined;
}

type Scalar = number | bigint;
type ScalarLike = Scalar | ArrayLike<Scalar> | { readonly data: ArrayLike<Scalar>; readonly shape: readonly number[] };

/** Arguments of the layer's constructor, which no state dict holds. */
export interface PyTorchHyperparameters {
  readonly eps: number;
  /** The weight of a new batch: 0.1 keeps 0.9. None is null: the average of all batches. */
  readonly momentum: number | null;
}

const names = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'] as const;

/**
 * A batch norm of PyTorch as options and state of a layer: its momentum is 1 − theirs, running variances average the
 * sample variance, one value per channel is refused in training, channels are on axis 1.
 *
 * Errors: `INVALID_OPTION` for hyperparameters that are missing or can't be; `INVALID_STATE` for tensors that are no batch
 * norm, or have numbers that are not finite; it names them.
 */
export function fromPyTorch(stateDict: PyTorchStateDict, hyperparameters: PyTorchHyperparameters): LayerWeights {
  assertGiven(Object(hyperparameters), ['eps', 'momentum'], 'a state dict does not hold them');
  const given = Object(stateDict) as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((name) => !(names as readonly string[]).includes(name));
  if (unknown !== undefined) {
    refuse('INVALID_STATE', `a tensor '${unknown}'`, `those of one layer: ${names.join(', ')}`);
  }
  const { weight, bias, running_mean, running_var, num_batches_tracked } = given as PyTorchStateDict;
  const C = channelsOf({ weight, bias, running_mean, running_var });
  if ((running_mean === undefined) !== (running_var === undefined)) {
    refuse(
      'INVALID_STATE',
      `running_${running_mean ? 'mean' : 'var'} alone`,
      'running_mean and running_var, or neither',
    );
  }
  const vector = (name: string, values: VectorLike | undefined) => optionalVector(name, values, C);
  const { eps, momentum } = hyperparameters;
  const runningVariance = vector('running_var', running_var);
  assertVariance('running_var', runningVariance);
  return layerWeights(C, {
    options: {
      epsilon: eps,
      momentum: keptOf(momentum),
      axis: 1,
      scale: weight !== undefined,
      center: bias !== undefined,
      trackRunningStatistics: running_mean !== undefined,
      varianceEstimator: 'sample',
      singleValue: 'reject',
    },
    gamma: vector('weight', weight),
    beta: vector('bias', bias),
    runningMean: vector('running_mean', running_mean),
    runningVariance,
    batchesTracked: running_mean === undefined ? 0 : countOf(num_batches_tracked, momentum),
  });
}

/** The momentum of a layer here. Errors: `INVALID_OPTION`. */
function keptOf(momentum: number | null): Momentum {
  if (momentum === null) return 'cumulative';
  if (!(typeof momentum === 'number' && momentum >= 0 && momentum <= 1)) {
    refuse('INVALID_OPTION', `momentum ${describe(momentum)}`, 'a number from 0 to 1, or null');
  }
  return 1 - momentum;
}

function channelsOf(vectors: Readonly<Record<string, VectorLike | undefined>>): number {
  for (const [name, values] of Object.entries(vectors)) if (values !== undefined) return vectorOf(name, values).length;
  refuse('INVALID_STATE', 'no tensor', 'at least one of weight, bias, running_mean and running_var');
}

/** Layers of version 1 had no count, and PyTorch loads them with one of 0; `momentum=None` can't go on without it. */
function countOf(count: ScalarLike | undefined, momentum: number | null): number {
  if (count === undefined) {
    if (momentum === null)
      refuse('INVALID_STATE', 'no num_batches_tracked', 'it, as momentum null weighs batches by it');
    return 0;
  }
  const values = Object(count).data ?? count;
  const scalar = typeof values === 'object' && values?.length === 1 ? values[0] : values;
  const number = typeof scalar === 'bigint' ? Number(scalar) : scalar;
  if (!Number.isSafeInteger(number) || number < 0) {
    refuse('INVALID_STATE', `num_batches_tracked ${describe(scalar)}`, 'a whole number from 0 to 2⁵³ − 1');
  }
  return number;
}

/** A batch norm for PyTorch: what `load_state_dict` takes, and the arguments of the constructor. */
export interface PyTorchLayer {
  readonly stateDict: Readonly<Partial<Record<(typeof names)[number], FileTensor>>>;
  readonly hyperparameters: {
    readonly num_features: number;
    readonly eps: number;
    /** Absent where a layer is for inference alone, and PyTorch has no such average. */
    readonly momentum?: number | null;
    readonly affine: boolean;
    readonly track_running_stats: boolean;
  };
}

/**
 * The inverse of `fromPyTorch`. Errors: `INVALID_STATE`; `UNSUPPORTED` for what PyTorch can't hold: another axis than 1, a
 * fused ReLU, and for training gamma or beta alone, the population variance, and momentum 'exact'.
 */
export function toPyTorch(layer: Layer, translation: TranslationOptions = {}): PyTorchLayer {
  const { purpose, dtype } = translationOptions(translation);
  const { numFeatures: C, options, gamma, beta, runningMean, runningVariance, batchesTracked } = stateOf(layer);
  const { epsilon, momentum, axis, scale, center, trackRunningStatistics, varianceEstimator, activation } = options;
  const refuseIf = (condition: boolean, received: string, expected: string) =>
    refuseUnheld(condition, received, 'PyTorch', expected);
  refuseIf(axis !== 1, `axis ${axis}`, 'axis 1, where PyTorch has channels');
  refuseIf(activation !== 'none', `activation '${activation}'`, "activation 'none', and a layer for it");
  const keptMomentum = momentum === 'exact' ? undefined : momentum === 'cumulative' ? null : oneMinus(momentum);
  if (purpose === 'training') {
    const hint = "or purpose 'inference'";
    refuseIf(scale !== center, scale ? 'gamma alone' : 'beta alone', `both or neither, ${hint}`);
    refuseIf(
      trackRunningStatistics && varianceEstimator !== 'sample',
      `varianceEstimator '${varianceEstimator}'`,
      `'sample', ${hint}`,
    );
    refuseIf(keptMomentum === undefined, "momentum 'exact'", `a number or 'cumulative', ${hint}`);
  }
  const affine = scale || center;
  const tensor = (name: string, numbers: readonly number[]) => tensorFrom(name, numbers, dtype);
  return {
    stateDict: {
      ...(affine && {
        weight: tensor('weight', scale ? gamma : Array<number>(C).fill(1)),
        bias: tensor('bias', center ? beta : Array<number>(C).fill(0)),
      }),
      ...(trackRunningStatistics && {
        running_mean: tensor('running_mean', runningMean),
        running_var: tensor('running_var', runningVariance),
        num_batches_tracked: { dtype: 'I64', shape: [], data: BigInt64Array.of(BigInt(batchesTracked)) } as const,
      }),
    },
    hyperparameters: {
      ...{ num_features: C, eps: epsilon, affine, track_running_stats: trackRunningStatistics },
      ...(keptMomentum !== undefined && { momentum: keptMomentum }),
    },
  };
}

/** The shortest number whose difference to 1 is `kept`: 0.01 for 0.99, where 1 − 0.99 is 0.010000000000000009. */
function oneMinus(kept: number): number {
  for (let digits = 1; digits < 17; digits++) {
    const short = Number((1 - kept).toPrecision(digits));
    if (1 - short === kept) return short;
  }
  return 1 - kept;
}
