// What there is to know of the batch norms in a file before one is loaded.
import { BatchNormError } from '@batchnorm/core-api';
import { candidates, type FoundBatchNorm } from './find-batch-norms.js';
import type { TensorFile } from './tensor-file.js';

/** What can be said of a batch norm in a file without loading it into a layer. */
export interface Inspection extends Pick<FoundBatchNorm, 'name' | 'convention' | 'channels' | 'hyperparameters'> {
  /** Undefined where the variances can't be read. */
  readonly smallestVariance: number | undefined;
  /** In words: numbers that are not finite, variances near 0, … */
  readonly warnings: readonly string[];
}

/** Where a file does not say what epsilon is: the default of PyTorch, to compare variances with, and for nothing else. */
const usualEpsilon = 1e-5;

/**
 * Reads the batch norms of a file, one after the other. What has the name of a running mean but is none, because it has no
 * variance or another shape, is there with 0 channels and a warning. Errors: those of
 * `findBatchNorms` and of the file's `read`.
 */
export async function* inspect(file: TensorFile): AsyncGenerator<Inspection> {
  for (const found of candidates(file)) {
    if (!('load' in found)) {
      const { name, convention, warning } = found;
      yield {
        ...{ name, convention, channels: 0, hyperparameters: undefined, smallestVariance: undefined },
        warnings: [warning],
      };
      continue;
    }
    const { name, convention, channels, hyperparameters } = found;
    const warnings: string[] = [];
    const vectors = await readVectors(file, found, warnings);
    const [mean, variance, gamma] = ['mean', 'variance', 'gamma'].map((role) => vectors.get(role));
    for (const { key, values } of vectors.values()) warnings.push(...notFinite(key, values));
    if (variance) warnings.push(...smallVariances(variance.values, hyperparameters?.epsilon));
    if (mean?.values.every((value) => value === 0) && variance?.values.every((value) => value === 1)) {
      warnings.push('running statistics are those of a new layer');
    }
    warnings.push(...count('gamma is 0', gamma?.values ?? [], (value) => value === 0));
    const smallestVariance = variance?.values.reduce(
      (least, value) => Math.min(least, value),
      Number.POSITIVE_INFINITY,
    );
    yield { name, convention, channels, hyperparameters, smallestVariance, warnings };
  }
}

/** What a vector is, by its name in any framework. */
const roles: Readonly<Record<string, string>> = {
  ...{ weight: 'gamma', bias: 'beta', running_mean: 'mean', running_var: 'variance' },
  ...{ gamma: 'gamma', beta: 'beta', moving_mean: 'mean', moving_variance: 'variance' },
  ...{ scale: 'gamma', B: 'beta', input_mean: 'mean', input_var: 'variance' },
};

interface NamedVector {
  readonly key: string;
  readonly values: readonly number[];
}

async function readVectors(
  file: TensorFile,
  { tensors, channels }: FoundBatchNorm,
  warnings: string[],
): Promise<ReadonlyMap<string, NamedVector>> {
  const vectors = new Map<string, NamedVector>();
  for (const [own, key] of Object.entries(tensors)) {
    const role = roles[own];
    if (role === undefined) continue;
    try {
      const values = Array.from((await file.read(key)).data as Float32Array, Number);
      if (values.length !== channels) warnings.push(`${own} has ${values.length} numbers`);
      vectors.set(role, { key: own, values });
    } catch (error) {
      // A tensor that the graph computes, or of a type that is not read: the others still say something.
      if (!(error instanceof BatchNormError && ['UNSUPPORTED', 'INVALID_OPTION'].includes(error.code))) throw error;
      warnings.push(`${own} can't be read: ${error.message}`);
    }
  }
  return vectors;
}

function notFinite(name: string, values: readonly number[]): string[] {
  return count(`${name} is not finite`, values, (value) => !Number.isFinite(value));
}

function smallVariances(values: readonly number[], epsilon: unknown): string[] {
  const limit = typeof epsilon === 'number' ? epsilon : usualEpsilon;
  return [
    ...count('variance is negative', values, (value) => value < 0),
    ...count(`variance is below ${limit}: epsilon decides`, values, (value) => value >= 0 && value < limit),
  ];
}

function count(what: string, values: readonly number[], holds: (value: number) => boolean): string[] {
  const first = values.findIndex(holds);
  if (first < 0) return [];
  return [`${what} in ${values.filter(holds).length} of ${values.length} channels, the first is ${first}`];
}
