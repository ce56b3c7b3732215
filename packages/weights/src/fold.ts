// A batch norm folded into the linear layer or convolution before it, which then does both.
import { assertOptionNames, describe, elementsFrom, type FloatArray, numbersOf, refuse } from '@batchnorm/core-api';
import { affine } from './affine.js';
import type { Layer } from './layer-weights.js';

/** The parameters of a linear layer, a convolution or a transposed convolution. */
export interface Linear<Data extends FloatArray = FloatArray> {
  readonly weight: { readonly data: Data; readonly shape: readonly number[] };
  /** [C] for C output channels. Absent or null: zeros. */
  readonly bias?: { readonly data: FloatArray; readonly shape: readonly number[] } | null | undefined;
  /**
   * What the axes of the weight are, a letter each: O output channels, I input channels, M outputs of one input channel
   * (depthwise), others the kernel's axes. See docs/weights.md for those of the frameworks: 'OIHW', 'IOHW', 'HWIO',
   * 'HWOI', 'HWIM', 'OI', 'IO'.
   */
  readonly layout: string;
  /** Default 1. */
  readonly groups?: number;
}

/** Parameters with the batch norm in them, of the weight's type. */
export interface Folded<Data extends FloatArray = FloatArray> {
  readonly weight: { readonly data: Data; readonly shape: readonly number[] };
  /** [C] */
  readonly bias: { readonly data: Data; readonly shape: readonly number[] };
}

/**
 * The parameters with which `linear` alone is `linear` and then `layer` at inference: weight · scale[o] and
 * bias · scale + shift, of `affine(layer)`, each computed in float64 and rounded once. Channels of a group follow one
 * another; an O of C / groups channels, as in PyTorch's transposed convolution, are those of each group.
 *
 * Errors: those of `affine`; `INVALID_OPTION` for a layout or groups that can't be, and for other fields; `SHAPE_MISMATCH` where weight, bias and
 * layer do not have the same channels; `INVALID_TENSOR`; `NON_FINITE_STATISTICS` where the weight's type can't hold a
 * result.
 */
export function fold<Data extends FloatArray>(linear: Linear<Data>, layer: Layer): Folded<Data> {
  assertOptionNames(Object(linear), ['weight', 'bias', 'layout', 'groups']);
  const { weight, bias, layout, groups = 1 } = Object(linear) as Linear<Data>;
  const { scale, shift } = affine(layer);
  const C = scale.length;
  const values = numbers('weight', weight);
  const channelOf = outputChannels(layout, weight.shape, groups, C);
  const dtype =
    weight.data instanceof Float64Array ? 'float64' : weight.data instanceof Float32Array ? 'float32' : 'float16';
  const biases = bias ? numbers('bias', bias) : new Float64Array(C);
  if (biases.length !== C) {
    refuse('SHAPE_MISMATCH', `a bias of ${biases.length} elements`, `${C}, one for each channel of the layer`);
  }
  const folded = Float64Array.from(values, (value, k) => value * scale[channelOf(k)]!);
  const foldedBias = Float64Array.from(biases, (value, c) => value * scale[c]! + shift[c]!);
  const rounded = (name: string, of: Float64Array) => {
    const elements = elementsFrom(dtype, of) as Data;
    const k = numbersOf(elements).findIndex((value) => !Number.isFinite(value));
    if (k >= 0) refuse('NON_FINITE_STATISTICS', `${name}[${k}] = ${of[k]}`, `a number that ${dtype} can hold`);
    return elements;
  };
  return {
    weight: { data: rounded('weight', folded), shape: [...weight.shape] },
    bias: { data: rounded('bias', foldedBias), shape: [C] },
  };
}

function numbers(name: string, tensor: Linear['weight']): Float32Array | Float64Array {
  const { data, shape } = Object(tensor) as Linear['weight'];
  const isFloat = data instanceof Float32Array || data instanceof Float64Array || data instanceof Uint16Array;
  if (!isFloat || !Array.isArray(shape) || shape.reduce((product, size) => product * size, 1) !== data.length) {
    refuse('INVALID_TENSOR', `${name} { data: ${describe(data)}, shape: [${shape}] }`, '{ data, shape } that fit');
  }
  return numbersOf(data);
}

/** The output channel of each element of a weight. */
function outputChannels(layout: string, shape: readonly number[], groups: number, C: number): (k: number) => number {
  const letters = typeof layout === 'string' ? [...layout] : [];
  const [O, I, M] = ['O', 'I', 'M'].map((letter) => letters.indexOf(letter)) as [number, number, number];
  const isPossible = new Set(letters).size === letters.length && /^[A-Z]+$/.test(layout) && O < 0 !== M < 0 && I >= 0;
  if (!isPossible || letters.length !== shape.length) {
    refuse(
      'INVALID_OPTION',
      `layout ${describe(layout)} of shape [${shape}]`,
      'a letter for each axis, I and one of O and M',
    );
  }
  if (!Number.isSafeInteger(groups) || groups < 1) refuse('INVALID_OPTION', `groups ${describe(groups)}`, 'at least 1');
  const indexOn = (axis: number) => {
    const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
    return (k: number) => Math.floor(k / stride) % shape[axis]!;
  };
  const input = indexOn(I);
  if (M >= 0) {
    const each = shape[M]!;
    if (shape[I]! * each !== C) refuseChannels(shape[I]! * each, C);
    const output = indexOn(M);
    return (k) => input(k) * each + output(k);
  }
  const output = indexOn(O);
  const outputs = shape[O]!;
  if (outputs === C && (groups === 1 || C % groups === 0)) return output;
  if (groups === 1 || outputs * groups !== C || shape[I]! % groups !== 0) refuseChannels(outputs, C, groups);
  const inputsPerGroup = shape[I]! / groups;
  return (k) => Math.floor(input(k) / inputsPerGroup) * outputs + output(k);
}

function refuseChannels(received: number, C: number, groups = 1): never {
  refuse('SHAPE_MISMATCH', `${received} output channels in ${groups} groups`, `${C}, as the layer has`);
}
