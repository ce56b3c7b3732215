// What the network learns, and the matrix products that it needs.

/** A Float32Array, for example. What a layer returns is one of either precision. */
type Numbers = ArrayLike<number>;

/** `count` points of a square, and for each 1 where it lies in a circle in the middle of it, else 0. */
export function examples(count: number, random: () => number): { points: Float32Array; isInside: Float32Array } {
  const points = Float32Array.from({ length: 2 * count }, () => 1000 + 200 * random()); // BatchNorm sees to the scale
  const isInside = Float32Array.from({ length: count }, (_, row) => {
    const [x, y] = [points[2 * row]! - 1100, points[2 * row + 1]! - 1100];
    return Number(x * x + y * y < 75 ** 2);
  });
  return { points, isInside };
}

/** a · b, of a [rows, inner] and b [inner, columns]. */
export function multiply(a: Numbers, b: Numbers, rows: number, inner: number, columns: number): Float32Array {
  const product = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row += 1) {
    for (let k = 0; k < inner; k += 1) {
      const factor = a[row * inner + k]!;
      for (let column = 0; column < columns; column += 1) {
        product[row * columns + column]! += factor * b[k * columns + column]!;
      }
    }
  }
  return product;
}

/** aᵀ · b, of a [rows, m] and b [rows, n]: [m, n]. */
export function multiplyTransposed(a: Numbers, b: Numbers, rows: number, m: number, n: number): Float32Array {
  const product = new Float32Array(m * n);
  for (let row = 0; row < rows; row += 1) {
    for (let i = 0; i < m; i += 1) {
      for (let j = 0; j < n; j += 1) product[i * n + j]! += a[row * m + i]! * b[row * n + j]!;
    }
  }
  return product;
}

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
