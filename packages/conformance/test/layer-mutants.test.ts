// The kit judges a backend through the layer, so it must catch wrong layers, too: each takes one option in a wrong way.
import type { BatchNormOptions } from '@batchnorm/core-api';
import { describe, expect, it, vi } from 'vitest';

interface LayerMutant {
  readonly name: string;
  readonly change: (options: BatchNormOptions) => Partial<BatchNormOptions>;
}

const mutants: readonly LayerMutant[] = [
  {
    name: 'momentum reversed',
    change: ({ momentum = 0.9 }) => ({ momentum: typeof momentum === 'number' ? 1 - momentum : momentum }),
  },
  {
    name: 'the cumulative average with a momentum',
    change: ({ momentum = 0.9 }) => ({ momentum: momentum === 'cumulative' ? 0.9 : momentum }),
  },
  { name: 'the biased running variance for the unbiased', change: () => ({ runningVariance: 'population' }) },
  { name: 'the unbiased running variance for the biased', change: () => ({ runningVariance: 'sample' }) },
  { name: 'epsilon left at its default', change: () => ({ epsilon: 1e-5 }) },
  { name: 'channels always on axis 1', change: () => ({ axis: 1 }) },
  { name: 'running statistics always', change: () => ({ trackRunningStatistics: true }) },
  { name: 'batch statistics always', change: () => ({ trackRunningStatistics: false }) },
];

/** The kit with a layer of its own, and the plain backend. */
async function caughtBy(change: LayerMutant['change']): Promise<string | undefined> {
  vi.resetModules();
  vi.doMock('@batchnorm/core-api', async (importOriginal) => {
    const core = await importOriginal<typeof import('@batchnorm/core-api')>();
    class BatchNorm extends core.BatchNorm {
      constructor(options: BatchNormOptions) {
        super({ ...options, ...change(options) });
      }
    }
    return { ...core, BatchNorm };
  });
  const core = await import('@batchnorm/core-api');
  const { runCase } = await import('../src/conformance.js');
  const { suite } = await import('../src/suite.js');
  const { createPlainBackend } = await import('./plain-backend.js');
  const create = () => createPlainBackend(core);
  for (const one of suite) {
    const { status, source, name, messages } = await runCase(
      one,
      { backend: create(), dtype: one.dtype ?? 'float64', create },
      { quick: true },
    );
    if (status === 'failed') return `${source}, ${name}: ${messages[0]}`;
  }
  return undefined;
}

it('the layer as it is passes', async () => {
  expect(await caughtBy(() => ({}))).toBeUndefined();
});

describe('a layer with', () => {
  it.each(mutants)('$name is caught', async ({ change }) => {
    const check = await caughtBy(change);
    expect(check).toBeDefined();
    // Which check it was, for whoever reads the log.
    console.info(`${expect.getState().currentTestName}: ${check}`);
  });
});
