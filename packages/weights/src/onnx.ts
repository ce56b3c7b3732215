// The operator BatchNormalization of ONNX.
import { describe, refuse } from '@batchnorm/core-api';
import { assertVariance, type Layer, type LayerWeights, layerWeights, stateOf } from './layer-weights.js';
import type { FileTensor } from './tensor-file.js';
import { assertGiven, assertHeld, refuseUnheld, type TranslationOptions, translationOptions } from './translation.js';
import { tensorFrom, type VectorLike, vectorOf } from './vectors.js';

/** The inputs of a node but for X, by their names since opset 14; each [C]. */
export interface OnnxInputs {
  readonly scale: VectorLike;
  readonly B: VectorLike;
  readonly input_mean: VectorLike;
  readonly input_var: VectorLike;
}

/** The attributes of a node. ONNX stores both numbers as float32; what a node leaves out has the default of its opset. */
export interface OnnxAttributes {
  readonly epsilon: number;
  /** The weight of the old value, as here. */
  readonly momentum: number;
  /** Whether the node normalises with batch statistics, which is an option of each call here. */
  readonly training_mode?: number;
  /** Before opset 9: 0 means statistics of every element, which this layer does not have. */
  readonly spatial?: number;
}

/**
 * A node of BatchNormalization as options and state of a layer: running variances average the population variance,
 * channels are on axis 1. ONNX counts no batches: `batchesTracked` is 0.
 *
 * Errors: `INVALID_OPTION` for attributes that are missing or can't be; `UNSUPPORTED` for `spatial: 0`; `INVALID_STATE` for
 * inputs of different lengths, or numbers that are not finite.
 */
export function fromOnnx(inputs: OnnxInputs, attributes: OnnxAttributes): LayerWeights {
  assertGiven(Object(attributes), ['epsilon', 'momentum'], 'the inputs do not hold them, the node does');
  assertGiven(Object(inputs), ['scale', 'B', 'input_mean', 'input_var'], 'the inputs of BatchNormalization');
  const { epsilon, momentum, spatial = 1 } = attributes;
  if (spatial !== 1) refuse('UNSUPPORTED', `spatial ${describe(spatial)}`, '1: statistics of channels');
  const gamma = vectorOf('scale', inputs.scale);
  const C = gamma.length;
  const runningVariance = vectorOf('input_var', inputs.input_var, C);
  assertVariance('input_var', runningVariance);
  return layerWeights(C, {
    options: {
      ...{ epsilon, momentum, axis: 1, scale: true, center: true },
      ...{ trackRunningStatistics: true, varianceEstimator: 'population', singleValue: 'allow' },
    },
    gamma,
    beta: vectorOf('B', inputs.B, C),
    runningMean: vectorOf('input_mean', inputs.input_mean, C),
    ...{ runningVariance, batchesTracked: 0 },
  });
}

/** A batch norm for ONNX: initialisers, and the attributes of its node. */
export interface OnnxLayer {
  readonly inputs: Readonly<Record<keyof OnnxInputs, FileTensor>>;
  /** Rounded to float32, as a node stores them. */
  readonly attributes: { readonly epsilon: number; readonly momentum?: number };
}

/**
 * The inverse of `fromOnnx`. A gamma or beta that is absent becomes ones or zeros, which nothing here would train. Errors:
 * `INVALID_STATE`; `UNSUPPORTED` for what ONNX can't hold: another axis than 1, no running statistics, a fused ReLU, and
 * for training the sample variance and a momentum that is no number.
 */
export function toOnnx(
  layer: Layer,
  translation?: TranslationOptions & { readonly purpose?: 'training' },
): OnnxLayer & { readonly attributes: { readonly momentum: number } };
/** The same for a purpose that need not be training: the momentum may be absent. */
export function toOnnx(layer: Layer, translation: TranslationOptions): OnnxLayer;
export function toOnnx(layer: Layer, translation: TranslationOptions = {}): OnnxLayer {
  const { purpose, dtype } = translationOptions(translation);
  const { numFeatures: C, options, gamma, beta, runningMean, runningVariance } = stateOf(layer);
  const { epsilon, momentum, axis, scale, center } = options;
  refuseUnheld(axis !== 1, `axis ${axis}`, 'ONNX', 'axis 1, where ONNX has channels');
  assertHeld('ONNX', options, purpose);
  const tensor = (name: string, numbers: readonly number[]) => tensorFrom(name, numbers, dtype);
  return {
    inputs: {
      scale: tensor('scale', scale ? gamma : Array<number>(C).fill(1)),
      B: tensor('B', center ? beta : Array<number>(C).fill(0)),
      input_mean: tensor('input_mean', runningMean),
      input_var: tensor('input_var', runningVariance),
    },
    attributes: {
      epsilon: Math.fround(epsilon),
      ...(typeof momentum === 'number' && { momentum: Math.fround(momentum) }),
    },
  };
}
