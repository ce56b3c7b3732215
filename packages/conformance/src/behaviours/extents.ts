// The shapes at which behaviours are tried: by layout and size class, channels on axis 1.
import type { Layout, SizeClass } from '../conformance-case.js';

export const layouts: readonly Layout[] = ['rows', 'runs'];
export const sizeClasses: readonly SizeClass[] = ['small', 'blocks', 'elements', 'rows or channels'];

/** A batch, and another one of the same channels. */
export interface Shapes {
  readonly shape: readonly number[];
  readonly other: readonly number[];
}

const of = (shape: readonly number[], other: readonly number[]): Shapes => ({ shape, other });

/**
 * `blocks`: more values than any backend adds up in one block. `elements`: more than 65,536. `rows or channels`: more
 * than 65,536 of either.
 */
export const shapesOf: Readonly<Record<Layout, Readonly<Record<SizeClass, readonly Shapes[]>>>> = {
  rows: {
    small: [of([21, 6], [13, 6])],
    blocks: [of([1031, 5], [300, 5])],
    elements: [of([1027, 67], [513, 67])],
    'rows or channels': [of([65_537, 2], [7, 2]), of([2, 65_537], [1, 65_537])],
  },
  runs: {
    small: [of([3, 6, 7], [2, 6, 7])],
    blocks: [of([3, 5, 523], [2, 5, 300])],
    elements: [of([5, 7, 1999], [3, 7, 1999])],
    'rows or channels': [of([65_537, 2, 2], [7, 2, 2])],
  },
};

/** A power of two, and the numbers on either side of it. */
const around = (size: number): number[] => [size - 1, size, size + 1];

/** Shapes of networks: many channels, round numbers of them, images of 7² and 14² positions, a batch of one. */
const usual: Readonly<Record<Layout, readonly (readonly number[])[]>> = {
  rows: [
    [1, 1000],
    [1, 2048],
    [2, 768],
    [33, 1024],
    [300, 256],
    [1030, 64],
  ],
  runs: [
    [1, 192, 3],
    [2, 512, 49],
    [2, 256, 64],
    [8, 64, 196],
    [33, 128, 5],
    [300, 3, 4],
  ],
};

/**
 * More shapes, for rules about results: those of networks, 2^16 to 2^20 elements, and 2^14 to 2^16 rows, channels and
 * runs. (Smaller powers of two are adversarial cases.)
 */
export const moreShapes: Readonly<Record<Layout, Readonly<Record<SizeClass, readonly (readonly number[])[]>>>> = {
  rows: {
    small: [],
    blocks: [
      ...usual.rows,
      ...[...around(2 ** 14), ...around(2 ** 15)].flatMap((n) => [
        [n, 2],
        [2, n],
      ]),
    ],
    // 1700 × 100: whoever goes through 65,536 elements at a time, or eight channels, has some left.
    elements: [...[...around(2 ** 12), 2 ** 14, 2 ** 16].map((n) => [n, 16]), [2 ** 16 + 1, 17], [1700, 100]],
    'rows or channels': around(2 ** 16).flatMap((n) => [
      [n, 1],
      [n, 2],
      [2, n],
    ]),
  },
  runs: {
    small: [],
    blocks: [
      ...usual.runs,
      // Many runs, each a little longer than eight.
      [1000, 3, 9],
      ...[...around(2 ** 14), ...around(2 ** 15)].flatMap((n) => [
        [n, 2, 2],
        [1, n, 2],
        [1, 2, n],
      ]),
    ],
    elements: [...around(2 ** 12), 2 ** 16 + 1].map((n) => [4, 4, n]),
    'rows or channels': [2 ** 16, 2 ** 16 + 1].flatMap((n) => [
      [n, 2, 2],
      [1, n, 2],
      [1, 2, n],
    ]),
  },
};
