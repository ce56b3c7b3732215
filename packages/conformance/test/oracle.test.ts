// The oracle against those who never heard of it: NumPy, PyTorch and Keras, in float64; and against finite differences.
import { readFile } from 'node:fs/promises';
import { extentOf } from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { builtInFixtures } from '../src/built-in-fixtures.js';
import { compare } from '../src/compare.js';
import { countedOf, type Golden } from '../src/fixtures/fixture-case.js';
import { parseFixtureFile } from '../src/fixtures/parse-fixture-file.js';
import { generateFixtures } from '../src/generated-fixtures.js';
import { magnitudes } from '../src/magnitudes.js';
import { countedPositions, maskOf } from '../src/masks.js';
import { backward, batchStatistics, forward, preactivation } from '../src/oracle.js';
import { normal, randomSeededBy } from '../src/problem.js';

const within = 1e-13;

function expectGolden(what: string, got: Float64Array, want: Golden, magnitude: Float64Array): void {
  const expected = {
    shape: want.shape,
    data: want.data,
    dtype: 'float64',
    magnitude,
    tolerance: new Float64Array(magnitude.length).fill(within),
  } as const;
  const { passed, message } = compare({ shape: want.shape, data: got }, expected);
  expect(passed ? '' : `${what}${message}`).toBe('');
}

for (const { name: file, cases } of await builtInFixtures()) {
  describe(`the oracle agrees to 1e-13 with ${file}`, () => {
    for (const { name, options, gamma, beta, steps } of cases) {
      it(name, () => {
        const { axis, epsilon, numFeatures: C, trackRunningStatistics } = options;
        const parameters = {
          gamma: gamma?.data ?? new Float64Array(C).fill(1),
          beta: beta?.data ?? new Float64Array(C),
        };
        const last = steps.findLast(({ training }) => training);
        const running = trackRunningStatistics && {
          mean: Float64Array.from(last!.runningMean!.data),
          variance: Float64Array.from(last!.runningVariance!.data),
        };
        for (const step of steps) {
          const extent = extentOf(step.x.shape, axis);
          const statistics = !step.training && running ? running : undefined;
          const mask = statistics ? undefined : countedOf(step, axis);
          const residual = step.residual?.data;
          const extras = { mask, residual, activation: options.activation };
          const input = { extent, x: step.x.data, ...parameters, epsilon, statistics, ...extras };
          const normalization = { ...parameters, epsilon, ...(statistics ?? batchStatistics(input.x, extent, mask)) };
          const of = magnitudes(input.x, step.dy?.data, extent, normalization, statistics === undefined, extras);
          expectGolden('y', forward(input), step.y!, of.y);
          if (!step.dy) continue;
          const { dx, dresidual, dgamma, dbeta } = backward(input, step.dy.data);
          if (residual) expect(dresidual).toEqual(Float64Array.from(step.dresidual!.data));
          expectGolden('dx', dx, step.dx!, of.dx);
          if (step.dgamma) expectGolden('dgamma', dgamma, step.dgamma, of.dgamma);
          if (step.dbeta) expectGolden('dbeta', dbeta, step.dbeta, of.dbeta);
        }
      });
    }
  });
}

it('fixtures/oracle.json is what the oracle makes of the adversarial problems now', async () => {
  const file = await readFile(new URL('../fixtures/oracle.json', import.meta.url), 'utf8');
  expect(generateFixtures() === file).toBe(true);
  expect(parseFixtureFile('oracle.json', JSON.parse(file)).cases.length).toBeGreaterThan(20);
});

describe('finite differences agree with the gradients of the oracle', () => {
  const shape = [4, 3, 5];
  const extent = extentOf(shape, 1);
  const masks = {
    'no mask': undefined,
    ...Object.fromEntries(
      (['padded', 'scattered', 'samples', 'one'] as const).map((kind) => [
        `a mask, ${kind}`,
        countedPositions(maskOf(kind, randomSeededBy(kind), shape), shape),
      ]),
    ),
  };
  const variants = Object.entries(masks).flatMap(([name, mask]) =>
    (['none', 'relu'] as const).flatMap((activation) =>
      [true, false].map((throughStatistics) => ({ name, mask, activation, throughStatistics })),
    ),
  );

  it.each(variants)('$name, $activation, statistics of the batch: $throughStatistics', (variant) => {
    const { mask, activation, throughStatistics } = variant;
    const random = randomSeededBy('finite differences');
    const draw = (length: number) => Float64Array.from({ length }, () => normal(random));
    const [x, residual, dy] = [draw(60), draw(60), draw(60)];
    const [gamma, beta] = [draw(3), draw(3)];
    const statistics = throughStatistics ? undefined : { mean: draw(3), variance: Float64Array.of(1, 2, 3) };
    const input = { extent, x, residual, gamma, beta, epsilon: 0.1, mask, activation, statistics };
    const step = 1e-6;
    // A step must not go across the kink.
    expect(preactivation(input).every((z) => Math.abs(z) > 1e-4)).toBe(true);
    const loss = () => forward(input).reduce((sum, y, k) => sum + y * dy[k]!, 0);
    const slopes = (values: Float64Array) =>
      values.map((value, k) => {
        values[k] = value + step;
        const above = loss();
        values[k] = value - step;
        const below = loss();
        values[k] = value;
        return (above - below) / (2 * step);
      });
    const { dx, dresidual, dgamma, dbeta } = backward(input, dy);
    for (const [of, gradient] of [
      [x, dx],
      [residual, dresidual],
      [gamma, dgamma],
      [beta, dbeta],
    ] as const) {
      slopes(of).forEach((slope, k) => {
        expect(gradient[k]).toBeCloseTo(slope, 6);
      });
    }
  });
});

it('dx of a constant channel without epsilon is 0, unless dy is not finite there', () => {
  const extent = extentOf([4, 3], 1);
  const input = { extent, x: new Float64Array(12).fill(2), gamma: [1, 1, 1], beta: [0, 0, 0], epsilon: 0 };
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const dy = new Float64Array(12).fill(-1);
    dy[4] = bad;
    const { dx } = backward(input, dy);
    expect([...dx]).toEqual(Array.from(dx, (_, k) => (k % 3 === 1 ? Number.NaN : 0)));
  }
});
