// The shapes that are timed when nobody names any.

/** From a small layer's to a large one's, and a convolution's. */
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

/** One that is all overhead of the call, one in cache, one larger than that, and a convolution's. */
export const quickShapes: readonly (readonly number[])[] = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [8, 64, 28, 28],
];

/** Those of `bench:compare`: in cache, larger, and runs of neighbours. */
export const compareShapes: readonly (readonly number[])[] = [
  [256, 64],
  [1024, 256],
  [8, 64, 28, 28],
];
