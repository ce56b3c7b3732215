// Masks: positions that do not count have no part in the statistics, and are normalised with them all the same.
import { describe, expect, it } from 'vitest';
import {
  BatchNorm,
  type BatchNormOptions,
  type ErrorCode,
  type HostMemory,
  type Mask,
  type MomentsInput,
  mergeMoments,
  type NormalizeInput,
  type Tensor,
} from '../src/index.js';
import { dot, slope } from './finite-differences.js';
import { expectError, filled } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const float64 = (length: number) => new Float64Array(length);

function newLayer(options: Partial<BatchNormOptions> = {}) {
  const backend = new ReferenceBackend();
  return { layer: new BatchNorm({ backend, numFeatures: C, dtype: 'float64', ...options }), backend };
}

const mask = (shape: readonly number[], data: readonly number[]): Mask => ({ shape, data: Uint8Array.from(data) });

/** Layouts of two samples of five positions, of which the mask leaves the last ones of each away. */
const counted = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
const layouts = [
  { name: 'channels last', shape: [2, 5, C], axis: -1, mask: mask([2, 5], counted) },
  { name: 'channels first', shape: [2, C, 5], axis: 1, mask: mask([2, 5], counted) },
  { name: 'rows', shape: [10, C], axis: 1, mask: mask([10], counted) },
] as const;

/** The positions of channel c in x, in order, and whether each counts. */
function positionsOf({ shape, axis }: (typeof layouts)[number], c: number): { k: number; counts: boolean }[] {
  const isLast = axis === -1 || shape.length === 2;
  return counted.map((counts, p) => {
    const k = isLast ? p * C + c : Math.floor(p / 5) * C * 5 + c * 5 + (p % 5);
    return { k, counts: counts === 1 };
  });
}

describe.each(layouts)('a mask, $name', (layout) => {
  const { shape, axis, mask } = layout;
  const x = filled(shape, 1, float64);
  const dy = filled(shape, 2, float64);

  it('gives the statistics of the positions that count, and normalises all with them', async () => {
    const { layer } = newLayer({ axis, momentum: 0, varianceEstimator: 'sample' });
    const y = await layer.forward(x, { mask });
    for (let c = 0; c < C; c++) {
      const values = positionsOf(layout, c).filter(({ counts }) => counts);
      const mean = values.reduce((sum, { k }) => sum + x.data[k]!, 0) / values.length;
      const m2 = values.reduce((sum, { k }) => sum + (x.data[k]! - mean) ** 2, 0);
      expect(layer.runningMean[c]).toBeCloseTo(mean, 12);
      expect(layer.runningVariance[c]).toBeCloseTo(m2 / (values.length - 1), 12);
      for (const { k } of positionsOf(layout, c)) {
        expect(y.data[k]).toBeCloseTo((x.data[k]! - mean) / Math.sqrt(m2 / values.length + 1e-5), 10);
      }
    }
  });

  it('has gradients that finite differences confirm, at positions that count and at those that do not', async () => {
    const { layer } = newLayer({ axis, trackRunningStatistics: false });
    layer.gamma = [0.5, -2, 1.5];
    layer.beta = [1, 0, -1];
    const loss = async () => dot(await layer.forward(x, { mask }), dy);
    await layer.forward(x, { mask });
    const { dx, dgamma, dbeta } = await layer.backward(dy);
    for (let k = 0; k < dx.data.length; k++) expect(dx.data[k]).toBeCloseTo(await slope(loss, x.data, k, 1e-5), 6);
    for (let c = 0; c < C; c++) {
      expect(dgamma[c]).toBeCloseTo(await slope(loss, layer.gamma, c, 1e-5), 6);
      expect(dbeta[c]).toBeCloseTo(await slope(loss, layer.beta, c, 1e-5), 6);
    }
  });

  it('keeps what does not count out of them, NaN even', async () => {
    const { layer } = newLayer({ axis });
    const spoiled = { shape, data: x.data.slice() };
    for (let c = 0; c < C; c++) {
      for (const { k, counts } of positionsOf(layout, c)) if (!counts) spoiled.data[k] = Number.NaN;
    }
    const { layer: other } = newLayer({ axis });
    const y = await layer.forward(spoiled, { mask });
    const expected = await other.forward(x, { mask });
    expect(layer.runningVariance).toEqual(other.runningVariance);
    for (let k = 0; k < y.data.length; k++) {
      expect(y.data[k]).toBe(Number.isNaN(spoiled.data[k]) ? Number.NaN : expected.data[k]);
    }
  });

  it('by which all positions count changes nothing', async () => {
    const [{ layer }, { layer: other }] = [newLayer({ axis }), newLayer({ axis })];
    const all = { shape: mask.shape, data: new Uint8Array(10).fill(1) };
    expect(await layer.forward(x, { mask: all })).toEqual(await other.forward(x));
    expect(await layer.backward(dy)).toEqual(await other.backward(dy));
    expect(await layer.state()).toEqual(await other.state());
  });

  it("by which all count, or none where statistics are given, is not the kernels' to look at", async () => {
    const { layer, backend } = newLayer({ axis });
    const masks: unknown[] = [];
    const { prepare } = backend;
    backend.prepare = (plan) => {
      const kernels = prepare.call(backend, plan);
      const [moments, normalize] = [kernels.moments.bind(kernels), kernels.normalize.bind(kernels)];
      return Object.assign(kernels, {
        moments: (input: MomentsInput<HostMemory>) => {
          masks.push(input.mask);
          return moments(input);
        },
        normalize: (input: NormalizeInput<HostMemory>) => {
          masks.push(input.mask);
          return normalize(input);
        },
      });
    };
    await layer.forward(x, { mask: { shape: mask.shape, data: new Uint8Array(10).fill(1) } });
    await layer.forward(x, { training: false, mask: { shape: mask.shape, data: new Uint8Array(10) } });
    expect(masks).toEqual([undefined, undefined, undefined]);
  });

  it('is the same on the device', async () => {
    const [{ layer }, { layer: other, backend }] = [newLayer({ axis }), newLayer({ axis })];
    const y = await layer.forward(x, { mask });
    const onDevice = await other.forward(backend.upload(x), { mask });
    expect(await onDevice.read()).toEqual(y.data);
    const { dx } = await layer.backward(dy);
    expect(await (await other.backward(backend.upload(dy))).dx.read()).toEqual(dx.data);
    expect(await other.state()).toEqual(await layer.state());
  });

  it('is read at the call, and may change after it', async () => {
    const [{ layer }, { layer: other }] = [newLayer({ axis }), newLayer({ axis })];
    const own = { shape: [...mask.shape], data: mask.data.slice() };
    const calls = [layer.forwardPass(x, { mask: own }), layer.moments(x, { mask: own })] as const;
    own.data.fill(1);
    (own.shape as number[]).fill(7);
    await other.forward(x, { mask });
    expect((await (await calls[0]).backward(dy)).dx).toEqual((await other.backward(dy)).dx);
    expect(await calls[1]).toEqual(await other.moments(x, { mask }));
  });

  it('goes with moments, which merge to those of everything', async () => {
    const { layer } = newLayer({ axis });
    const rest = { shape: mask.shape, data: mask.data.map((value) => 1 - value) };
    const both = mergeMoments(await layer.moments(x, { mask }), await layer.moments(x, { mask: rest }));
    const all = await layer.moments(x);
    expect(both.count).toBe(all.count);
    all.m2.forEach((m2, c) => {
      expect(both.m2[c]).toBeCloseTo(m2, 10);
    });
  });
});

describe('a mask', () => {
  const shape = [2, 3, C, 4];
  const x = filled(shape, 1, float64);

  it('may leave trailing axes out, in which every position is as the one before them', async () => {
    const short = mask([2, 3], [1, 0, 1, 0, 0, 1]);
    const long = { shape: [2, 3, 4], data: Uint8Array.from({ length: 24 }, (_, p) => short.data[Math.floor(p / 4)]!) };
    const [{ layer }, { layer: other }] = [newLayer({ axis: 2 }), newLayer({ axis: 2 })];
    expect(await layer.forward(x, { mask: short })).toEqual(await other.forward(x, { mask: long }));
    const samples = newLayer({ axis: 2 }).layer;
    const one = await samples.forward(x, { mask: mask([2], [0, 1]) });
    expect((one as Tensor).data.slice(36)).toEqual(
      (await newLayer({ axis: 2 }).layer.forward({ shape: [1, 3, C, 4], data: x.data.slice(36) })).data,
    );
  });

  it('has no effect where running statistics normalise, even if nothing counts', async () => {
    const { layer } = newLayer({ axis: 2 });
    const plain = await layer.forward(x, { training: false });
    const { dx } = await layer.backward(x);
    expect(await layer.forward(x, { training: false, mask: mask([2], [0, 0]) })).toEqual(plain);
    expect((await layer.backward(x)).dx).toEqual(dx);
  });

  it('of one position is one value per channel', async () => {
    const one = { mask: mask([2, 3, 4], [1, ...new Array(23).fill(0)]) };
    const { layer } = newLayer({ axis: 2, singleValue: 'reject' });
    await expectError('SINGLE_VALUE', () => layer.forward(x, one));
    const { layer: other } = newLayer({ axis: 2, epsilon: 1 });
    const y = await other.forward(x, one);
    expect([y.data[0], y.data[1]]).toEqual([0, x.data[1]! - x.data[0]!]);
  });

  const bad: [string, ErrorCode, unknown, RegExp][] = [
    ['of another length', 'SHAPE_MISMATCH', mask([3], [1, 1, 1]), /mask of shape \[3\], expected \[2, 3, 4\]/],
    ['with the channel axis', 'SHAPE_MISMATCH', mask([2, 3, C], new Array(18).fill(1)), /\[2, 3, 3\]/],
    ['of no axis', 'SHAPE_MISMATCH', mask([], [1]), /\[\]/],
    ['of more axes', 'SHAPE_MISMATCH', mask([2, 3, 4, 1], new Array(24).fill(1)), /\[2, 3, 4, 1\]/],
    ['of too few elements', 'INVALID_TENSOR', mask([2, 3], [1]), /mask of 1 elements, expected 6/],
    ['of floats', 'DTYPE_MISMATCH', { shape: [2], data: Float32Array.of(1, 0) }, /Float32Array\(2\)/],
    ['of signed bytes', 'DTYPE_MISMATCH', { shape: [2], data: Int8Array.of(1, 0) }, /Int8Array/],
    ['that is an array', 'INVALID_TENSOR', { shape: [2], data: [1, 0] }, /array of 2/],
    ['that is null', 'INVALID_TENSOR', null, /null/],
    ['of true', 'INVALID_TENSOR', true, /true/],
    ['with a 2', 'INVALID_TENSOR', mask([2], [1, 2]), /mask with 2 at 1/],
    ['by which nothing counts', 'EMPTY_BATCH', mask([2], [0, 0]), /no position counts/],
    [
      'whose shape throws',
      'INVALID_TENSOR',
      { data: Uint8Array.of(1, 0), shape: new Proxy([2], { get: fails }) },
      /read/,
    ],
  ];
  function fails(): never {
    throw new Error('no');
  }

  it.each(bad)('%s is refused, and nothing has changed', async (_, code, mask, message) => {
    const { layer, backend } = newLayer({ axis: 2 });
    await layer.forward(x);
    const before = await layer.state();
    const { dx } = await layer.backward(x);
    const out = filled(shape, 7, float64);
    for (const input of [x, backend.upload(x)] as Tensor[]) {
      await expectError(code, () => layer.forward(input, { mask: mask as Mask }), message);
    }
    await expectError(code, () => layer.forward(x, { mask: mask as Mask, out }), message);
    await expectError(code, () => layer.moments(x, { mask: mask as Mask }), message);
    expect(out).toEqual(filled(shape, 7, float64));
    expect(await layer.state()).toEqual(before);
    expect((await layer.backward(x)).dx).toEqual(dx);
  });
});
