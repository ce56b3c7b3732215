// Calls that TypeScript would not let pass: whoever has none gets a code, and no TypeError from within.

import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import {
  affine,
  findBatchNorms,
  fold,
  fromKeras,
  fromOnnx,
  fromPyTorch,
  inspect,
  openNpz,
  openOnnx,
  openPyTorch,
  openSafetensors,
  safetensorsParts,
  toKeras,
  toOnnx,
  toPyTorch,
  writeNpy,
  writeNpz,
  writeOnnx,
  writeSafetensors,
} from '../src/index.js';

const nothing = null as never;
const vectors = { running_mean: [1], running_var: [1] };
const moving = { moving_mean: [1], moving_variance: [1] };
const torch = { eps: 1e-5, momentum: 0.1 };
const keras = { epsilon: 1e-3, momentum: 0.99, axis: -1 };
const layer = fromPyTorch(vectors, torch);
const weight = { data: Float32Array.of(1), shape: [1, 1] };
const tensor = { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const;
const bytes = writeSafetensors(vectorsOf('a'));
const file = await openSafetensors(bytes);

function vectorsOf(path: string) {
  return { [`${path}.running_mean`]: tensor, [`${path}.running_var`]: tensor };
}

describe('a call with null, or without what it needs', () => {
  it.each<readonly [name: string, code: Parameters<typeof expectCode>[0], call: () => unknown]>([
    ['fromPyTorch(null)', 'INVALID_STATE', () => fromPyTorch(nothing, torch)],
    ['fromPyTorch(…, null)', 'INVALID_OPTION', () => fromPyTorch(vectors, nothing)],
    ['a weight of null', 'INVALID_STATE', () => fromPyTorch({ ...vectors, weight: nothing }, torch)],
    ['a running_mean of null', 'INVALID_STATE', () => fromPyTorch({ ...vectors, running_mean: nothing }, torch)],
    [
      'num_batches_tracked null',
      'INVALID_STATE',
      () => fromPyTorch({ ...vectors, num_batches_tracked: nothing }, torch),
    ],
    ['fromKeras(null)', 'INVALID_OPTION', () => fromKeras(nothing, keras)],
    ['fromKeras(…, null)', 'INVALID_OPTION', () => fromKeras(moving, nothing)],
    ['fromKeras(…, …, null)', 'INVALID_OPTION', () => fromKeras(moving, keras, nothing)],
    ['a gamma of null', 'INVALID_STATE', () => fromKeras({ ...moving, gamma: nothing }, keras)],
    ['fromOnnx(null)', 'INVALID_OPTION', () => fromOnnx(nothing, { epsilon: 1e-5, momentum: 0.9 })],
    ['toPyTorch(null)', 'INVALID_STATE', () => toPyTorch(nothing)],
    ['toPyTorch(…, null)', 'INVALID_OPTION', () => toPyTorch(layer, nothing)],
    ['toKeras(null)', 'INVALID_STATE', () => toKeras(nothing)],
    ['toOnnx(null)', 'INVALID_STATE', () => toOnnx(nothing)],
    ['affine(null)', 'INVALID_STATE', () => affine(nothing)],
    ['fold(null)', 'INVALID_TENSOR', () => fold(nothing, layer)],
    ['fold(…, null)', 'INVALID_STATE', () => fold({ weight, layout: 'OI' }, nothing)],
    ['no layout', 'INVALID_OPTION', () => fold({ weight, layout: undefined as never }, layer)],
    ['a layout that is a list', 'INVALID_OPTION', () => fold({ weight, layout: ['O', 'I'] as never }, layer)],
    ['a bias without data', 'INVALID_TENSOR', () => fold({ weight, layout: 'OI', bias: {} as never }, layer)],
    ['findBatchNorms(null)', 'INVALID_OPTION', () => findBatchNorms(nothing)],
    ['findBatchNorms(bytes)', 'INVALID_OPTION', () => findBatchNorms(bytes as never)],
    ['findBatchNorms(promise)', 'INVALID_OPTION', () => findBatchNorms(openSafetensors(bytes) as never)],
    ['inspect(bytes)', 'INVALID_OPTION', () => inspect(bytes as never).next()],
    ['load(null)', 'INVALID_OPTION', () => findBatchNorms(file)[0]!.load(nothing)],
    ['writeSafetensors(null)', 'INVALID_OPTION', () => writeSafetensors(nothing)],
    ['writeSafetensors(…, null)', 'INVALID_OPTION', () => writeSafetensors({ tensor }, nothing)],
    ['metadata of a number', 'INVALID_OPTION', () => writeSafetensors({ tensor }, { a: 1 as never })],
    ['metadata of half a character', 'INVALID_OPTION', () => writeSafetensors({ tensor }, { a: '\ud800' })],
    ['a name of half a character', 'INVALID_OPTION', () => writeSafetensors({ '\ud800': tensor })],
    [
      'a name of half a character, in parts',
      'INVALID_OPTION',
      () => safetensorsParts(new Map([['\ud800', tensor]]), async () => tensor).next(),
    ],
    ['a tensor of null', 'INVALID_TENSOR', () => writeSafetensors({ a: nothing })],
    ['a tensor without a shape', 'INVALID_TENSOR', () => writeSafetensors({ a: { ...tensor, shape: nothing } })],
    ['a tensor of a list', 'INVALID_TENSOR', () => writeSafetensors({ a: { ...tensor, data: [1] as never } })],
    ['a tensor of no type', 'INVALID_TENSOR', () => writeSafetensors({ a: { ...tensor, dtype: 'float32' as never } })],
    ['safetensorsParts(null)', 'INVALID_OPTION', () => safetensorsParts(nothing, nothing).next()],
    ['writeNpy(null)', 'INVALID_TENSOR', () => writeNpy(nothing)],
    ['writeNpz(null)', 'INVALID_OPTION', () => writeNpz(nothing)],
    ['writeNpz of null', 'INVALID_TENSOR', () => writeNpz({ a: nothing })],
    ['writeOnnx(null)', 'INVALID_TENSOR', () => writeOnnx(nothing, 4)],
  ])('is refused with a code: %s', (_, code, call) => expectCode(code, call));

  it.each([openSafetensors, openNpz, openPyTorch, openOnnx])('is refused with a code: %o of null', async (open) => {
    await expect(open(nothing)).rejects.toHaveProperty('code');
  });
});
