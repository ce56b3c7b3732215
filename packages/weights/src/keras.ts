// Batch norms of Keras, TensorFlow and TensorFlow.js: the layer BatchNormalization.
import { assertOptionNames, describe, refuse } from '@batchnorm/core-api';
import { assertVariance, type Layer, type LayerWeights, layerWeights, stateOf } from './layer-weights.js';
import type { FileTensor } from './tensor-file.js';
import { assertGiven, assertHeld, type TranslationOptions, translationOptions } from './translation.js';
import { optionalVector, tensorFrom, type VectorLike, vectorOf } from './vectors.js';

/** The weights of one layer, each [C]. */
export interface KerasWeights {
  /** Absent with `scale: false`. */
  readonly gamma?: VectorLike | undefined;
  /** Absent with `center: false`. */
  readonly beta?: VectorLike | undefined;
  readonly moving_mean: VectorLike;
  readonly moving_variance: VectorLike;
}

/** Of what `layer.getConfig()` gives, what numbers depend on; other fields are not looked at. */
export interface KerasConfig {
  /** A list of one in TensorFlow 2. */
  readonly axis: number | readonly number[];
  /** The weight of the old value, as here. */
  readonly momentum: number;
  readonly epsilon: number;
  readonly scale?: boolean;
  readonly center?: boolean;
}

/** How Keras averages variances: see `fromKeras`. */
export interface FromKerasOptions {
  readonly varianceEstimator?: 'population' | 'sample';
}

/** Batch renormalisation, and batches normalised in parts: TensorFlow 2 had them. */
const otherLayers = ['renorm', 'virtual_batch_size', 'adjustment'];

/**
 * A batch norm of Keras as options and state of a layer. Keras 3 and TensorFlow.js average the population variance,
 * which is the default here; the fused kernel of TensorFlow 2, for images with channels last, averages the sample
 * variance, and nothing in a file says so: only training that goes on depends on it. Keras counts no batches:
 * `batchesTracked` is 0.
 *
 * Errors: `INVALID_OPTION` for a config that lacks something, or can't be; `UNSUPPORTED` for renormalisation;
 * `INVALID_STATE` for weights that do not fit it or each other, or are not finite.
 */
export function fromKeras(weights: KerasWeights, config: KerasConfig, options: FromKerasOptions = {}): LayerWeights {
  assertOptionNames(options, ['varianceEstimator']);
  const { varianceEstimator = 'population' } = options;
  assertGiven(Object(config), ['axis', 'momentum', 'epsilon'], 'the weights do not hold them, layer.getConfig() does');
  for (const name of otherLayers) {
    const value = (config as unknown as Readonly<Record<string, unknown>>)[name];
    if (value) refuse('UNSUPPORTED', `${name} ${describe(value)}`, 'a plain BatchNormalization');
  }
  assertGiven(Object(weights), ['moving_mean', 'moving_variance'], 'weights of BatchNormalization');
  const { gamma, beta, moving_mean, moving_variance } = weights;
  const { momentum, epsilon } = config;
  const runningMean = vectorOf('moving_mean', moving_mean);
  const C = runningMean.length;
  const runningVariance = vectorOf('moving_variance', moving_variance, C);
  assertVariance('moving_variance', runningVariance);
  assertAgrees('scale', config.scale, 'gamma', gamma);
  assertAgrees('center', config.center, 'beta', beta);
  return layerWeights(C, {
    options: {
      ...{ epsilon, momentum, axis: axisOf(config.axis), varianceEstimator },
      ...{ scale: gamma !== undefined, center: beta !== undefined },
      ...{ trackRunningStatistics: true, singleValue: 'allow' },
    },
    gamma: optionalVector('gamma', gamma, C),
    beta: optionalVector('beta', beta, C),
    ...{ runningMean, runningVariance, batchesTracked: 0 },
  });
}

function axisOf(axis: number | readonly number[]): number {
  if (typeof axis === 'number') return axis;
  if (!Array.isArray(axis) || axis.length !== 1) {
    refuse('UNSUPPORTED', `axis ${Array.isArray(axis) ? `[${axis}]` : describe(axis)}`, 'one axis of channels');
  }
  return axis[0];
}

function assertAgrees(option: string, says: boolean | undefined, name: string, values: unknown): void {
  if (says === undefined || says === (values !== undefined)) return;
  refuse('INVALID_STATE', `${values === undefined ? 'no ' : ''}${name} with ${option} ${says}`, 'what the config says');
}

/** A batch norm for Keras: its weights, and the arguments of the layer. */
export interface KerasLayer {
  /** In the order of `layer.setWeights`. */
  readonly weights: {
    readonly gamma?: FileTensor;
    readonly beta?: FileTensor;
    readonly moving_mean: FileTensor;
    readonly moving_variance: FileTensor;
  };
  readonly config: {
    readonly axis: number;
    /** Absent where a layer is for inference alone, and Keras has no such average. */
    readonly momentum?: number;
    readonly epsilon: number;
    readonly scale: boolean;
    readonly center: boolean;
  };
}

/**
 * The inverse of `fromKeras`. Errors: `INVALID_STATE`; `UNSUPPORTED` for what Keras can't hold: no running statistics, a
 * fused ReLU, and for training the sample variance and a momentum that is no number.
 */
export function toKeras(
  layer: Layer,
  translation?: TranslationOptions & { readonly purpose?: 'training' },
): KerasLayer & { readonly config: { readonly momentum: number } };
/** The same for a purpose that need not be training: the momentum may be absent. */
export function toKeras(layer: Layer, translation: TranslationOptions): KerasLayer;
export function toKeras(layer: Layer, translation: TranslationOptions = {}): KerasLayer {
  const { purpose, dtype } = translationOptions(translation);
  const { options, gamma, beta, runningMean, runningVariance } = stateOf(layer);
  const { epsilon, momentum, axis, scale, center } = options;
  assertHeld('Keras', options, purpose);
  const tensor = (name: string, numbers: readonly number[]) => tensorFrom(name, numbers, dtype);
  return {
    weights: {
      ...(scale && { gamma: tensor('gamma', gamma) }),
      ...(center && { beta: tensor('beta', beta) }),
      moving_mean: tensor('moving_mean', runningMean),
      moving_variance: tensor('moving_variance', runningVariance),
    },
    config: { axis, ...(typeof momentum === 'number' && { momentum }), epsilon, scale, center },
  };
}
