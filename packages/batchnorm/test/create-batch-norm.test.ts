// The umbrella on the real backends of this platform: what it takes, and what it answers when it can't.
import { nameHere } from '@batchnorm/browser/describe-backend';
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormError, candidates, createBatchNorm, selectBackend } from '../src/index.js';

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] };
const dy = { data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] };

/** JavaScript callers have no types to stop them. */
const wrong = <T>(value: unknown): T => value as T;

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'none',
    (error: unknown) => (error as BatchNormError).code,
  );

describe(`createBatchNorm (${nameHere('batchnorm')})`, () => {
  it('gives a layer that computes, on a backend that it measured', async () => {
    const layer = await createBatchNorm({ numFeatures: 2 });
    const y = await layer.forward(x);
    for (const [k, expected] of [-1.2247, -1.2247, 0, 0, 1.2247, 1.2247].entries()) {
      expect(y.data[k]).toBeCloseTo(expected, 3);
    }
    expect((await layer.backward(dy)).dbeta).toEqual(Float64Array.of(1, 1));
    const chosen = layer.report.candidates.find(({ name }) => name === layer.report.chosen);
    const { engine, device, threads } = layer.options.backend.execution;
    expect(chosen).toMatchObject({ available: true, reason: null, engine, device, threads });
    expect(chosen!.milliseconds).toBeGreaterThan(0);
    expect(chosen!.error).toBeLessThan(1e-6);
    await layer.dispose();
  });

  it('says of every backend whether it works here, or why not', async () => {
    const layer = await createBatchNorm({ numFeatures: 2 });
    expect(layer.report.candidates.map(({ name }) => name)).toEqual(Object.keys(candidates));
    for (const { available, reason } of layer.report.candidates) expect(available).toBe(reason === null);
    expect(JSON.parse(JSON.stringify(layer.report))).toEqual(layer.report);
    await layer.dispose();
  });

  it('is a BatchNorm with the options given', async () => {
    const layer = await createBatchNorm({ numFeatures: 2, epsilon: 1e-3, momentum: 'cumulative', backends: ['js'] });
    expect(layer).toBeInstanceOf(BatchNorm);
    expect(layer.options).toMatchObject({ numFeatures: 2, epsilon: 1e-3, momentum: 'cumulative', axis: 1 });
    await layer.dispose();
  });

  it('takes the first that works without measuring', async () => {
    const broken = { name: 'broken', create: () => Promise.reject(new Error('no driver')) };
    const layer = await createBatchNorm({ numFeatures: 2, backends: [broken, 'js'], measure: false });
    expect(layer.report).toMatchObject({ chosen: 'js', decision: 'order' });
    expect(layer.report.candidates[0]).toMatchObject({ available: false, reason: 'no driver' });
    await layer.dispose();
  });

  it('remembers its choice through JSON', async () => {
    const first = await createBatchNorm({ numFeatures: 2, budgetMs: 20 });
    const cache: unknown = JSON.parse(JSON.stringify(first.cache));
    await first.dispose();
    const second = await createBatchNorm({ numFeatures: 2, cache });
    expect(second.report).toMatchObject({ chosen: first.report.chosen, decision: 'cache' });
    await second.dispose();
  });

  it('takes a pinned backend again, with the same bits, or rejects', async () => {
    const batch = { data: Float32Array.from({ length: 96 }, (_, k) => Math.sin(k) * 1e3), shape: [32, 3] };
    const first = await createBatchNorm({ numFeatures: 3, budgetMs: 20, backends: ['wasm', 'js'] });
    const pin: typeof first.report.pin = JSON.parse(JSON.stringify(first.report.pin));
    const y = (await first.forward(batch)).data.slice();
    await first.dispose();
    const again = await createBatchNorm({ numFeatures: 3, pin });
    expect(again.report).toMatchObject({ chosen: first.report.chosen, decision: 'pin', pin });
    expect((await again.forward(batch)).data).toEqual(y);
    await again.dispose();
    expect(await codeOf(createBatchNorm({ numFeatures: 3, pin: { ...pin, device: 'a GPU' } }))).toBe(
      'BACKEND_UNAVAILABLE',
    );
    expect(await codeOf(createBatchNorm({ numFeatures: 3, pin: { ...pin, name: 'jss' } }))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm({ numFeatures: 3, pin: wrong('js') }))).toBe('INVALID_OPTION');
  });

  it('takes gpujs by a factory that is handed over, as pages do', async () => {
    const { createGpuJsBackend } = await import('@batchnorm/backend-gpujs');
    const gpujs = { name: 'gpujs', create: () => createGpuJsBackend({ mode: 'cpu' }) };
    const layer = await createBatchNorm({ numFeatures: 2, backends: [gpujs, 'js'], budgetMs: 20 });
    expect(layer.report.candidates[0]).toMatchObject({ name: 'gpujs', available: true, engine: 'gpu.js JavaScript' });
    await layer.dispose();
  });

  it('does not time the only backend', async () => {
    const layer = await createBatchNorm({ numFeatures: 2, backends: ['js'] });
    expect(layer.report).toMatchObject({ chosen: 'js', decision: 'only', candidates: [{ milliseconds: null }] });
    await layer.dispose();
  });

  it('takes the only one that has float64', async () => {
    const layer = await createBatchNorm({ numFeatures: 2, dtype: 'float64', backends: ['gpujs', 'js'], budgetMs: 20 });
    expect(layer.report.chosen).toBe('js');
    expect(layer.report.candidates[0]!.reason).toMatch(/DTYPE_MISMATCH|BACKEND_UNAVAILABLE/);
    await layer.dispose();
  });

  it.each([[1], [-1], [0], [2], [-3]])('has a shape to measure for channels on axis %i', async (axis) => {
    const layer = await createBatchNorm({ numFeatures: 3, axis, backends: ['js', 'wasm'], budgetMs: 5 });
    expect(layer.report.candidates[0]!.milliseconds).toBeGreaterThan(0);
    await layer.dispose();
  });

  it.each(['dispose', Symbol.asyncDispose] as const)('frees layer and backend by %s', async (dispose) => {
    const layer = await createBatchNorm({ numFeatures: 2, backends: ['js'], measure: false });
    const { backend } = layer.options;
    await layer.forward(x);
    await layer[dispose]();
    expect(await codeOf(layer.forward(x))).toBe('DISPOSED');
    expect(() => backend.prepare({ extent: { outer: 1, channels: 2, inner: 1 }, dtype: 'float32' })).toThrow(/dispose/);
    await layer[dispose]();
  });

  it('refuses bad input with a code, before any backend is loaded', async () => {
    const options = { numFeatures: 2, backends: ['js'] } as const;
    expect(await codeOf(createBatchNorm(wrong(undefined)))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(wrong({ ...options, numFeatures: 0 })))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(wrong({ ...options, epsilom: 1 })))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(wrong({ ...options, backends: ['jss'] })))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(wrong({ ...options, backends: [] })))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(wrong({ ...options, backends: 'js' })))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm({ ...options, budgetMs: 0 }))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm({ ...options, shape: [8, 3] }))).toBe('SHAPE_MISMATCH');
    expect(await codeOf(createBatchNorm(wrong({ ...options, shape: 8 })))).toBe('INVALID_OPTION');
  });

  it('names its own options, too, where one is misspelt', async () => {
    const misspelt = createBatchNorm(wrong({ numFeatures: 2, backend: ['js'] }));
    await expect(misspelt).rejects.toThrow(
      /an option 'backend', expected numFeatures, .*backends, .*pin, cache, signal/,
    );
  });

  it('refuses what no text can name with a code, too', async () => {
    const nothing = Object.create(null);
    const all: readonly object[] = [
      { numFeatures: Symbol('C') },
      { numFeatures: nothing },
      { axis: Symbol('axis') },
      { dtype: nothing },
      { prefer: Symbol('speed') },
      { shape: Symbol('shape') },
      { shape: nothing },
      { shape: { at: () => Symbol('C') } },
      { shape: [8, Symbol('C')] },
      { shape: [8, nothing] },
      { shape: Object.assign(new Array(3), { 0: 8, 1: 2 }) },
      { backends: Symbol('js') },
      { backends: nothing },
      { backends: [Symbol('js')] },
      { backends: [nothing] },
    ];
    for (const [index, options] of all.entries()) {
      const code = await codeOf(createBatchNorm(wrong({ numFeatures: 2, backends: ['js'], ...options })));
      expect({ index, code }).toEqual({ index, code: 'INVALID_OPTION' });
    }
    expect(await codeOf(createBatchNorm(wrong(Symbol('options'))))).toBe('INVALID_OPTION');
    expect(await codeOf(createBatchNorm(nothing))).toBe('INVALID_OPTION');
  });

  it.each([3e7, 1e9, -1e9, 64, -65])('refuses the axis %d at once, which no tensor has', async (axis) => {
    expect(await codeOf(createBatchNorm({ numFeatures: 2, axis, backends: ['js'] }))).toBe('INVALID_OPTION');
  });

  it.each([2 ** 31, 2 ** 33, 2 ** 40, Number.MAX_SAFE_INTEGER])(
    'refuses %d channels with a code',
    async (numFeatures) => {
      const code = await codeOf(createBatchNorm({ numFeatures, backends: ['js'] }));
      expect(['BACKEND_UNAVAILABLE', 'LIMIT_EXCEEDED']).toContain(code);
    },
  );

  it('refuses a shape of more elements than there can be, before any memory is asked for', async () => {
    const options = { numFeatures: 25, axis: 2, backends: ['js'] } as const;
    expect(await codeOf(createBatchNorm({ ...options, shape: [2, 2 ** 52, 25] }))).toBe('LIMIT_EXCEEDED');
    expect(await codeOf(createBatchNorm({ ...options, shape: [2, 2 ** 40, 25] }))).toBe('BACKEND_UNAVAILABLE');
  });

  it('measures many channels with fewer values of each', async () => {
    const layer = await createBatchNorm({ numFeatures: 200_000, backends: ['js', 'wasm'], budgetMs: 1 });
    expect(layer.report.candidates[0]!.milliseconds).toBeGreaterThan(0);
    await layer.dispose();
  });
});

describe('selectBackend on real backends', () => {
  it('finds them right, and reports time and error', async () => {
    const { backend, report } = await selectBackend(Object.values(candidates), { shape: [64, 8, 4, 4] });
    for (const { available, milliseconds, error } of report.candidates) {
      if (!available) continue;
      expect(milliseconds).toBeGreaterThan(0);
      expect(error).toBeLessThan(1e-6);
    }
    expect(backend.name).toBe(report.chosen);
    await backend.dispose();
  });

  it.runIf('process' in globalThis && !('document' in globalThis))('includes gpu.js on the cpu', async () => {
    const { createGpuJsBackend } = await import('@batchnorm/backend-gpujs');
    const gpujs = { name: 'gpujs-cpu', create: () => createGpuJsBackend({ mode: 'cpu' }) };
    const { backend, report } = await selectBackend([gpujs, candidates.js], { shape: [64, 8], prefer: 'accuracy' });
    expect(report.candidates.map(({ available }) => available)).toEqual([true, true]);
    // float64 sums are more accurate than compensated float32 ones.
    expect(report.chosen).toBe('js');
    await backend.dispose();
  });
});
