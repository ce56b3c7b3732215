// Loops over elements by channel, and the sums that the oracle is made of.
import { expect, it } from 'vitest';
import { channelOf, channelsOf, float64Of, meansOf } from '../src/channels.js';

const extents = [
  { outer: 5, channels: 3, inner: 1 },
  { outer: 3, channels: 5, inner: 1 },
  { outer: 1, channels: 3, inner: 5 },
  { outer: 2, channels: 3, inner: 4 },
];

it('know the channel of every element, also after another extent of as many elements', () => {
  for (const extent of [...extents, ...extents]) {
    const channels = channelsOf({ ...extent });
    expect(channels).toHaveLength(extent.outer * extent.channels * extent.inner);
    expect([...channels]).toEqual(Array.from(channels, (_, k) => channelOf(k, extent)));
  }
});

it('add up each channel by itself, and lose nothing that a larger term hides', () => {
  for (const extent of extents) {
    const M = extent.outer * extent.inner;
    const channels = channelsOf(extent);
    const seen = new Int32Array(extent.channels);
    // In each channel: 1e16, ones, and −1e16 at the end. Without compensation the ones are lost.
    const values = Float64Array.from(channels, (c) => {
      const j = seen[c]!++;
      return j === 0 ? 1e16 * (c + 1) : j === M - 1 ? -1e16 * (c + 1) : 1;
    });
    expect([...meansOf(values, extent)]).toEqual(new Array(extent.channels).fill((M - 2) / M));
  }
});

it('take numbers of any kind of array', () => {
  const values = new Float64Array([1.5, -2, Number.NaN]);
  expect(float64Of(values)).toBe(values);
  expect(float64Of([1.5, -2, Number.NaN])).toEqual(values);
  expect(float64Of(Float32Array.from(values))).toEqual(values);
});
