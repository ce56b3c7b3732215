// Correctness before speed: nothing is timed that does not agree with the straightforward implementation.
import type { FloatArray } from '@batchnorm/core-api';
import type { Implementation } from './implementations.js';
import { epsilon, type Problem, type Results, resultsFor } from './problem.js';
import { RowByRow } from './row-by-row.js';

/** How far results may lie from the expected ones, relative to the largest of them. */
export interface Tolerances {
  readonly activations: number;
  readonly sums: number;
}

/** Two float32 roundings of activations; sums of up to 1e5 float64 terms. */
const ofFloat64Sums: Tolerances = { activations: 2 ** -22, sums: 1e-9 };

/** Runs a forward and a backward, and compares. Errors: an `Error` that names the implementation, the result and the place. */
export async function verify(implementation: Implementation, problem: Problem): Promise<void> {
  await implementation.forward();
  await implementation.backward();
  assertResults(implementation.name, implementation.results, problem, ofFloat64Sums);
}

/** Compares the results that there are with float64 ones. Errors: as above. */
export function assertResults(
  name: string,
  results: Partial<Record<keyof Results, FloatArray>>,
  problem: Problem,
  { activations, sums }: Tolerances,
): void {
  const expected = expectedOf(problem);
  const { y, dx, dgamma, dbeta } = results;
  if (y) assertClose(`${name} y`, y, expected.y, activations);
  if (dx) assertClose(`${name} dx`, dx, expected.dx, activations);
  if (dgamma) assertClose(`${name} dgamma`, dgamma, expected.dgamma, sums);
  if (dbeta) assertClose(`${name} dbeta`, dbeta, expected.dbeta, sums);
}

/** The straightforward results, of runs by way of rows: a channel's values are the same ones. */
function expectedOf(problem: Problem) {
  const { extent, x, dy, gamma, beta } = problem;
  const { outer, channels, inner } = extent;
  const { y, dx, dgamma, dbeta } = resultsFor(problem);
  const layer = new RowByRow(outer * inner, channels);
  const [xRows, dyRows] = [x, dy].map((data) => transpose(data, outer, channels, inner)) as [
    Float32Array,
    Float32Array,
  ];
  layer.forward(xRows, gamma, beta, epsilon, y);
  layer.backward(xRows, dyRows, dgamma, dbeta, dx);
  const back = (data: Float32Array) => transpose(data, outer, inner, channels);
  return { y: back(y), dx: back(dx), dgamma, dbeta };
}

/** [outer, rows, columns] to [outer, columns, rows] */
function transpose(data: Float32Array, outer: number, rows: number, columns: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let k = 0; k < data.length; k++) {
    const [o, r, c] = [Math.floor(k / (rows * columns)), Math.floor(k / columns) % rows, k % columns];
    result[(o * columns + c) * rows + r] = data[k]!;
  }
  if (outer * rows * columns !== data.length) throw new Error(`${data.length} is not ${outer}×${rows}×${columns}`);
  return result;
}

function assertClose(name: string, received: FloatArray, expected: FloatArray, tolerance: number): void {
  let scale = 0;
  for (let k = 0; k < expected.length; k++) scale = Math.max(scale, Math.abs(expected[k]!));
  for (let k = 0; k < expected.length; k++) {
    if (!(Math.abs(received[k]! - expected[k]!) <= tolerance * scale)) {
      throw new Error(`${name}[${k}] is wrong, so it is not timed: received ${received[k]}, expected ${expected[k]}`);
    }
  }
}
