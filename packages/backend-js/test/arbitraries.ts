// What properties are checked on: extents and seeds.
import type { Extent } from '@batchnorm/core-api';
import fc from 'fast-check';

/** Extents on both sides of every strip and block size, small enough to compute with naive loops. */
export const extents: fc.Arbitrary<Extent> = fc
  .record({
    outer: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 600 })),
    channels: fc.integer({ min: 1, max: 21 }),
    inner: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 40 }), fc.integer({ min: 200, max: 600 })),
  })
  .filter(({ outer, channels, inner }) => outer * channels * inner <= 12_000);

export const seeds: fc.Arbitrary<number> = fc.integer({ min: 0, max: 2 ** 31 - 1 });
