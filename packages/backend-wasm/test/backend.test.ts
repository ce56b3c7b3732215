// What the backend says of itself, what it refuses, and where it can't run.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { BatchNorm } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createWasmBackend } from '../src/index.js';
import { modules } from '../src/modules.js';

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe('createWasmBackend', () => {
  it('refuses options that do not exist or make no sense', async () => {
    for (const threads of [0, -1, 1.5, 65, Number.NaN, '2' as never]) {
      await expectCode('INVALID_OPTION', () => createWasmBackend({ threads }), /threads .*expected a whole number/);
    }
    for (const maxBytes of [0, 131071, 2 ** 32, Number.POSITIVE_INFINITY]) {
      await expectCode('INVALID_OPTION', () => createWasmBackend({ maxBytes }), /maxBytes .*expected a whole number/);
    }
    await expectCode('INVALID_OPTION', () => createWasmBackend({ thread: 1 } as never), /option 'thread'/);
  });

  it('without SIMD is BACKEND_UNAVAILABLE, with the reason', async () => {
    vi.spyOn(WebAssembly, 'validate').mockReturnValue(false);
    await expectCode('BACKEND_UNAVAILABLE', () => createWasmBackend(), /no WebAssembly SIMD/);
    vi.stubGlobal('WebAssembly', undefined);
    await expectCode('BACKEND_UNAVAILABLE', () => createWasmBackend(), /no WebAssembly/);
  });

  it('asks with modules that this engine knows: SIMD and threads are here', async () => {
    const validate = vi.spyOn(WebAssembly, 'validate');
    const backend = await createWasmBackend({ threads: 2 });
    const [simd, threads, relaxed] = validate.mock.results.map(({ value }) => value);
    expect([simd, threads]).toEqual([true, true]);
    expect(backend.execution.engine).toBe(relaxed ? 'WebAssembly relaxed SIMD' : 'WebAssembly SIMD');
    await backend.dispose();
  });

  it('with relaxed SIMD gives results of the same quality', async () => {
    const flag = '--experimental-wasm-relaxed-simd';
    const program = `
      const { runConformance } = await import('@batchnorm/conformance');
      const { createWasmBackend } = await import('@batchnorm/backend-wasm');
      const backend = await createWasmBackend({ threads: 2 });
      const results = await runConformance(() => createWasmBackend({ threads: 2 }), { quick: true });
      console.log(JSON.stringify([backend.execution.engine, results.filter(({ status }) => status === 'failed').length]));`;
    const args = ['--input-type=module', '-e', program];
    const known = process.allowedNodeEnvironmentFlags.has(flag) || process.versions.v8.startsWith('11.3');
    const run = await promisify(execFile)(process.execPath, known ? [flag, ...args] : args);
    expect(JSON.parse(run.stdout)).toEqual(['WebAssembly relaxed SIMD', 0]);
  });

  it.each([
    ['without shared memory', 'SharedArrayBuffer', undefined, /not cross-origin isolated/],
    ['in a page that is not cross-origin isolated', 'crossOriginIsolated', false, /not cross-origin isolated/],
  ])('%s runs on one thread, and says why', async (_name, global, value, reason) => {
    vi.stubGlobal(global, value);
    const backend = await createWasmBackend({ threads: 2 });
    expect(backend.execution).toMatchObject({ threads: 1, fallbackReason: expect.stringMatching(reason) });
    const layer = new BatchNorm({ backend, numFeatures: 1 });
    const y = await layer.forward({ data: Float32Array.of(1, 3), shape: [2, 1] });
    expect(y.data[1]).toBeCloseTo(1, 4);
    await backend.dispose();
  });

  it('without WebAssembly threads runs on one thread, and says why', async () => {
    const validate = WebAssembly.validate;
    vi.spyOn(WebAssembly, 'validate').mockImplementation((bytes) => {
      const isShared = new Uint8Array(bytes as ArrayBuffer).includes(0xfe);
      return !isShared && validate(bytes);
    });
    const backend = await createWasmBackend({ threads: 2 });
    expect(backend.execution).toMatchObject({ threads: 1, fallbackReason: 'this engine has no WebAssembly threads' });
    await backend.dispose();
  });

  it('where workers do not start runs on one thread, and says why', async () => {
    const { getBuiltinModule } = process;
    vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) => {
      if (name !== 'node:worker_threads') return getBuiltinModule(name);
      return {
        Worker: class {
          constructor() {
            throw new Error('no more of them');
          }
        },
      };
    }) as never);
    const backend = await createWasmBackend({ threads: 2 });
    expect(backend.execution).toMatchObject({
      threads: 1,
      fallbackReason: 'worker threads did not start: no more of them',
    });
    await backend.dispose();
  });

  it('one thread that was asked for is no fallback', async () => {
    const backend = await createWasmBackend({ threads: 1 });
    expect(backend.execution).toMatchObject({ threads: 1, fallbackReason: null });
    await backend.dispose();
  });
});

describe('a module', () => {
  it('has less than 72 kB, of which float16 is nearly half', () => {
    for (const text of Object.values(modules)) expect(atob(text).length).toBeLessThan(72 * 1024);
  });
});
