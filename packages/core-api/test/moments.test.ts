// Moments: merging, JSON, those of a batch, and a layer that is given some.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  type BatchNormOptions,
  hostBackend,
  type Moments,
  type MomentsState,
  mergeMoments,
  readMoments,
  writeMoments,
} from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { mergeBound, w } from './merge-bound.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 2;

const moments = (count: number, mean: readonly number[], m2: readonly number[]): Moments => ({
  count,
  mean: Float64Array.from(mean),
  m2: Float64Array.from(m2),
});
const none = moments(0, [0, 0], [0, 0]);

/** Of whole numbers, in two channels, the second of which has the negative of the first: one rounding each. */
function momentsOf(values: readonly number[]): Moments {
  const n = values.length;
  if (n === 0) return none;
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value ** 2, 0);
  const m2 = (n * squares - sum ** 2) / n;
  return moments(n, [sum / n + 0, -sum / n + 0], [m2, m2]);
}

const parts = fc.array(fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }), {
  minLength: 1,
  maxLength: 40,
});
const seeded = { seed: 14, numRuns: 300 };

function expectWithinBound(received: Moments, of: readonly Moments[], depth: number, whole: Moments): void {
  expect(received.count).toBe(whole.count);
  for (let c = 0; c < C; c++) {
    const A = Math.max(...of.map(({ mean }) => Math.abs(mean[c]!)));
    const bound = mergeBound(of, depth, whole, c, { mean: w * A, m2: w });
    expect(Math.abs(received.mean[c]! - whole.mean[c]!)).toBeLessThanOrEqual(bound.mean);
    expect(Math.abs(received.m2[c]! - whole.m2[c]!)).toBeLessThanOrEqual(bound.m2);
  }
}

describe('mergeMoments()', () => {
  it('gives the moments of both', () => {
    expect(mergeMoments(momentsOf([1, 3]), momentsOf([4, 8]))).toEqual(momentsOf([1, 3, 4, 8]));
  });

  it('gives the moments of the whole in any split, one after the other', () => {
    fc.assert(
      fc.property(parts, (split) => {
        fc.pre(split.flat().length > 0);
        const all = split.map(momentsOf);
        expectWithinBound(all.reduce(mergeMoments), all, all.length, momentsOf(split.flat()));
      }),
      seeded,
    );
  });

  it('gives the moments of the whole in any tree', () => {
    fc.assert(
      fc.property(parts, fc.infiniteStream(fc.nat()), (split, choices) => {
        fc.pre(split.flat().length > 0);
        const all = split.map(momentsOf);
        const left = [...all];
        while (left.length > 1) {
          const k = choices.next().value! % (left.length - 1);
          left.splice(k, 2, mergeMoments(left[k]!, left[k + 1]!));
        }
        expectWithinBound(left[0]!, all, all.length, momentsOf(split.flat()));
      }),
      seeded,
    );
  });

  it('gives the same bits in the same order, and leaves what it was given', () => {
    fc.assert(
      fc.property(parts, (split) => {
        const all = split.map(momentsOf);
        const before = structuredClone(all);
        expect(all.reduce(mergeMoments)).toEqual(all.reduce(mergeMoments));
        expect(all).toEqual(before);
      }),
      seeded,
    );
  });

  it('gives the other to the bit, in arrays of its own, where one has no values', () => {
    const some = moments(3, [0.1, 1e300], [1 / 3, 0]);
    const nothing = moments(0, [7, 1e-300], [0, 0]);
    for (const received of [mergeMoments(some, nothing), mergeMoments(nothing, some)]) {
      expect(received).toEqual(some);
      expect(received.mean).not.toBe(some.mean);
      expect(received.m2.buffer).not.toBe(some.m2.buffer);
    }
    expect(mergeMoments(none, none)).toEqual(none);
  });

  it('of equal constants is that constant, and has no deviation', () => {
    const constant = (count: number) => moments(count, [0.1, -1e9 / 3], [0, 0]);
    expect([3, 1, 1000, 7].map(constant).reduce(mergeMoments)).toEqual(constant(1011));
  });

  it('takes counts and distances whose product is beyond float64, if the result is not', () => {
    const [many, one] = [moments(1e12, [0, 0], [0, 0]), moments(1, [1e150, 1e-150], [0, 0])];
    for (const { m2 } of [mergeMoments(many, one), mergeMoments(one, many)]) {
      expect(m2[0]! / 1e300).toBeCloseTo(1, 11);
      expect(m2[1]! / 1e-300).toBeCloseTo(1, 11);
    }
    // The square of their distance is beyond float64, half of it is not.
    const far = (mean: number) => moments(1, [mean, 0], [0, 0]);
    expect(mergeMoments(far(0), far(2 ** 512)).m2[0]).toBe(2 ** 1023);
  });

  it('refuses what float64 can not hold with NON_FINITE_STATISTICS', async () => {
    const far = (sign: number) => moments(1, [1, sign * 1e200], [0, 0]);
    await expectError('NON_FINITE_STATISTICS', () => mergeMoments(far(1), far(-1)), /m2 of channel 1/);
  });

  it('refuses counts that are not whole numbers together with INVALID_STATE', async () => {
    const most = moments(Number.MAX_SAFE_INTEGER, [0, 0], [0, 0]);
    await expectError('INVALID_STATE', () => mergeMoments(most, most), /count/);
  });
});

describe('what are no moments', () => {
  const good = { formatVersion: 1, count: 4, mean: [0.5, -2], m2: [3, 0.1] };
  const broken: Record<string, [wrong: unknown, RegExp]> = {
    null: [null, /null/],
    'a broken count': [{ ...good, count: 1.5 }, /count 1.5/],
    'a negative count': [{ ...good, count: -1 }, /count -1/],
    'a count as text': [{ ...good, count: '4' }, /count '4'/],
    'no mean': [{ ...good, mean: undefined }, /mean undefined/],
    'no channel': [{ ...good, mean: [], m2: [] }, /mean array of 0/],
    'an m2 of another length': [{ ...good, m2: [1, 2, 3] }, /m2 array of 3/],
    'a DataView': [{ ...good, mean: new DataView(new ArrayBuffer(16)) }, /mean DataView/],
    'null for a number, as JSON writes NaN': [{ ...good, mean: [1, null] }, /mean\[1\] = null/],
    'a hole': [{ ...good, m2: new Array(2) }, /m2\[0\] = undefined/],
    infinity: [{ ...good, mean: [Number.NEGATIVE_INFINITY, 0] }, /mean\[0\] = -Infinity/],
    'a negative m2': [{ ...good, m2: [1, -1e-9] }, /m2\[1\] = -1e-9/],
    'deviations of one value': [{ ...good, count: 1 }, /m2\[0\] = 3 of count 1/],
    'a getter that throws': [
      Object.defineProperty({ ...good }, 'mean', {
        enumerable: true,
        get: () => {
          throw new Error('boom');
        },
      }),
      /throw/,
    ],
  };
  for (const [name, [wrong, message]] of Object.entries(broken)) {
    it(`is INVALID_STATE: ${name}`, async () => {
      const right = momentsOf([1, 3]);
      await expectError('INVALID_STATE', () => mergeMoments(wrong as Moments, right), message);
      await expectError('INVALID_STATE', () => mergeMoments(right, wrong as Moments), message);
      await expectError('INVALID_STATE', () => writeMoments(wrong as Moments), message);
      await expectError('INVALID_STATE', () => readMoments(wrong as MomentsState));
      const layer = newLayer();
      await layer.forward(batch);
      const before = await layer.state();
      await expectError('INVALID_STATE', () => layer.loadMoments(wrong as Moments), message);
      expect(await layer.state()).toEqual(before);
    });
  }

  it('is INVALID_STATE: another number of channels', async () => {
    const three = { count: 4, mean: new Float64Array(3), m2: new Float64Array(3) };
    await expectError('INVALID_STATE', () => mergeMoments(momentsOf([1]), three), /mean Float64Array\(3\)/);
    await expectError('INVALID_STATE', () => newLayer().loadMoments(three), /mean Float64Array\(3\)/);
    await expectError('INVALID_STATE', () => readMoments(writeMoments(three), 2), /mean array of 3/);
  });

  it('is INVALID_STATE: another format version', async () => {
    const { formatVersion: _, ...without } = good;
    for (const wrong of [without, { ...good, formatVersion: 2 }, 'moments', undefined]) {
      await expectError('INVALID_STATE', () => readMoments(wrong as unknown as MomentsState), /formatVersion/);
    }
  });
});

describe('moments as JSON', () => {
  it('survive to the bit', () => {
    const finite = { noNaN: true, noDefaultInfinity: true };
    const some = fc.record({
      count: fc.integer({ min: 2, max: Number.MAX_SAFE_INTEGER }),
      mean: fc.tuple(fc.double(finite), fc.double(finite)),
      m2: fc.tuple(fc.double({ ...finite, min: 0 }), fc.double({ ...finite, min: 0 })),
    });
    fc.assert(
      fc.property(some, ({ count, mean, m2 }) => {
        const state = writeMoments(moments(count, mean, m2));
        const received = readMoments(JSON.parse(JSON.stringify(state)));
        expect(writeMoments(received)).toEqual(state);
        // JSON has no −0, which is equal to 0.
        expect(received).toEqual(moments(count, mean.map(positiveZero), m2.map(positiveZero)));
      }),
      seeded,
    );
  });
});

const positiveZero = (value: number) => value + 0;

const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, ...options });
const batch = tensor([4, C], [1, -1, 3, -3, 4, -4, 8, -8]);

describe('layer.moments()', () => {
  it('are those of the batch, on the host and on the device', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    for (const x of [batch, backend.upload(batch)]) expect(await layer.moments(x)).toEqual(momentsOf([1, 3, 4, 8]));
  });

  it('leave the layer as it is, and nothing behind', async () => {
    const backend = new ReferenceBackend();
    const [layer, other] = [newLayer({ backend }), newLayer()];
    const onDevice = backend.upload(batch);
    for (const one of [layer, other]) await one.forward(filled([3, C]));
    for (const x of [batch, onDevice]) await layer.moments(x);
    expect(await layer.state()).toEqual(await other.state());
    expect(await layer.backward(filled([3, C], 2))).toEqual(await other.backward(filled([3, C], 2)));
    await layer.dispose();
    expect(backend.alive).toEqual(new Set([onDevice]));
  });

  it('keep no kernels, whether they succeed or fail', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    for (let N = 1; N < 40; N++) {
      const x = filled([N, C]);
      await layer.moments(x);
      x.data[0] = Number.NaN;
      await expectError('NON_FINITE_STATISTICS', () => layer.moments(x));
    }
    expect(backend.alive.size).toBeLessThan(12);
  });

  it('let batches wait on the device', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    await layer.forward(backend.upload(batch));
    await layer.moments(batch);
    await expectError('UNSETTLED', () => layer.runningMean, /1 batches wait/);
  });

  it('are taken in call order', async () => {
    const layer = newLayer({ momentum: 'exact' });
    const calls = [layer.forward(filled([3, C])), layer.moments(batch), layer.state()] as const;
    const [, ofBatch, { batchesTracked }] = await Promise.all(calls);
    expect([ofBatch.count, batchesTracked]).toEqual([4, 1]);
  });

  it('are there for one value per channel, whose m2 is 0', async () => {
    const layer = newLayer({ singleValue: 'reject', varianceEstimator: 'sample' });
    expect(await layer.moments(tensor([1, C], [5, -0]))).toEqual(moments(1, [5, 0], [0, 0]));
  });

  it('have no −0, which JSON does not have', async () => {
    const nothing = () => undefined;
    const passes = {
      moments(_x: unknown, _mask: unknown, mean: Float64Array, m2: Float64Array) {
        mean.fill(-0);
        m2.fill(0);
      },
      normalize: nothing,
      gradientSums: nothing,
      inputGradient: nothing,
    };
    const layer = newLayer({ backend: hostBackend({ name: 'negative', passesFor: () => passes }) });
    expect(await layer.moments(tensor([1, C], [-0, -0]))).toEqual(moments(1, [0, 0], [0, 0]));
  });

  it('are those of no values for an empty batch that may pass', async () => {
    const [empty, backend] = [tensor([0, C], []), new ReferenceBackend()];
    expect(await newLayer({ backend, emptyBatch: 'pass' }).moments(empty)).toEqual(none);
    expect(backend.prepared).toEqual([]);
    await expectError('EMPTY_BATCH', () => newLayer().moments(empty));
  });

  it('are refused as a training forward is', async () => {
    const [layer, backend] = [newLayer(), new ReferenceBackend()];
    const nan = tensor([2, C], [1, 2, 3, Number.NaN]);
    await expectError('NON_FINITE_STATISTICS', () => layer.moments(nan), /channel 1/);
    await expectError('NON_FINITE_STATISTICS', () => newLayer({ backend }).moments(backend.upload(nan)), /channel 1/);
    await expectError('SHAPE_MISMATCH', () => layer.moments(tensor([2, 3], [1, 2, 3, 4, 5, 6])));
    await expectError('DTYPE_MISMATCH', () => layer.moments({ data: new Float64Array(2), shape: [1, C] }));
    await expectError('INVALID_TENSOR', () => layer.moments(undefined as never));
    await expectError('FOREIGN_TENSOR', () => layer.moments(backend.upload(batch)));
    await layer.dispose();
    await expectError('DISPOSED', () => layer.moments(batch));
    expect(backend.alive.size).toBe(3);
  });
});

describe('layer.loadMoments()', () => {
  it.each(['population', 'sample'] as const)('gives the running %s variance', async (varianceEstimator) => {
    const layer = newLayer({ varianceEstimator });
    await layer.loadMoments(moments(5, [1, 2], [20, 40]));
    expect(layer.runningMean).toEqual(Float64Array.of(1, 2));
    expect(layer.runningVariance).toEqual(
      varianceEstimator === 'sample' ? Float64Array.of(5, 10) : Float64Array.of(4, 8),
    );
    expect(layer.batchesTracked).toBe(1);
  });

  it.each(['population', 'sample'] as const)(
    'goes on with momentum exact, and %s variance',
    async (varianceEstimator) => {
      const options = { momentum: 'exact', varianceEstimator } as const;
      const [layer, whole] = [newLayer(options), newLayer(options)];
      const before = tensor([3, C], [-2, 2, 0, 0, 6, -6]);
      await layer.loadMoments(await layer.moments(before));
      await whole.forward(before);
      for (const one of [layer, whole]) await one.forward(batch);
      expect(await layer.state()).toEqual(await whole.state());
    },
  );

  it('reads them when it is called, whatever waits before it', async () => {
    const layer = newLayer();
    const given = moments(3, [1, 2], [3, 4]);
    const loading = layer.loadMoments(given);
    given.mean.fill(Number.NaN);
    await loading;
    expect(layer.runningMean).toEqual(Float64Array.of(1, 2));
  });

  it('refuses, before it changes anything, more values than can be counted', async () => {
    const layer = newLayer({ momentum: 'exact' });
    await layer.loadMoments(moments(Number.MAX_SAFE_INTEGER, [0, 0], [1, 1]));
    const before = await layer.state();
    await expectError('INVALID_STATE', () => layer.forward(tensor([1, C], [1, 1])), /valuesTracked/);
    expect(await layer.state()).toEqual(before);
    await layer.loadState(before);
  });

  it('counts as the batches that it is told of', async () => {
    const layer = newLayer({ momentum: 'cumulative' });
    await layer.loadMoments(moments(3, [4, 4], [0, 0]), { batchesTracked: 3 });
    await layer.forward(tensor([2, C], [8, 8, 8, 8]));
    expect([layer.batchesTracked, layer.runningMean[0]]).toEqual([4, 5]);
  });

  it('comes after batches that wait on the device, and forgets them', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    await layer.forward(backend.upload(batch));
    await layer.loadMoments(moments(2, [1, 2], [0, 0]));
    expect([...layer.runningMean, layer.batchesTracked, backend.reads]).toEqual([1, 2, 1, 0]);
  });

  const two = moments(2, [1, 2], [3, 4]);
  const one = moments(1, [1, 2], [0, 0]);
  it.each([
    ['no values', 'EMPTY_BATCH', none, {}, {}],
    ['one value with sample variance', 'SINGLE_VALUE', one, {}, { varianceEstimator: 'sample' }],
    ['one value that is to be rejected', 'SINGLE_VALUE', one, {}, { singleValue: 'reject' }],
    ['a layer without running statistics', 'INVALID_STATE', two, {}, { trackRunningStatistics: false }],
    ['more batches than values', 'INVALID_OPTION', two, { batchesTracked: 3 }, {}],
    ['no batch', 'INVALID_OPTION', two, { batchesTracked: 0 }, {}],
    ['half a batch', 'INVALID_OPTION', two, { batchesTracked: 1.5 }, {}],
    ['an unknown option', 'INVALID_OPTION', two, { batches: 1 }, {}],
    ['null for options', 'INVALID_OPTION', two, null, {}],
  ] as const)('refuses %s with %s, and changes nothing', async (_, code, given, options, layerOptions) => {
    const layer = newLayer(layerOptions);
    await layer.forward(batch);
    const before = await layer.state();
    await expectError(code, () => layer.loadMoments(given, options as object));
    expect(await layer.state()).toEqual(before);
  });

  it('takes one value with population variance', async () => {
    const layer = newLayer();
    await layer.loadMoments(one);
    expect(layer.runningVariance).toEqual(new Float64Array(C));
  });

  it('after dispose() is DISPOSED', async () => {
    const layer = newLayer();
    await layer.dispose();
    await expectError('DISPOSED', () => layer.loadMoments(two));
  });
});
