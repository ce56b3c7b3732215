// Numbers for random programs, by seed.
import { type Dtype, type Extent, elementsFrom, type FloatArray } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import type { Random } from '../problem.js';
import type { Draw } from './program.js';

export function randomOf(seed: number): Random {
  return uniform(mersenne(seed));
}

const uniform =
  (source: RandomGenerator): Random =>
  () =>
    uniformFloat64(source);

/** The elements of an activation. */
export function draw({ seed, kind }: Draw, extent: Extent, dtype: Dtype): FloatArray {
  const source = mersenne(seed);
  const random = uniform(source);
  const { channels } = extent;
  const sick = Math.floor(random() * channels);
  const [means, deviations] = [new Float64Array(channels), new Float64Array(channels)];
  for (let c = 0; c < channels; c++) [means[c], deviations[c]] = distribution(kind, random);
  const length = extent.outer * channels * extent.inner;
  const values = dtype === 'float64' ? new Float64Array(length) : new Float32Array(length);
  let k = 0;
  for (let o = 0; o < extent.outer; o++) {
    for (let c = 0; c < channels; c++) {
      const mean = means[c]!;
      const deviation = deviations[c]!;
      for (let i = 0; i < extent.inner; i++, k++) values[k] = mean + deviation * bell(source);
    }
  }
  if (kind === 'rows of zeros') {
    const row = channels * extent.inner;
    for (let o = 0; o < extent.outer; o++) if (random() < 0.5) values.fill(0, o * row, (o + 1) * row);
  }
  if (kind === 'one value') values.fill(0).fill(1, Math.floor(length / 2), Math.floor(length / 2) + 1);
  if (kind === 'NaN in a channel') values[sick * extent.inner] = Number.NaN;
  return dtype === 'float16' ? elementsFrom(dtype, values) : values;
}

/** Triangular, with mean 0 and deviation 1: the sum of two 32-bit integers, which is cheap. */
function bell(source: RandomGenerator): number {
  return Math.sqrt(6) * 2 ** -32 * (source.next() + source.next());
}

/** Mean and deviation of one channel. */
function distribution(kind: Draw['kind'], random: Random): [mean: number, deviation: number] {
  const exponent = 4 * random() - 2;
  if (kind === 'far from zero') return [100 * (random() - 0.5) * 10 ** exponent, 10 ** exponent];
  if (kind === 'mixed') return [random() - 0.5, random() < 0.3 ? 0 : 10 ** exponent];
  return [2 * (random() - 0.5), 0.5 + random()];
}

/** [C] numbers for gamma or beta, of either sign and now and then 0. */
export function parametersOf(random: Random, channels: number): Float64Array {
  return Float64Array.from({ length: channels }, () => (random() < 0.1 ? 0 : 4 * (random() - 0.5)));
}
