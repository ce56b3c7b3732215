// What the backend says of itself, what it refuses, and where it can't run.
import { execFile } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BatchNorm } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
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
    for (const options of [5, null, 'threads']) {
      await expectCode('INVALID_OPTION', () => createWasmBackend(options as never), /an object of options/);
    }
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

  describe('with workers of a page', () => {
    const unhandled = vi.fn();

    beforeEach(() => {
      const { getBuiltinModule } = process;
      vi.spyOn(process, 'getBuiltinModule').mockImplementation(((name: string) =>
        name === 'node:worker_threads' ? undefined : getBuiltinModule(name)) as never);
      unhandled.mockClear();
      process.on('unhandledRejection', unhandled);
    });
    afterEach(async () => {
      vi.useRealTimers();
      await setImmediate();
      process.off('unhandledRejection', unhandled);
      expect(unhandled).not.toHaveBeenCalled();
    });

    /** Workers of which `answer` says what they do with the message that starts them. */
    const pageWorkers = (answer: (number: number, tell: (type: string, event: object) => void) => void) => {
      let made = 0;
      const terminate = vi.fn();
      const worker = vi.fn(() => {
        const number = ++made;
        const listeners = new Map<string, (event: object) => void>();
        return {
          addEventListener: (type: string, listener: (event: object) => void) => void listeners.set(type, listener),
          postMessage: () => answer(number, (type, event) => listeners.get(type)!(event)),
          terminate,
        };
      });
      return { worker, terminate };
    };
    const fallback = (reason: string) => ({
      threads: 1,
      fallbackReason: expect.stringContaining(`worker threads did not start: ${reason}`),
    });

    it('works with those that answer', async () => {
      const { worker, terminate } = pageWorkers((_, tell) => tell('message', { data: 'ready' }));
      const backend = await createWasmBackend({ threads: 3, worker });
      expect(backend.execution).toMatchObject({ threads: 3, fallbackReason: null });
      await backend.dispose();
      expect(terminate).toHaveBeenCalledTimes(2);
    });

    it.each([
      ['says nothing', () => undefined],
      ['says something else', (tell: (type: string, event: object) => void) => tell('message', { data: 'hello' })],
    ])('waits 10 s for one that %s, and does without', async (_, answer) => {
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      const { worker, terminate } = pageWorkers((number, tell) =>
        number === 1 ? tell('message', { data: 'ready' }) : answer(tell),
      );
      const made = createWasmBackend({ threads: 3, worker });
      const isMade = vi.fn();
      void made.then(isMade);
      while (worker.mock.calls.length < 2) await setImmediate();
      await vi.advanceTimersByTimeAsync(9_999);
      await setImmediate();
      expect(isMade).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      const backend = await made;
      expect(backend.execution).toMatchObject(fallback('no answer of a worker within 10000 ms'));
      expect(terminate).toHaveBeenCalledTimes(2);
      await backend.dispose();
    });

    it.each([
      ['a promise', async () => undefined, 'received Promise'],
      ['a promise that rejects', async () => expect.fail('late'), 'received Promise'],
      ['undefined', () => undefined, 'received undefined'],
      ['null', () => null, 'received null'],
      ['a number', () => 7, 'received 7'],
      ['an object', () => ({}), 'received Object'],
      ['a port', () => new MessageChannel().port1, 'received MessagePort'],
    ])('does without where the option gives %s', async (_, worker, reason) => {
      const backend = await createWasmBackend({ threads: 3, worker: worker as never });
      expect(backend.execution).toMatchObject(fallback(`${reason} of the option 'worker', expected a Worker`));
      await backend.dispose();
    });

    it('ends a worker that was promised', async () => {
      const { worker, terminate } = pageWorkers(() => undefined);
      const backend = await createWasmBackend({ threads: 3, worker: (async () => worker()) as never });
      expect(backend.execution).toMatchObject(fallback('received Promise'));
      expect(terminate).toHaveBeenCalledTimes(1);
      await backend.dispose();
    });

    it('does without where one fails after another can’t be made, or can’t be ended', async () => {
      const { worker, terminate } = pageWorkers((_, tell) => queueMicrotask(() => tell('error', { message: 'gone' })));
      terminate.mockImplementation(() => {
        throw new Error('not to be ended');
      });
      const once = vi.fn(() => {
        throw new Error('no more of them');
      });
      const backend = await createWasmBackend({
        threads: 3,
        worker: () => (worker.mock.calls.length === 0 ? worker() : once()),
      });
      expect(backend.execution).toMatchObject(fallback('no more of them'));
      expect(terminate).toHaveBeenCalledTimes(1);
      await backend.dispose();
    });
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
