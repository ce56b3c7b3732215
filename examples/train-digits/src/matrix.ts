// Matrices: float32 and row-major, as BatchNorm takes and returns them, and their product.

export interface Matrix {
  readonly data: Float32Array;
  readonly shape: readonly [rows: number, columns: number];
}

export function matrix(rows: number, columns: number): Matrix {
  return { data: new Float32Array(rows * columns), shape: [rows, columns] };
}

/** `buffer` if it has so many rows, else a new one: minibatches have, so that training allocates nothing. */
export function reuse(buffer: Matrix | undefined, rows: number, columns: number): Matrix {
  return buffer?.shape[0] === rows ? buffer : matrix(rows, columns);
}

/** How a product walks a matrix: the distance from a row to the next, and from a column to the next. */
interface View extends Matrix {
  readonly strides: readonly [down: number, across: number];
}

/** Aᵀ, without moving an element. */
export function transpose({ data, shape: [rows, columns] }: Matrix): View {
  return { data, shape: [columns, rows], strides: [1, columns] };
}

/**
 * C = A · B, in tiles of 2×2 elements: four sums are under way at a time, and every element that is read serves two.
 * At an odd edge the last row or column is in its tile twice.
 */
export function multiply(a: Matrix | View, b: Matrix | View, c: Matrix): void {
  const [rows, columns] = c.shape;
  const [, depth] = a.shape;
  const [aDown, aAcross] = stridesOf(a);
  const [bDown, bAcross] = stridesOf(b);
  const A = a.data;
  const B = b.data;
  const C = c.data;
  for (let i0 = 0; i0 < rows; i0 += 2) {
    const i1 = Math.min(i0 + 1, rows - 1);
    for (let j0 = 0; j0 < columns; j0 += 2) {
      const j1 = Math.min(j0 + 1, columns - 1);
      let [c00, c01, c10, c11] = [0, 0, 0, 0];
      for (let k = 0; k < depth; k++) {
        const a0 = A[i0 * aDown + k * aAcross]!;
        const a1 = A[i1 * aDown + k * aAcross]!;
        const b0 = B[k * bDown + j0 * bAcross]!;
        const b1 = B[k * bDown + j1 * bAcross]!;
        c00 += a0 * b0;
        c01 += a0 * b1;
        c10 += a1 * b0;
        c11 += a1 * b1;
      }
      C[i0 * columns + j0] = c00;
      C[i0 * columns + j1] = c01;
      C[i1 * columns + j0] = c10;
      C[i1 * columns + j1] = c11;
    }
  }
}

function stridesOf(m: Matrix | View): View['strides'] {
  return 'strides' in m ? m.strides : [m.shape[1], 1];
}
