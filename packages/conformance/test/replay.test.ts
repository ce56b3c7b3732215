// Golden cases of any steps, or none: what is judged, and by which bound.
import * as core from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import { parseFixtureFile } from '../src/index.js';
import { replay } from '../src/replay.js';
import { createPlainBackend } from './plain-backend.js';

const matrix = (...data: number[]) => ({ shape: [2, 2], data });
const scale = 1 / Math.sqrt(1 + 1e-5);
const inferenceOnly = {
  name: 'inference only',
  numFeatures: 2,
  epsilon: 1e-5,
  momentum: 0.9,
  gamma: { shape: [2], data: [1, 2] },
  beta: { shape: [2], data: [0, 3] },
  steps: [],
  inference: {
    x: matrix(1, 2, -3, 4),
    y: matrix(scale, 4 * scale + 3, -3 * scale, 8 * scale + 3),
    dy: matrix(1, 1, 2, -1),
    dx: matrix(scale, 2 * scale, 2 * scale, -2 * scale),
    dgamma: { shape: [2], data: [-5 * scale, -2 * scale] },
    dbeta: { shape: [2], data: [3, 0] },
    runningMean: { shape: [2], data: [0, 0] },
    runningVariance: { shape: [2], data: [1, 1] },
  },
};

async function failures(fixture: object): Promise<string[]> {
  const { cases } = parseFixtureFile('test.json', { cases: [fixture] });
  const found = await Promise.all(
    (['float32', 'float64'] as const).map((dtype) => replay(cases[0]!, createPlainBackend(core), dtype)),
  );
  return found.flat().flatMap(({ passed, what, message }) => (passed ? [] : [`${what}${message}`]));
}

it('an inference step alone is judged by the statistics of a new layer', async () => {
  expect(await failures(inferenceOnly)).toEqual([]);
});

it('and wrong values in it fail, each where it is', async () => {
  const { inference } = inferenceOnly;
  const wrong = { ...inference, dgamma: { shape: [2], data: [-5 * scale, -2 * scale * (1 + 1e-5)] } };
  expect(await failures({ ...inferenceOnly, inference: wrong })).toEqual([
    expect.stringMatching(/^inference step 1 dgamma\[1\]: received -1.99.* × the bound$/),
    expect.stringMatching(/^inference step 1 dgamma\[1\]: received -1.99.* × the bound$/),
  ]);
  const moved = { ...inference, runningMean: { shape: [2], data: [1e-30, 0] } };
  expect(await failures({ ...inferenceOnly, inference: moved })).toEqual(
    new Array(2).fill('inference step 1 runningMean[0]: received 0, expected 1e-30, Infinity × the bound'),
  );
});
