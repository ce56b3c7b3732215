// What a page does with a file; it runs in Node, too.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm } from '@batchnorm/core-api';
import { zipSync } from 'fflate';
import { expect, it } from 'vitest';
import { type FileTensor, findBatchNorms, openNpz, openSafetensors, writeNpy, writeSafetensors } from '../src/index.js';

const vector = (...data: number[]): FileTensor => ({ dtype: 'F32', shape: [2], data: Float32Array.from(data) });
const tensors: Readonly<Record<string, FileTensor>> = {
  'bn.weight': vector(2, 3),
  'bn.bias': vector(1, -1),
  'bn.running_mean': vector(5, 6),
  'bn.running_var': vector(4, 9),
};

it.each([
  ['safetensors', () => writeSafetensors(tensors), openSafetensors],
  [
    'compressed npz',
    () =>
      zipSync(Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [`${name}.npy`, writeNpy(tensor)]))),
    openNpz,
  ],
] as const)('a layer is made of a Blob of %s', async (_, bytes, open) => {
  const [found, ...others] = findBatchNorms(await open(new Blob([bytes().slice()])));
  expect(others).toEqual([]);
  const { options, state } = await found!.load({ eps: 0, momentum: 0.1 });
  const layer = new BatchNorm({ backend: await createJsBackend(), ...options });
  await layer.loadState(state);
  const { data } = await layer.forward({ data: Float32Array.of(7, 3), shape: [1, 2] }, { training: false });
  // (7 − 5) / 2 · 2 + 1 and (3 − 6) / 3 · 3 − 1
  expect([...data]).toEqual([3, -4]);
});
