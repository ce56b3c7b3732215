// The data: handwritten digits, split into training and test set, in minibatches.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { type Matrix, matrix } from './matrix.js';
import { permutation, seeded } from './random.js';

export interface Digits {
  /** [N, 64], pixels from 0 (paper) to 1 (ink). */
  readonly images: Matrix;
  /** [N], each 0 to 9. */
  readonly labels: Uint8Array;
}

const file = new URL('../data/digits.csv.gz', import.meta.url);
const pixels = 64;
const darkest = 16;

export function loadDigits(): Digits {
  const lines = gunzipSync(readFileSync(file)).toString('latin1').trimEnd().split('\n');
  const digits = { images: matrix(lines.length, pixels), labels: new Uint8Array(lines.length) };
  lines.forEach((line, n) => {
    const values = line.split(',').map(Number);
    digits.labels[n] = values.pop() as number;
    digits.images.data.set(
      values.map((value) => value / darkest),
      n * pixels,
    );
  });
  return digits;
}

/** Shuffled first: the file is in order of writers. */
export function split(digits: Digits, testSize: number, seed: number): { training: Digits; test: Digits } {
  const order = permutation(digits.labels.length, seeded(seed));
  return { training: select(digits, order.slice(testSize)), test: select(digits, order.slice(0, testSize)) };
}

/** Without end. Each epoch is in an order of its own, and leaves out the last rows where they don't fill a minibatch. */
export function* minibatches(digits: Digits, size: number, seed: number): Generator<Digits, never> {
  const random = seeded(seed);
  for (;;) {
    const order = permutation(digits.labels.length, random);
    for (let n = 0; n + size <= order.length; n += size) yield select(digits, order.slice(n, n + size));
  }
}

function select({ images, labels }: Digits, rows: readonly number[]): Digits {
  const selected = { images: matrix(rows.length, pixels), labels: new Uint8Array(rows.length) };
  rows.forEach((row, n) => {
    selected.images.data.set(images.data.subarray(row * pixels, (row + 1) * pixels), n * pixels);
    selected.labels[n] = labels[row]!;
  });
  return selected;
}
