// Batch norms folded into the layers before them, beside what PyTorch computes of both.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, elementsFrom, type FloatArray, numbersOf } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { affine, fold, fromPyTorch, type LayerWeights, type Linear, type PyTorchStateDict } from '../src/index.js';
import { type JsonTensor, jsonFixture } from './fixtures.js';

interface Pair {
  readonly layout: string;
  readonly groups: number;
  readonly eps: number;
  readonly weight: JsonTensor;
  readonly bias: JsonTensor | null;
  readonly norm: PyTorchStateDict;
  readonly x: JsonTensor;
  /** Of both, in float64. */
  readonly y: JsonTensor;
}

const pairs = await jsonFixture<Readonly<Record<string, Pair>>>('folds.json');
const layerOf = ({ norm, eps }: Pair): LayerWeights => fromPyTorch(norm, { eps, momentum: 0.1 });

const product = (sizes: readonly number[]) => sizes.reduce((a, b) => a * b, 1);

/** The indices of a shape, in row-major order. */
function* indices(shape: readonly number[]): Generator<readonly number[]> {
  for (let k = 0; k < product(shape); k++) {
    const index: number[] = [];
    let rest = k;
    for (const size of [...shape].reverse()) {
      index.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    yield index;
  }
}

const at = (shape: readonly number[], index: readonly number[]) =>
  index.reduce((position, i, axis) => position * shape[axis]! + i, 0);

/**
 * y[n, o, …] and Σ |w · x| + |b|, by the definition: each weight w[o, i, k] of a convolution takes x at position + k, of a
 * transposed one it gives to position + k. x is [N, I, …], and the weight's first axes are O and I, or I and O.
 */
function applied(
  { layout, groups, x }: Pair,
  weight: { data: ArrayLike<number>; shape: readonly number[] },
  bias: ArrayLike<number>,
  outShape: readonly number[],
): { y: Float64Array; size: Float64Array } {
  const y = new Float64Array(product(outShape));
  const size = new Float64Array(y.length);
  for (const index of indices(outShape)) {
    y[at(outShape, index)] = bias[index[1]!]!;
    size[at(outShape, index)] = Math.abs(bias[index[1]!]!);
  }
  const [N, I, ...space] = x.shape as [number, number, ...number[]];
  const [C] = [outShape[1]!];
  const isTransposed = layout.startsWith('I');
  for (const [first, second, ...kernel] of indices(weight.shape)) {
    const w = weight.data[at(weight.shape, [first!, second!, ...kernel])]!;
    const group = isTransposed ? Math.floor(first! / (I / groups)) : Math.floor(first! / (C / groups));
    const input = isTransposed ? first! : group * (I / groups) + second!;
    const output = isTransposed ? group * (C / groups) + second! : first!;
    for (const position of indices(isTransposed ? space : outShape.slice(2))) {
      const shifted = position.map((p, axis) => p + kernel[axis]!);
      for (let n = 0; n < N; n++) {
        const [from, to] = isTransposed ? [position, shifted] : [shifted, position];
        const value = w * x.data[at(x.shape, [n, input, ...from])]!;
        const target = at(outShape, [n, output, ...to]);
        y[target]! += value;
        size[target]! += Math.abs(value);
      }
    }
  }
  return { y, size };
}

const zeros = (C: number) => new Float64Array(C);

describe('a batch norm folded', () => {
  it.each(Object.keys(pairs))('is the layer and the batch norm of PyTorch: %s', (name) => {
    const pair = pairs[name]!;
    const C = pair.y.shape[1]!;
    for (const dtype of ['float64', 'float32', 'float16'] as const) {
      const data = elementsFrom(dtype, pair.weight.data);
      const weight = { data, shape: pair.weight.shape };
      const bias = pair.bias && { data: Float64Array.from(pair.bias.data), shape: pair.bias.shape };
      const { layout, groups } = pair;
      const folded = fold({ weight, bias, layout, groups }, layerOf(pair));
      expect(folded.weight.data.constructor).toBe(data.constructor);
      const { y, size } = applied(
        pair,
        { data: numbersOf(folded.weight.data), shape: pair.weight.shape },
        numbersOf(folded.bias.data),
        pair.y.shape,
      );
      // Each folded number is rounded once, to a relative u, or to half the smallest subnormal of float16. Where a weight
      // was rounded before, as here to float16, that is once more. PyTorch's own float64, and the oracle's, have errors of
      // some 100 operations of 2⁻⁵³ of what is added up, before the batch norm's subtraction, too.
      const u = { float64: 2 ** -53, float32: 2 ** -24, float16: 2 ** -11 }[dtype];
      const subnormal = dtype === 'float16' ? 2 ** -25 : 0;
      const { scale, shift } = affine(layerOf(pair));
      const terms = product(pair.weight.shape);
      const plain = applied(pair, pair.weight, pair.bias?.data ?? zeros(C), pair.y.shape);
      const largestX = Math.max(...pair.x.data.map(Math.abs));
      for (const [k, index] of [...indices(pair.y.shape)].entries()) {
        const o = index[1]!;
        const before = Math.abs(scale[o]!) * plain.size[k]! + Math.abs(shift[o]!);
        const bound =
          2.1 * u * Math.max(size[k]!, before) +
          2 * subnormal * (Math.abs(scale[o]!) + 1) * (1 + terms * largestX) +
          200 * 2 ** -53 * before;
        expect(Math.abs(y[k]! - pair.y.data[k]!), `${dtype} ${index}`).toBeLessThanOrEqual(bound);
      }
    }
  });

  it('is the same in any layout', () => {
    const pair = pairs.conv!;
    const { weight: plain } = pair;
    const [O, I, H, W] = plain.shape as [number, number, number, number];
    const reference = fold(
      { weight: { data: Float64Array.from(plain.data), shape: plain.shape }, layout: 'OIHW' },
      layerOf(pair),
    );
    for (const layout of ['HWIO', 'HWOI', 'OHWI', 'IOHW']) {
      const sizes: Readonly<Record<string, number>> = { O, I, H, W };
      const shape = [...layout].map((letter) => sizes[letter]!);
      const permuted = (data: ArrayLike<number>) =>
        Float64Array.from(indices(shape), (index) => {
          const of = (letter: string) => index[layout.indexOf(letter)]!;
          return data[at(plain.shape, [of('O'), of('I'), of('H'), of('W')])]!;
        });
      const folded = fold({ weight: { data: permuted(plain.data), shape }, layout }, layerOf(pair));
      expect(folded.weight.data).toEqual(permuted(reference.weight.data));
      expect(folded.bias).toEqual(reference.bias);
    }
  });

  it('is in every output of a depthwise convolution', () => {
    const pair = pairs.conv!;
    const { scale } = affine(layerOf(pair));
    const weight = { data: new Float64Array(6).fill(1), shape: [1, 1, 3, 2] };
    expect(fold({ weight, layout: 'HWIM' }, layerOf(pair)).weight.data).toEqual(scale);
  });

  it.each([
    ['HW', [6, 4], 1, 'INVALID_OPTION', /layout 'HW'/],
    ['OOI', [6, 1, 4], 1, 'INVALID_OPTION', /layout 'OOI'/],
    ['OMI', [6, 1, 4], 1, 'INVALID_OPTION', /layout 'OMI'/],
    ['OIH', [6, 4], 1, 'INVALID_OPTION', /of shape \[6,4\]/],
    ['OI', [6, 4], 0, 'INVALID_OPTION', /groups 0/],
    ['IO', [6, 4], 1, 'SHAPE_MISMATCH', /4 output channels/],
    ['IO', [4, 3], 3, 'SHAPE_MISMATCH', /3 output channels in 3 groups/],
    ['OI', [6, -4], 1, 'INVALID_TENSOR', /shape/],
  ] as const)('is refused for layout %s of shape %j in %d groups', async (layout, shape, groups, code, message) => {
    const weight = { data: new Float32Array(Math.abs(product(shape))), shape };
    await expectCode(code, () => fold({ weight, layout, groups }, layerOf(pairs.conv!)), message);
  });

  it('is refused with a field that it does not have, such as a misspelt one', async () => {
    const weight = { data: new Float32Array(6), shape: [6, 1] };
    for (const other of [{ group: 2 }, { biases: weight }, { strides: 1 }]) {
      const given = { weight, layout: 'OI', ...other };
      await expectCode('INVALID_OPTION', () => fold(given, layerOf(pairs.conv!)), new RegExp(Object.keys(other)[0]!));
    }
  });

  it('is refused with another bias, or results that the type can not hold', async () => {
    const layer = layerOf(pairs.conv!);
    const weight: Linear['weight'] = { data: new Float32Array(6).fill(3e38), shape: [6, 1] };
    await expectCode('NON_FINITE_STATISTICS', () => fold({ weight, layout: 'OI' }, large(layer)), /weight\[0\]/);
    const bias = { data: new Float32Array(5), shape: [5] };
    await expectCode('SHAPE_MISMATCH', () => fold({ weight, bias, layout: 'OI' }, layer), /bias of 5/);
  });

  function large({ state }: LayerWeights): Pick<LayerWeights, 'state'> {
    return { state: { ...state, gamma: state.gamma.map(() => 1e10) } };
  }
});

describe('the affine form', () => {
  it('is the inference of the layer', async () => {
    const weights = layerOf(pairs.conv!);
    const layer = new BatchNorm({ backend: await createJsBackend(), ...weights.options, dtype: 'float64' });
    await layer.loadState(weights.state);
    const { scale, shift } = affine(await layer.state());
    const x: FloatArray = Float64Array.from({ length: 12 }, (_, k) => Math.sin(k) * 3);
    const y = await layer.forward({ data: x, shape: [2, 6] }, { training: false });
    for (let k = 0; k < 12; k++) {
      const terms = Math.abs(x[k]! * scale[k % 6]!) + Math.abs(shift[k % 6]!) + Math.abs(weights.state.beta[k % 6]!);
      // Some ten operations on either side, each of which rounds what is at most the sum of the terms.
      expect(Math.abs(x[k]! * scale[k % 6]! + shift[k % 6]! - y.data[k]!)).toBeLessThan(40 * 2 ** -53 * terms);
    }
  });

  it('is refused where there is none', async () => {
    const { state } = layerOf(pairs.conv!);
    const other = (options: object, vectors = {}) => ({
      ...state,
      ...vectors,
      options: { ...state.options, ...options },
    });
    await expectCode('UNSUPPORTED', () => affine(other({ activation: 'relu' })), /relu/);
    const none = { runningMean: [], runningVariance: [] };
    await expectCode('UNSUPPORTED', () => affine(other({ trackRunningStatistics: false }, none)), /trackRunning/);
    const constant = { runningVariance: [0, 1, 1, 1, 1, 1] };
    await expectCode('INVALID_STATE', () => affine(other({ epsilon: 0 }, constant)), /runningVariance\[0\] = 0/);
  });
});
