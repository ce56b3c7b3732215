// Seeded random numbers: Gaussian weights and shuffled rows.
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { mersenne } from 'pure-rand/generator/mersenne';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';

/** The Mersenne Twister spreads its seed: other generators of pure-rand begin alike for all small seeds. */
export function seeded(seed: number): RandomGenerator {
  return mersenne(seed);
}

/** From the normal distribution of mean 0 and deviation 1, by Box and Muller. */
export function gaussian(random: RandomGenerator): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(random)));
  return radius * Math.cos(2 * Math.PI * uniformFloat64(random));
}

/** 0 … count − 1 in random order, by Fisher and Yates. */
export function permutation(count: number, random: RandomGenerator): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = uniformInt(random, 0, i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
