// Batches of one feature to play with: seeded, so that a slider moves the same values and does not draw others.
import type { Tensor } from '@batchnorm/core-api';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

/** N: enough for a histogram, and few enough to see what one value does to the others. */
export const batchSizes = { many: 256, few: 24 } as const;

/** Of the batch that is shown. */
export const seed = 7;

export interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

/** [N, 1]: normal values in ascending order, by the transform of Box and Muller (1958). */
export function batchOf({ mean, deviation }: Distribution, N: number, seed: number): Tensor {
  const generator = mersenne(seed);
  const data = Float32Array.from({ length: N }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(generator)));
    return mean + deviation * radius * Math.cos(2 * Math.PI * uniformFloat64(generator));
  });
  return { data: data.sort(), shape: [N, 1] };
}
