// Running statistics recomputed from many batches: exact, resumable, and all or nothing.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import {
  type Batches,
  BatchNorm,
  type BatchNormOptions,
  type CalibrationCheckpoint,
  type CalibrationOptions,
  type CalibrationProgress,
  calibrate,
  hostBackend,
  type Moments,
  mergeMoments,
  type Tensor,
} from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { mergeBound, w } from './merge-bound.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 2;
const nothing = () => undefined;
/** Passes that find no moments, at once. */
const still = { moments: nothing, normalize: nothing, gradientSums: nothing, inputGradient: nothing };
const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64', ...options });
const doubles = (n: number) => new Float64Array(n);
const rows = (N: number, seed: number) => filled([N, C], seed, doubles);

/** Uneven batches of values around means that move. */
const batches = [5, 1, 17, 2, 2, 40, 3, 8, 1, 1, 13].map((N, k) => rows(N, 3 * k));
const whole = concatenated(batches);
const seeded = { seed: 14, numRuns: 50 };

function concatenated(all: readonly Tensor[]): Tensor {
  const data = all.flatMap(({ data }) => [...data]);
  return { data: Float64Array.from(data), shape: [data.length / C, C] };
}

/** A layer that has seen something else before. */
async function trained(options: Partial<BatchNormOptions> = {}): Promise<BatchNorm> {
  const layer = newLayer(options);
  await layer.forward(filled([6, C], 9, doubles));
  return layer;
}

async function calibrated(of: Batches, options?: CalibrationOptions): Promise<BatchNorm> {
  const layer = await trained({ momentum: 'exact' });
  await calibrate(layer, of, options);
  return layer;
}

/** An iterator that tells how often it was asked, and whether it was ended. */
function watched(of: readonly unknown[], failAt = Number.POSITIVE_INFINITY) {
  const source = {
    asked: 0,
    returned: 0,
    [Symbol.iterator]: () => source,
    next() {
      if (source.asked === failAt) throw new Error('no more data');
      const value = of[source.asked++] as Tensor;
      return { value, done: value === undefined } as IteratorResult<Tensor>;
    },
    return() {
      source.returned++;
      return { value: undefined, done: true } as IteratorResult<Tensor>;
    },
  };
  return source;
}

describe('calibrate()', () => {
  it('gives the statistics of the concatenated batches, within the bound', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 0, max: 1000 }), async (sizes, seed) => {
        const all = sizes.map((N, k) => rows(N, seed + k));
        const layer = newLayer();
        const expected = await layer.moments(concatenated(all));
        const parts: Moments[] = [];
        for (const batch of all) parts.push(await layer.moments(batch));
        const received = await calibrate(layer, all);
        const depth = Math.floor(Math.log2(all.length)) + 1;
        const M = expected.count;
        for (let c = 0; c < C; c++) {
          const A = Math.max(...concatenated(all).data.map(Math.abs));
          // The backend adds up x/M straight on, and the golden side as many more.
          const errors = { mean: 2 * (M + 1) * w * A, m2: 2 * (M + 4) * w };
          const bound = mergeBound(parts, depth, expected, c, errors);
          expect(Math.abs(received.mean[c]! - expected.mean[c]!)).toBeLessThanOrEqual(bound.mean);
          expect(Math.abs(received.m2[c]! - expected.m2[c]!)).toBeLessThanOrEqual(bound.m2);
          expect(layer.runningMean[c]).toBe(received.mean[c]);
          expect(layer.runningVariance[c]).toBe(received.m2[c]! / M);
        }
      }),
      seeded,
    );
  });

  it('replaces what was there, whatever the momentum is', async () => {
    for (const momentum of [0.9, 1, 'cumulative', 'exact'] as const) {
      const layer = await trained({ momentum });
      await calibrate(layer, batches);
      const [fresh, trainedOn] = [newLayer({ momentum }), newLayer({ momentum: 'exact' })];
      await calibrate(fresh, batches);
      for (const batch of batches) await trainedOn.forward(batch);
      expect(await layer.state()).toEqual(await fresh.state());
      expect([...layer.runningVariance]).toEqual([...trainedOn.runningVariance].map((v) => expect.closeTo(v, 12)));
      expect(layer.batchesTracked).toBe(batches.length);
      expect((await layer.forward(whole, { training: false })).shape).toEqual(whole.shape);
    }
  });

  it('weighs values, where update_bn of PyTorch weighs batches', async () => {
    const uneven = [tensor([3, C], [1, 0, 2, 0, 3, 0]), tensor([1, C], [10, 0]), tensor([2, C], [4, 0, 6, 0])];
    const options = { dtype: 'float32', varianceEstimator: 'sample' } as const;
    // momentum=None, after reset_running_stats(). A batch of one value has no sample variance there.
    const updateBn = newLayer({ ...options, momentum: 'cumulative' });
    for (const batch of [uneven[0]!, uneven[2]!]) await updateBn.forward(batch);
    expect([updateBn.runningMean[0], updateBn.runningVariance[0]]).toEqual([3.5, 1.5]);
    const layer = newLayer(options);
    await calibrate(layer, [uneven[0]!, uneven[2]!]);
    expect([...layer.runningMean, ...layer.runningVariance]).toEqual([16 / 5, 0, expect.closeTo(3.7, 14), 0]);
    await calibrate(layer, uneven);
    expect([...layer.runningMean, ...layer.runningVariance]).toEqual([
      expect.closeTo(26 / 6, 14),
      0,
      expect.closeTo((166 - 26 ** 2 / 6) / 5, 13),
      0,
    ]);
  });

  it('merges pairwise, as a binary counter counts', async () => {
    /** The first half, where that is a power of two, else the largest power of two: then the others. */
    const tree = (of: readonly Moments[]): Moments => {
      if (of.length === 1) return of[0]!;
      const power = 2 ** (Math.ceil(Math.log2(of.length)) - 1);
      return mergeMoments(tree(of.slice(0, power)), tree(of.slice(power)));
    };
    const layer = newLayer();
    const parts: Moments[] = [];
    for (const batch of batches) {
      parts.push(await layer.moments(batch));
      expect(await calibrate(layer, batches.slice(0, parts.length))).toEqual(tree(parts));
    }
  });

  it('takes iterables and async ones, of host and device tensors, to the same bits', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    async function* onDevice() {
      for (const batch of batches) {
        const tensor = backend.upload(batch);
        yield tensor;
        tensor.dispose();
      }
    }
    const expected = await calibrate(layer, batches);
    expect(await calibrate(layer, new Set(batches))).toEqual(expected);
    expect(await calibrate(layer, onDevice())).toEqual(expected);
    await layer.dispose();
    expect(backend.alive.size).toBe(0);
  });

  it('lets a source use its buffer again', async () => {
    const buffer = new Float64Array(40 * C);
    function* reused() {
      for (const { data, shape } of batches) {
        buffer.set(data);
        yield { data: buffer.subarray(0, data.length), shape };
        buffer.fill(Number.NaN);
      }
    }
    expect(await calibrate(newLayer(), reused())).toEqual(await calibrate(newLayer(), batches));
  });

  it('counts empty batches, where they may pass, as seen and not as tracked', async () => {
    const empty = { data: new Float64Array(0), shape: [0, C] };
    const layer = newLayer({ emptyBatch: 'pass' });
    const seen: number[] = [];
    const onProgress = ({ batches }: { batches: number }) => void seen.push(batches);
    const expected = await calibrate(newLayer(), batches.slice(0, 1));
    expect(await calibrate(layer, [empty, batches[0]!, empty], { onProgress })).toEqual(expected);
    expect([seen, layer.batchesTracked]).toEqual([[1, 2, 3], 1]);
    await expectError('EMPTY_BATCH', () => calibrate(layer, [empty]));
    await expectError('EMPTY_BATCH', () => calibrate(newLayer(), [batches[0]!, empty]));
  });

  it('tells after each batch how far it is, and waits for the answer', async () => {
    const seen: number[][] = [];
    const source = watched(batches);
    await calibrate(newLayer(), source, {
      onProgress: async ({ batches, valuesPerChannel }) => {
        await new Promise((resolve) => setTimeout(resolve));
        seen.push([batches, valuesPerChannel, source.asked]);
      },
    });
    const valuesBy = (n: number) => batches.slice(0, n).reduce((sum, { shape }) => sum + shape[0]!, 0);
    expect(seen).toEqual(batches.map((_, k) => [k + 1, valuesBy(k + 1), k + 1]));
  });

  it('changes the running statistics at the end alone', async () => {
    const layer = await trained();
    const before = await layer.state();
    await calibrate(layer, batches, {
      onProgress: async () => expect(await layer.state()).toEqual(before),
    });
    expect(await layer.state()).not.toEqual(before);
  });
});

describe('a calibration that goes on from a checkpoint', () => {
  it('gives the same bits as one without a break, from any batch', async () => {
    const checkpoints: CalibrationCheckpoint[] = [];
    const uninterrupted = await calibrated(batches, { onProgress: (p) => void checkpoints.push(p.checkpoint()) });
    expect(checkpoints.map(({ batches }) => batches)).toEqual(batches.map((_, k) => k + 1));
    for (const checkpoint of checkpoints) {
      const plain: CalibrationCheckpoint = JSON.parse(JSON.stringify(checkpoint));
      expect(plain).toEqual(checkpoint);
      const resumed = await calibrated(batches.slice(plain.batches), { checkpoint: plain });
      expect(await resumed.state()).toEqual(await uninterrupted.state());
    }
  });

  it('may take its checkpoint long after the batch', async () => {
    const early: CalibrationCheckpoint[] = [];
    const all: CalibrationProgress[] = [];
    await calibrated(batches, {
      onProgress: (progress) => {
        early.push(progress.checkpoint());
        all.push(progress);
      },
    });
    expect(all.map((progress) => progress.checkpoint())).toEqual(early);
  });

  it('keeps no more moments than the number of batches has binary digits', async () => {
    const many = function* () {
      for (let k = 0; k < 1000; k++) yield batches[k % batches.length]!;
    };
    await calibrated(many(), {
      onProgress: ({ batches, checkpoint }) => {
        if (batches % 37 === 0) expect(checkpoint().partials.length).toBeLessThanOrEqual(10);
      },
    });
  });

  const good = async () => {
    const all: CalibrationCheckpoint[] = [];
    await calibrated(batches.slice(0, 3), { onProgress: ({ checkpoint }) => void all.push(checkpoint()) });
    return all[2]!;
  };
  const broken: Record<string, [(checkpoint: CalibrationCheckpoint) => unknown, RegExp]> = {
    null: [() => null, /null/],
    'a number': [() => 3, /3/],
    'another format version': [(good) => ({ ...good, formatVersion: 2 }), /formatVersion 2/],
    'half a batch': [(good) => ({ ...good, batches: 2.5 }), /batches 2.5/],
    'fewer moments than batches have ones': [(good) => ({ ...good, batches: 7 }), /partials array of 2/],
    'no moments': [(good) => ({ ...good, partials: undefined }), /partials undefined/],
    'a hole': [(good) => ({ ...good, partials: new Array(2) }), /formatVersion undefined/],
    'broken moments': [
      (good) => ({ ...good, partials: [good.partials[0], { ...good.partials[1], count: -1 }] }),
      /count -1/,
    ],
    'more tracked than seen': [(good) => ({ ...good, batchesTracked: 4 }), /batchesTracked 4 of 3/],
    'more tracked than values': [
      ({ partials: [first], ...good }) => ({
        ...good,
        partials: [
          { ...first, count: 1, m2: [0, 0] },
          { ...first, count: 1, m2: [0, 0] },
        ],
      }),
      /batchesTracked 3 of 3 batches and 2 values/,
    ],
    'more values than can be counted': [
      (good) => ({ ...good, partials: good.partials.map((part) => ({ ...part, count: Number.MAX_SAFE_INTEGER })) }),
      /values per channel/,
    ],
    'values of no batch': [(good) => ({ ...good, batchesTracked: 0 }), /batchesTracked 0 of 3/],
    'moments of another layer': [
      (good) => ({ ...good, partials: good.partials.map((part) => ({ ...part, mean: [1, 2, 3], m2: [1, 2, 3] })) }),
      /mean array of 3/,
    ],
  };
  it.each(Object.entries(broken))('refuses %s with INVALID_STATE, before any batch', async (_, [change, message]) => {
    const layer = await trained();
    const before = await layer.state();
    const source = watched(batches);
    const checkpoint = change(await good()) as CalibrationCheckpoint;
    await expectError('INVALID_STATE', () => calibrate(layer, source, { checkpoint }), message);
    expect(source.asked).toBe(0);
    expect(await layer.state()).toEqual(before);
  });
});

describe('a calibration that fails', () => {
  it('is INVALID_OPTION, before any batch, without a layer, batches or options', async () => {
    const layer = await trained();
    const before = await layer.state();
    const source = watched(batches);
    for (const wrong of [undefined, {}, null]) {
      await expectError('INVALID_OPTION', () => calibrate(wrong as never, source), /layer/);
      await expectError('INVALID_OPTION', () => calibrate(layer, wrong as never), /batches/);
    }
    await expectError('INVALID_OPTION', () => calibrate(layer, batches[0] as never), /batches Object/);
    for (const wrong of [null, 3, { onprogress() {} }, { onProgress: 'yes' }, { signal: {} }]) {
      await expectError('INVALID_OPTION', () => calibrate(layer, source, wrong as never));
    }
    expect(source.asked).toBe(0);
    expect(await layer.state()).toEqual(before);
  });

  it('has nothing to change in a layer without running statistics', async () => {
    const source = watched(batches);
    await expectError('INVALID_STATE', () => calibrate(newLayer({ trackRunningStatistics: false }), source));
    expect(source.asked).toBe(0);
  });

  const bad = tensor([1, C], [1, Number.NaN]);
  const disposed = () => {
    const backend = new ReferenceBackend();
    const onDevice = backend.upload(batches[0]!);
    onDevice.dispose();
    return { backend, batch: onDevice };
  };
  it.each([
    ['NaN', 'NON_FINITE_STATISTICS', () => ({ batch: { ...bad, data: Float64Array.from(bad.data) } })],
    ['another shape', 'SHAPE_MISMATCH', () => ({ batch: filled([2, 3], 1, doubles) })],
    ['another dtype', 'DTYPE_MISMATCH', () => ({ batch: bad })],
    ['a disposed device tensor', 'DISPOSED', disposed],
    ['no tensor', 'INVALID_TENSOR', () => ({ batch: 7 })],
    ['an empty batch', 'EMPTY_BATCH', () => ({ batch: filled([0, C], 1, doubles) })],
  ] as const)('at %s with %s ends the iteration, and leaves the layer as it was', async (_, code, given) => {
    const { batch, ...options } = given();
    const layer = await trained(options);
    const before = await layer.state();
    const source = watched([batches[0], batches[1], batch, batches[2]]);
    await expectError(code, () => calibrate(layer, source));
    expect([source.asked, source.returned]).toEqual([3, 1]);
    expect(await layer.state()).toEqual(before);
  });

  it('without any batch is EMPTY_BATCH', async () => {
    const layer = await trained();
    const before = await layer.state();
    await expectError('EMPTY_BATCH', () => calibrate(layer, []));
    expect(await layer.state()).toEqual(before);
  });

  it('with values too few for the estimator is SINGLE_VALUE', async () => {
    const layer = await trained({ varianceEstimator: 'sample' });
    const before = await layer.state();
    await expectError('SINGLE_VALUE', () => calibrate(layer, [rows(1, 1)]));
    expect(await layer.state()).toEqual(before);
    await calibrate(layer, [rows(1, 1), rows(1, 2)]);
  });

  it('because its source throws, throws the same', async () => {
    const layer = await trained();
    const before = await layer.state();
    await expect(calibrate(layer, watched(batches, 4))).rejects.toThrow('no more data');
    expect(await layer.state()).toEqual(before);
  });

  it('because onProgress throws, throws the same and ends the iteration', async () => {
    const layer = await trained();
    const before = await layer.state();
    const source = watched(batches);
    const onProgress = vi.fn(async ({ batches }: { batches: number }) => {
      if (batches === 2) throw new Error('disk full');
    });
    await expect(calibrate(layer, source, { onProgress })).rejects.toThrow('disk full');
    expect([source.asked, source.returned, onProgress.mock.calls.length]).toEqual([2, 1, 2]);
    expect(await layer.state()).toEqual(before);
  });

  it('on a disposed layer is DISPOSED', async () => {
    const layer = newLayer();
    await layer.dispose();
    const source = watched(batches);
    await expectError('DISPOSED', () => calibrate(layer, source));
    expect(source.returned).toBe(1);
  });
});

describe('a calibration that is aborted', () => {
  const reason = new Error('enough');

  it('before it begins asks for no batch', async () => {
    const source = watched(batches);
    await expect(calibrate(newLayer(), source, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(source.asked).toBe(0);
  });

  it.each([1, 4, batches.length])(
    'after batch %i rejects with the reason, and leaves the layer as it was',
    async (n) => {
      const layer = await trained();
      const before = await layer.state();
      const controller = new AbortController();
      const source = watched(batches);
      const onProgress = ({ batches }: { batches: number }) => {
        if (batches === n) controller.abort(reason);
      };
      await expect(calibrate(layer, source, { signal: controller.signal, onProgress })).rejects.toBe(reason);
      expect([source.asked, source.returned]).toEqual([n, 1]);
      expect(await layer.state()).toEqual(before);
    },
  );

  it('by a timer stops, though its source never waits', async () => {
    const [controller, begin] = [new AbortController(), performance.now()];
    setTimeout(() => controller.abort(new Error('enough')));
    function* endless() {
      // Else a failure would hang.
      while (performance.now() - begin < 5000) yield batches[0]!;
    }
    const reference = new BatchNorm({
      backend: hostBackend({ name: 'still', passesFor: () => still }),
      numFeatures: C,
      dtype: 'float64',
    });
    await expect(calibrate(reference, endless(), { signal: controller.signal })).rejects.toThrow('enough');
    expect(reference.batchesTracked).toBe(0);
  });

  it('while its source waits, computes no batch more', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    const controller = new AbortController();
    const ended = vi.fn();
    async function* source() {
      try {
        yield batches[0]!;
        controller.abort(reason);
        yield batches[2]!;
      } finally {
        ended();
      }
    }
    await expect(calibrate(layer, source(), { signal: controller.signal })).rejects.toBe(reason);
    expect([backend.prepared.length, ended.mock.calls.length]).toEqual([1, 1]);
  });

  it('as its source ends, changes nothing', async () => {
    const layer = await trained();
    const before = await layer.state();
    const controller = new AbortController();
    function* source() {
      yield* batches;
      controller.abort(reason);
    }
    await expect(calibrate(layer, source(), { signal: controller.signal })).rejects.toBe(reason);
    expect(await layer.state()).toEqual(before);
  });
});
