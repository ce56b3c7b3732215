// Batches of one feature to play with: seeded, so that a slider moves the same values and does not draw others.
import type { Tensor } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

/** N: values in a batch. */
export const batchSize = 256;

export interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

/** [N, 1]: normal values, by the transform of Box and Muller (1958). */
export function batchOf({ mean, deviation }: Distribution, seed: number): Tensor {
  const generator = mersenne(seed);
  const data = Float32Array.from({ length: batchSize }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)));
    return mean + deviation * radius * Math.cos(2 * Math.PI * uniformFloat64(generator));
  });
  return { data, shape: [batchSize, 1] };
}
