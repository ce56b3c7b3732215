// Running the kit without a test runner: progress, abortion, and what is asked of a backend that is given, not made.
import * as core from '@batchnorm/core-api';
import { describe, expect, it, vi } from 'vitest';
import { runCase, runsOf } from '../src/conformance.js';
import { groups, reasonOf, runConformance, suite } from '../src/index.js';
import { createPlainBackend } from './plain-backend.js';
import { createFloat16Backend } from './wrong-backends/float16-backend.js';

const create = () => createPlainBackend(core);

it('tells of every case, and how many there are', async () => {
  const onProgress = vi.fn();
  const results = await runConformance(create, { dtypes: ['float64'], quick: true, onProgress });
  const { length } = runsOf(suite, ['float64']);
  expect(results).toHaveLength(length);
  expect(onProgress).toHaveBeenCalledTimes(length);
  expect(onProgress).toHaveBeenLastCalledWith(results.at(-1), length, length);
});

it('stops when its signal says so, with its reason', async () => {
  const controller = new AbortController();
  const onProgress = vi.fn((_result: object, done: number) => {
    if (done === 3) controller.abort(new Error('enough'));
  });
  await expect(runConformance(create, { signal: controller.signal, onProgress })).rejects.toThrow('enough');
  expect(onProgress).toHaveBeenCalledTimes(3);
});

it('asks a backend without float16 for its refusal, once, and skips the rest', async () => {
  const results = await runConformance(create, { dtypes: ['float16'] });
  expect(results).toHaveLength(suite.filter(({ group }) => group === 'float16').length);
  const refused = results.filter(({ status }) => status === 'refused');
  expect(refused.map(({ name, code }) => [name, code])).toEqual([['a layer of float16', 'DTYPE_MISMATCH']]);
  const reasons = new Set(results.filter((one) => !refused.includes(one)).map(reasonOf));
  expect(reasons).toEqual(new Set(['the backend has no float16']));
});

it('leaves a backend that it was given alive, and skips what would dispose it', async () => {
  const backend = create();
  const results = await runConformance(backend, { dtypes: ['float32'], quick: true });
  expect(results.filter(({ status }) => status === 'failed')).toEqual([]);
  const small = results.filter(({ cell }) => cell?.rule === 'a disposed backend' && cell.size === 'small');
  // In three kinds of memory, and two layouts.
  expect(small.map(({ status }) => status)).toEqual(Array(6).fill('skipped'));
  expect(await backend.prepare({ extent: { outer: 1, channels: 1, inner: 1 }, dtype: 'float32' })).toBeDefined();
});

it('has a case of each group fail when a backend answers nothing', async () => {
  const broken = () =>
    Object.assign(createFloat16Backend(), { prepare: () => Promise.reject(new Error('no kernels')) });
  const results = await runConformance(broken, { dtypes: ['float32', 'float16'], quick: true });
  for (const group of groups) {
    expect(results.find((result) => result.group === group && result.status !== 'skipped')).toMatchObject({
      status: 'failed',
      worst: Number.POSITIVE_INFINITY,
    });
  }
});

it('says of every failed case which error it met', async () => {
  const lost = new core.BatchNormError('DEVICE_LOST', 'received a lost device, expected one that answers');
  const broken = () => Object.assign(createFloat16Backend(), { prepare: () => Promise.reject(lost) });
  const results = await runConformance(broken, { dtypes: ['float32', 'float16'], quick: true });
  const failed = results.filter(({ status }) => status === 'failed');
  expect(new Set(failed.map(({ group }) => group))).toEqual(new Set(groups));
  expect(new Set(failed.map(({ code }) => code))).toEqual(new Set(['DEVICE_LOST']));
});

it('fails a backend that has no dtype at all: every refusal would be right', async () => {
  const none = () => {
    const backend = create();
    return { ...backend, capabilities: { ...backend.capabilities, dtypes: [] } };
  };
  const results = await runConformance(none, { dtypes: ['float32'], quick: true });
  expect(results.find(({ group }) => group === 'exact')).toMatchObject({
    status: 'failed',
    messages: ['capabilities.dtypes: received none, expected one or more'],
  });
});

describe('a backend of float32 sums', () => {
  /** What comes of an adversarial case, if training always fails with this code. */
  async function outcomeOf(name: string, dtype: core.Dtype, code: core.ErrorCode): Promise<object> {
    const backend = create();
    const forwardTraining = () => Promise.reject(new core.BatchNormError(code, 'received 1e30, expected less'));
    const failing: core.Backend = {
      ...backend,
      execution: { ...backend.execution, accumulation: { float32: 'float32', float64: 'float64' } },
      prepare: async (plan) => ({ ...(await backend.prepare(plan)), fused: { forwardTraining } }),
    };
    const one = suite.find((other) => other.name === name)!;
    return runCase(one, { backend: failing, dtype, create: undefined });
  }

  it('may refuse values whose squares are no float32', async () => {
    expect(await outcomeOf('values around ±1e+30', 'float32', 'NON_FINITE_STATISTICS')).toMatchObject({
      status: 'refused',
      code: 'NON_FINITE_STATISTICS',
    });
  });

  it.each([
    ['values around ±1e+30', 'float64', 'NON_FINITE_STATISTICS'],
    ['values around ±1e-30', 'float32', 'NON_FINITE_STATISTICS'],
    ['100,000 rows', 'float32', 'NON_FINITE_STATISTICS'],
    ['values around ±1e+30', 'float32', 'LIMIT_EXCEEDED'],
  ] as const)('may not refuse %s in %s with %s', async (name, dtype, code) => {
    const messages = [expect.stringMatching(`^${code}: `)];
    expect(await outcomeOf(name, dtype, code)).toMatchObject({ status: 'failed', code, messages });
  });
});
