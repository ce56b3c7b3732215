// What each library computes here: x = 3 · signal + 100 by itself, y = BatchNorm(x), dy = y − target by itself, and dx.

/** TensorFlow.js computes on the CPU what has fewer than 1,000 elements. */
export const shape: readonly number[] = [256, 8];
export const numFeatures = 8;
export const length: number = 256 * 8;

/** Eighths of whole numbers, so that x is exact in float32, whoever computes it. */
export const signal: Float32Array = Float32Array.from({ length }, (_, k) => (((k * 37) % 101) - 50) / 8);
export const target: Float32Array = Float32Array.from({ length }, (_, k) => ((k * 29) % 17) / 17 - 0.5);

/** Read at the end, and no earlier. */
export interface Results {
  readonly y: Float32Array;
  readonly dx: Float32Array;
}
