// Running the kit without a test runner: progress, abortion, and what is asked of a backend that is given, not made.
import * as core from '@batchnorm/core-api';
import { expect, it, vi } from 'vitest';
import { runConformance, suite } from '../src/index.js';
import { createPlainBackend } from './plain-backend.js';

const create = () => createPlainBackend(core);

it('tells of every case, and how many there are', async () => {
  const onProgress = vi.fn();
  const results = await runConformance(create, { dtypes: ['float64'], onProgress });
  expect(results).toHaveLength(suite.length);
  expect(onProgress).toHaveBeenCalledTimes(suite.length);
  expect(onProgress).toHaveBeenLastCalledWith(results.at(-1), suite.length, suite.length);
});

it('stops when its signal says so, with its reason', async () => {
  const controller = new AbortController();
  const onProgress = vi.fn((_result: object, done: number) => {
    if (done === 3) controller.abort(new Error('enough'));
  });
  await expect(runConformance(create, { signal: controller.signal, onProgress })).rejects.toThrow('enough');
  expect(onProgress).toHaveBeenCalledTimes(3);
});

it('leaves a backend that it was given alive, and skips what would dispose it', async () => {
  const backend = create();
  const results = await runConformance(backend, { dtypes: ['float32'] });
  expect(results.filter(({ status }) => status !== 'passed')).toMatchObject([
    { name: 'a disposed backend', status: 'skipped' },
  ]);
  expect(await backend.prepare({ extent: { outer: 1, channels: 1, inner: 1 }, dtype: 'float32' })).toBeDefined();
});

it('has a case of each group fail when a backend answers nothing', async () => {
  const broken = () => ({ ...create(), prepare: () => Promise.reject(new Error('no kernels')) });
  const results = await runConformance(broken, { dtypes: ['float32'] });
  for (const group of ['golden', 'exact', 'adversarial', 'behaviour']) {
    expect(results.find((result) => result.group === group)).toMatchObject({
      status: 'failed',
      worst: Number.POSITIVE_INFINITY,
    });
  }
});
