// The shapes that are timed when nobody names any.

/** Ours: a small layer's to a large one's, and a convolution's. */
const ours = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [4096, 512],
  [16384, 1024],
  [32, 64, 56, 56],
];

/** Those of PyTorch's operator benchmark (benchmarks/operator_benchmark/pt/batchnorm_test.py). */
const pytorchs = [
  [1, 256, 3136],
  [2, 8192],
  [2, 2048],
  [128, 8192],
  [128, 2048],
];

export const allShapes: readonly (readonly number[])[] = [...ours, ...pytorchs];

/** Enough to see the overhead of a call, the cache, and memory. */
export const quickShapes: readonly (readonly number[])[] = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [8, 64, 28, 28],
];
