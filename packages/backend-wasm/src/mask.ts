// A mask in linear memory, and the positions that pivots are chosen from.
import { type CountedPositions, type Extent, valuesPerChannel } from '@batchnorm/core-api';
import { samples } from './abi/accumulation.js';
import { maskPositions } from './abi/mask-field.js';
import type { LinearMemory } from './linear-memory.js';

export function bytesOfMask({ positions }: CountedPositions): number {
  return maskPositions + positions.length;
}

/** Writes `mask`, of activations of this extent, to the address `at`. */
export function writeMask({ int32, uint8 }: LinearMemory, at: number, mask: CountedPositions, extent: Extent): void {
  int32.set(sampledPositions(extent, mask), at / 4);
  uint8.set(mask.positions, at + maskPositions);
}

/** The positions of samples (assembly/per-channel.ts): every `step`-th of those that count, from the first on. */
export function sampledPositions(extent: Extent, mask: CountedPositions | undefined): number[] {
  const M = mask?.count ?? valuesPerChannel(extent);
  const count = Math.min(samples, M);
  const step = Math.max(1, Math.floor(M / (count + 1)));
  const sampled: number[] = [];
  for (let p = 0, counted = 0; sampled.length < count; p++) {
    if (mask === undefined) sampled.push(p * step);
    else if (mask.positions[p] === 1 && counted++ === sampled.length * step) sampled.push(p);
  }
  return sampled;
}
