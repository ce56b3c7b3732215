// A golden file whose results are known without a computer.

/** One training step whose results are known: x = ±1 has mean 0 and variance 1. */
export function golden(y: readonly number[]) {
  const array = (...data: number[]) => ({ shape: [data.length, 1], data });
  const vector = (value: number) => ({ shape: [1], data: [value] });
  const step = { x: array(-1, 1, -1, 1), y: array(...y), runningMean: vector(0), runningVariance: vector(1) };
  const common = { numFeatures: 1, epsilon: 3, momentum: 0.9, gamma: vector(2), beta: vector(5) };
  return { format: 1, cases: [{ name: 'by hand', ...common, steps: [step] }] };
}
