// A layer of a file and the batch norm after it, folded.
import { numbersOf, refuse } from '@batchnorm/core-api';
import { findBatchNorms, type Hyperparameters } from '../find-batch-norms.js';
import { type FloatTensor, floats } from '../floats.js';
import { fold } from '../fold.js';
import type { FileTensor, TensorFile } from '../tensor-file.js';

/** A layer with its batch norm in it. */
export interface FoldedPair {
  /** By their names in the file: the layer's weight and bias. */
  readonly tensors: readonly (readonly [name: string, tensor: FileTensor])[];
  /** The names of the batch norm's tensors, which nobody needs any more. */
  readonly gone: readonly string[];
}

/** Errors: `INVALID_OPTION` for names that the file does not have, or an epsilon that it does not hold; those of `fold`. */
export async function foldPair(
  file: TensorFile,
  layer: string,
  batchNorm: string,
  {
    layout,
    groups,
    epsilon,
  }: { readonly layout: string; readonly groups: number; readonly epsilon: number | undefined },
): Promise<FoldedPair> {
  const found = findBatchNorms(file).find(({ name }) => name === batchNorm);
  if (found === undefined) refuse('INVALID_OPTION', `a batch norm '${batchNorm}'`, 'one that `inspect` lists');
  if (epsilon === undefined && found.hyperparameters === undefined) {
    refuse('INVALID_OPTION', 'no --epsilon', 'it: the file does not hold it');
  }
  if (epsilon !== undefined && found.hyperparameters !== undefined) {
    refuse('INVALID_OPTION', `--epsilon ${epsilon}`, `none: the file says ${found.hyperparameters.epsilon}`);
  }
  // Of the hyperparameters inference reads epsilon alone.
  const forInference = { momentum: 0.9, axis: 1, ...found.hyperparameters };
  const given = epsilon === undefined ? {} : { [found.convention === 'PyTorch' ? 'eps' : 'epsilon']: epsilon };
  const { state } = await found.load({ ...forInference, ...given } as Hyperparameters);
  const [weightName, biasName] = namesOf(file, layer);
  const weight = await file.read(weightName);
  const bias = file.tensors.has(biasName) ? await file.read(biasName) : undefined;
  const forFold = (tensor: FileTensor) => (weight.dtype === 'BF16' ? widened(floats(tensor)) : floats(tensor));
  const folded = fold({ weight: forFold(weight), bias: bias && forFold(bias), layout, groups }, state);
  const narrow = ({ data, shape }: FloatTensor) => {
    const numbers = numbersOf(data);
    const k = weight.dtype === 'BF16' ? numbers.findIndex((value) => Math.abs(value) >= infiniteBfloat16) : -1;
    if (k >= 0) refuse('NON_FINITE_STATISTICS', `${weightName}: ${numbers[k]}`, 'a number that bfloat16 can hold');
    return { dtype: weight.dtype, shape, data: numbers };
  };
  return {
    tensors: [
      [weightName, narrow(folded.weight)],
      [biasName, narrow(folded.bias)],
    ],
    gone: Object.values(found.tensors),
  };
}

/** 'conv1' is 'conv1.weight' and 'conv1.bias' in PyTorch, 'conv1/kernel' and 'conv1/bias' in Keras. */
function namesOf(file: TensorFile, layer: string): [weight: string, bias: string] {
  for (const [weight, bias] of [
    [`${layer}.weight`, `${layer}.bias`],
    [`${layer}/kernel`, `${layer}/bias`],
  ] as const) {
    if (file.tensors.has(weight)) return [weight, bias];
  }
  refuse('INVALID_OPTION', `a layer '${layer}'`, 'one whose weight is in the file');
}

/** Numbers from here on are rounded to infinity. */
const infiniteBfloat16 = (2 - 2 ** -8) * 2 ** 127;

/** In float64: `fold` has no type of bfloat16 to round to, and numbers are rounded once where they are written. */
function widened({ data, shape }: FloatTensor): FloatTensor {
  return { data: Float64Array.from(numbersOf(data)), shape };
}
