// Whatever is handed to what makes a backend or a layer, the answer is a BatchNormError.
import { createGpuJsBackend } from '@batchnorm/backend-gpujs';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { createWebGpuBackend } from '@batchnorm/backend-webgpu';
import { describe, expect, it } from 'vitest';
import { BatchNormError, candidates, createBatchNorm, type ErrorCode, selectBackend } from '../src/index.js';

const refuse = () => {
  throw new Error('nobody reads this');
};
const unreadable = new Proxy({}, { get: refuse, ownKeys: refuse, getOwnPropertyDescriptor: refuse, has: refuse });
const nothing: unknown = Object.create(null);

/** Options that no factory has, by name; and values of every kind for those that it has. */
const strange: readonly unknown[] = [Symbol('s'), nothing, Number.NaN, -1, 1.5, '', 'none', 10n, [], {}, refuse];

type Factory = (options: never) => unknown;

const factories: Readonly<Record<string, readonly [make: Factory, names: readonly string[]]>> = {
  createWasmBackend: [createWasmBackend, ['threads', 'maxBytes', 'worker']],
  createWebGpuBackend: [createWebGpuBackend, ['device', 'adapter', 'powerPreference']],
  createGpuJsBackend: [createGpuJsBackend, ['mode', 'strict']],
  selectBackend: [
    (options) => selectBackend([candidates.js], options),
    [
      'shape',
      'axis',
      'dtype',
      'operation',
      'memory',
      'out',
      'prefer',
      'budgetMs',
      'measure',
      'timeoutMs',
      'pin',
      'signal',
    ],
  ],
  createBatchNorm: [createBatchNorm, ['numFeatures', 'shape', 'backends', 'pin', 'epsilon', 'momentum', 'collective']],
};

const required: Readonly<Record<string, object>> = {
  selectBackend: { shape: [8, 2] },
  createBatchNorm: { numFeatures: 2, backends: ['js'] },
};

async function answerOf(make: Factory, options: unknown): Promise<ErrorCode | 'made' | Error> {
  try {
    await make(options as never);
    return 'made';
  } catch (error) {
    return error instanceof BatchNormError ? error.code : (error as Error);
  }
}

describe.each(Object.entries(factories))('%s', (name, [make, names]) => {
  it('refuses options that throw when they are read', async () => {
    expect(await answerOf(make, unreadable)).toBe('INVALID_OPTION');
    for (const option of names) {
      const throwing = Object.defineProperty({ ...required[name] }, option, { get: refuse, enumerable: true });
      expect([option, await answerOf(make, throwing)]).toEqual([option, 'INVALID_OPTION']);
    }
  });

  it('refuses an option that it does not have', async () => {
    expect(await answerOf(make, { ...required[name], misspelt: 1 })).toBe('INVALID_OPTION');
  });

  it('takes or refuses values of every kind, with a code', async () => {
    for (const option of names) {
      for (const value of strange) {
        if (option === 'worker' && value === refuse) continue; // That is a function.
        const answer = await answerOf(make, { ...required[name], [option]: value });
        expect([option, answer]).toEqual([option, expect.stringMatching(/^made$|^[A-Z_]+$/)]);
      }
    }
  });
});
