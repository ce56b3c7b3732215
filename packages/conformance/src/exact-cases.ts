// Inputs whose results are exact in any order of summation: whole numbers, few enough that even float32 sums of them
// and of their squares round nothing. No tolerance can hide an error here.
import { BatchNorm, type FloatArray, type Tensor } from '@batchnorm/core-api';
import { type Check, outcome } from './compare.js';
import type { ConformanceCase } from './conformance-case.js';
import { refusedByLimit } from './refused-by-limit.js';

/** The largest error, in units of the last place of the number that is expected. */
const allowedUlps = 2;

interface ExactProblem {
  readonly name: string;
  readonly shape: readonly number[];
  readonly axis: number;
  /** The mean of channel c, a whole number. */
  readonly mean: (c: number) => number;
  /** Whether a mask leaves every third sample out: then x is 1000 there, and dy 0. Default false. */
  readonly masked?: boolean;
}

const problems: readonly ExactProblem[] = [
  { name: 'rows', shape: [64, 5], axis: 1, mean: (c) => c },
  { name: 'runs', shape: [4, 5, 16], axis: 1, mean: (c) => -c },
  { name: 'channels last', shape: [4, 16, 5], axis: -1, mean: (c) => 3 * c },
  { name: 'two values', shape: [2, 7], axis: 1, mean: (c) => c },
  { name: 'a wide row', shape: [8, 1030], axis: 1, mean: (c) => c % 16 },
  { name: 'a long column', shape: [4096, 3], axis: 1, mean: (c) => c },
  { name: 'a mean of 4096', shape: [64, 4], axis: 1, mean: () => 4096 },
  { name: 'rows of which some count', shape: [96, 5], axis: 1, mean: (c) => c, masked: true },
  { name: 'runs of which some count', shape: [6, 5, 16], axis: 1, mean: (c) => -c, masked: true },
];

export const exactCases: readonly ConformanceCase[] = problems.map((problem) => ({
  group: 'exact',
  source: 'exact',
  name: problem.name,
  why: 'mean and variance to the bit; y, dx, dgamma and dbeta within 2 units in the last place',
  run: async ({ backend, dtype }) => {
    const { shape, axis, masked = false } = problem;
    const refusal = await refusedByLimit({ backend, dtype }, [shape]);
    if (refusal) return refusal;
    const C = shape.at(axis)!;
    const layer = new BatchNorm({ backend, dtype, numFeatures: C, axis, momentum: 0, epsilon: 3 });
    // Deviations are ±1, so that the variance is 1, √(1 + 3) = 2 and xHat = ±1/2.
    const gamma = 4;
    const beta = 8;
    layer.gamma.fill(gamma);
    layer.beta.fill(beta);
    const length = shape.reduce((a, b) => a * b, 1);
    const M = (length / C) * (masked ? 2 / 3 : 1);
    const counts = (sample: number) => !masked || sample % 3 < 2;
    const data = Uint8Array.from({ length: shape[0]! }, (_, sample) => Number(counts(sample)));
    const x = activation(dtype, shape, length);
    const dy = activation(dtype, shape, length);
    const [y, dx] = [new Float64Array(length), new Float64Array(length)];
    const inner = axis === -1 ? 1 : shape.slice(2).reduce((a, b) => a * b, 1);
    for (let k = 0; k < length; k++) {
      const c = Math.floor(k / inner) % C;
      const sample = Math.floor(k / (inner * C));
      if (!counts(sample)) {
        x.data[k] = 1000;
        y[k] = (gamma * (1000 - problem.mean(c))) / 2 + beta;
        continue;
      }
      const j = (masked ? 2 * Math.floor(sample / 3) + (sample % 3) : sample) * inner + (k % inner);
      const sign = j % 2 === 0 ? 1 : -1;
      x.data[k] = problem.mean(c) + sign;
      // The mean of dy is 2, and that of dy · xHat is 1/2. `rest` adds +1, +1, −1, −1, which changes neither.
      const rest = M % 4 === 0 ? (j % 4 < 2 ? 1 : -1) : 0;
      dy.data[k] = 2 + sign + rest;
      y[k] = gamma * (sign / 2) + beta;
      dx[k] = (gamma / 2) * (dy.data[k]! - 2 - (sign / 2) * (1 / 2));
    }
    const gotY = await layer.forward(x, masked ? { mask: { data, shape: [shape[0]!] } } : {});
    const { dx: gotDx, dgamma, dbeta } = await layer.backward(dy);
    const means = Float64Array.from({ length: C }, (_, c) => problem.mean(c));
    const checks = [
      toTheBit('mean', layer.runningMean, means),
      toTheBit('variance', layer.runningVariance, new Float64Array(C).fill(1)),
      withinUlps('y', gotY.data, y, dtype),
      withinUlps('dx', gotDx.data, dx, dtype),
      withinUlps('dgamma', dgamma, new Float64Array(C).fill(M / 2), 'float32'),
      toTheBit('dbeta', dbeta, new Float64Array(C).fill(2 * M)),
    ];
    await layer.dispose();
    return checks;
  },
}));

function activation(dtype: string, shape: readonly number[], length: number): Tensor {
  return { data: dtype === 'float64' ? new Float64Array(length) : new Float32Array(length), shape };
}

function toTheBit(what: string, received: Float64Array, expected: Float64Array): Check {
  const wrong = expected.findIndex((value, c) => received[c] !== value);
  return outcome(what, wrong < 0, `[${wrong}]: received ${received[wrong]}, expected ${expected[wrong]} to the bit`);
}

function withinUlps(what: string, received: FloatArray, expected: Float64Array, dtype: string): Check {
  const digits = dtype === 'float64' ? 52 : 23;
  const ulpsOf = (value: number, want: number) =>
    Math.abs(value - want) / 2 ** (Math.floor(Math.log2(Math.max(Math.abs(want), 2 ** -126))) - digits);
  const ulps = Array.from(expected, (want, k) => ulpsOf(received[k]!, want));
  const worst = ulps.reduce((at, value, k) => (value <= ulps[at]! ? at : k), 0);
  const message = `[${worst}]: received ${received[worst]}, expected ${expected[worst]}, ${ulps[worst]} ulp`;
  const check = outcome(what, ulps[worst]! <= allowedUlps, message);
  return check.passed ? { ...check, worst: ulps[worst]! / allowedUlps } : check;
}
