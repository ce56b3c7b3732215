// Masks: which positions of a batch have a part in its statistics, as padded sequences and ragged batches need it.
import type { CountedPositions } from './counted-positions.js';
import { describe, describeShape } from './describe.js';
import { refuse } from './errors.js';
import { product } from './extent.js';
import { shapeOf, typedArrayName } from './tensor-checks.js';
import { readUntrusted } from './untrusted.js';

/**
 * The positions of a batch that count: 1 where one does, 0 where not, row-major. The shape is that of x without the
 * channel axis, of which trailing axes may be left out: [N, T] for x of [N, T, C], or [N] where whole samples count.
 */
export interface Mask {
  readonly data: Uint8Array;
  readonly shape: readonly number[];
}

/** A copy of a mask, made when a call is; of what is none, itself, which is refused when the call has its turn. */
export function copyOfMask(mask: Mask | undefined): Mask | undefined {
  try {
    const { data, shape } = Object(mask) as Mask;
    return typedArrayName(data) === 'Uint8Array' ? { data: new Uint8Array(data), shape: [...shape] } : mask;
  } catch {
    return mask;
  }
}

/**
 * The positions that count of an input of `shape` with channels on `axis`; undefined where all do. They may be the
 * mask's own. Errors: `INVALID_TENSOR`, `DTYPE_MISMATCH`, `SHAPE_MISMATCH`.
 */
export function countedPositions(mask: unknown, shape: readonly number[], axis: number): CountedPositions | undefined {
  return readUntrusted('INVALID_TENSOR', 'elements of a mask', () => {
    const { data, shape: sizes } = Object(mask) as Partial<Mask>;
    if (typedArrayName(data) !== 'Uint8Array') {
      const code = ArrayBuffer.isView(data) ? 'DTYPE_MISMATCH' : 'INVALID_TENSOR';
      refuse(code, `mask of ${describe(data ?? mask)}`, '{ data: Uint8Array, shape }');
    }
    const values = data as Uint8Array;
    const maskShape = shapeOf(sizes, 'mask');
    assertMaskShape(maskShape, shape.toSpliced(axis < 0 ? shape.length + axis : axis, 1));
    if (values.length !== product(maskShape)) {
      refuse('INVALID_TENSOR', `mask of ${values.length} elements`, `${product(maskShape)} for its shape`);
    }
    const count = countOf(values);
    if (count === values.length) return undefined;
    // Trailing axes that were left out have the same value throughout.
    const repeats = product(shape) / shape.at(axis)! / values.length;
    return { positions: repeated(values, repeats), count: count * repeats };
  });
}

/** Errors: `SHAPE_MISMATCH` unless `shape` is the beginning of `positions`, x's shape without the channel axis. */
function assertMaskShape(shape: readonly number[], positions: readonly number[]): void {
  const isBeginning = shape.length > 0 && shape.length <= positions.length;
  if (isBeginning && shape.every((size, d) => size === positions[d])) return;
  refuse(
    'SHAPE_MISMATCH',
    `mask of shape ${describeShape(shape)}`,
    `${describeShape(positions)}, the shape of x without channels, or the beginning of it`,
  );
}

/** How many are 1. Errors: `INVALID_TENSOR` for what is neither 0 nor 1. */
function countOf(values: Uint8Array): number {
  let count = 0;
  for (let p = 0; p < values.length; p++) {
    const value = values[p]!;
    if (value > 1) refuse('INVALID_TENSOR', `mask with ${value} at ${p}`, '1 where a position counts, 0 where not');
    count += value;
  }
  return count;
}

/** Each of `values` so many times in a row. */
function repeated(values: Uint8Array, times: number): Uint8Array {
  if (times === 1) return values;
  const positions = new Uint8Array(values.length * times);
  for (let p = 0; p < values.length; p++) if (values[p]) positions.fill(1, p * times, (p + 1) * times);
  return positions;
}
