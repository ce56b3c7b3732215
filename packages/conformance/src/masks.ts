// The masks that are tried: as a layer gets them, and as kernels do.
import { type CountedPositions, type Mask, product } from '@batchnorm/core-api';

/**
 * `padded`: sequences along the last axis that end early, some at once. `scattered`: any half of the positions, not the
 * first. `samples`: whole samples, said by the first axis alone. `one`: a single position. `all`: every one. `none`:
 * not one, which is refused where a batch normalises.
 */
export type MaskKind = 'padded' | 'scattered' | 'samples' | 'one' | 'all' | 'none';

/** A mask for an input of `shape` with channels on `axis`. By all kinds but `none` at least one position counts. */
export function maskOf(kind: MaskKind, random: () => number, shape: readonly number[], axis = 1): Mask {
  const sizes = withoutChannels(shape, axis);
  const maskShape = kind === 'samples' ? sizes.slice(0, 1) : sizes;
  const data = new Uint8Array(product(maskShape));
  const below = (n: number) => Math.floor(n * random());
  if (kind === 'all') data.fill(1);
  if (kind === 'padded') {
    const length = sizes.at(-1)!;
    for (let begin = 0; begin < data.length; begin += length) data.fill(1, begin, begin + below(length + 1));
  }
  if (kind === 'scattered' || kind === 'samples') {
    for (let p = 1; p < data.length; p++) data[p] = random() < 0.5 ? 1 : 0;
  }
  if (kind !== 'none' && !data.includes(1)) data[below(data.length)] = 1;
  return { data, shape: maskShape };
}

/** What kernels get of a mask; undefined where every position counts. */
export function countedPositions(mask: Mask, shape: readonly number[], axis = 1): CountedPositions | undefined {
  const positions = new Uint8Array(product(withoutChannels(shape, axis)));
  const repeats = positions.length / mask.data.length;
  let count = 0;
  for (let p = 0; p < positions.length; p++) {
    positions[p] = mask.data[Math.floor(p / repeats)]!;
    count += positions[p]!;
  }
  return count === positions.length ? undefined : { positions, count };
}

const withoutChannels = (shape: readonly number[], axis: number) =>
  shape.toSpliced(axis < 0 ? shape.length + axis : axis, 1);
