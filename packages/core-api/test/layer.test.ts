// What the layer itself does: defaults, layouts, buffers, running statistics, kernels.
import { describe, expect, it } from 'vitest';
import { BatchNorm, BatchNormError, type BatchNormOptions, extentOf, type Tensor } from '../src/index.js';
import { filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: new ReferenceBackend(), numFeatures: 3, ...options });
const [x, dy] = [filled([4, 3]), filled([4, 3], 2)];

describe('a new layer', () => {
  it('has the defaults of the documentation', () => {
    const { backend, ...options } = newLayer().options;
    expect(backend.name).toBe('reference');
    expect(options).toEqual({
      numFeatures: 3,
      activation: 'none',
      epsilon: 1e-5,
      momentum: 0.9,
      axis: 1,
      affine: true,
      scale: true,
      center: true,
      trackRunningStatistics: true,
      varianceEstimator: 'population',
      dtype: 'float32',
      singleValue: 'allow',
      emptyBatch: 'reject',
      checks: false,
    });
  });

  it('takes undefined for a default', () => {
    expect(newLayer(JSON.parse('{}') as object).options.epsilon).toBe(1e-5);
    expect(newLayer({ ...({ epsilon: undefined } as object) }).options.epsilon).toBe(1e-5);
  });

  it('starts as the identity of parameters, with mean 0 and variance 1', () => {
    const { gamma, beta, runningMean, runningVariance, batchesTracked } = newLayer();
    expect({ gamma, beta, runningMean, runningVariance, batchesTracked }).toEqual({
      gamma: Float64Array.of(1, 1, 1),
      beta: Float64Array.of(0, 0, 0),
      runningMean: Float64Array.of(0, 0, 0),
      runningVariance: Float64Array.of(1, 1, 1),
      batchesTracked: 0,
    });
  });
});

describe('layouts', () => {
  const layouts: [shape: number[], axis: number, extent: [number, number, number]][] = [
    [[2, 3], 1, [2, 3, 1]],
    [[2, 3, 5], 1, [2, 3, 5]],
    [[2, 3, 4, 5], 1, [2, 3, 20]],
    [[2, 3, 4, 5, 6], 1, [2, 3, 120]],
    [[2, 5, 3], -1, [10, 3, 1]],
    [[2, 4, 5, 3], 3, [40, 3, 1]],
    [[2, 4, 5, 6, 3], -1, [240, 3, 1]],
    [[3, 7], 0, [1, 3, 7]],
  ];
  for (const [shape, axis, [outer, channels, inner]] of layouts) {
    it(`[${shape}] with channels on axis ${axis} is {${outer}, ${channels}, ${inner}}`, async () => {
      expect(extentOf(shape, axis)).toEqual({ outer, channels, inner });
      const layer = newLayer({ axis });
      const y = await layer.forward(filled(shape));
      expect(y.shape).toEqual(shape);
      expect((layer.options.backend as ReferenceBackend).prepared).toEqual([{ outer, channels, inner }]);
    });
  }
});

describe('out', () => {
  it('is filled and returned by forward and backward', async () => {
    const expected = { layer: newLayer(), y: {} as Tensor };
    expected.y = await expected.layer.forward(x);
    const layer = newLayer();
    const out = filled([4, 3], 9);
    expect(await layer.forward(x, { out })).toBe(out);
    expect(out.data).toEqual(expected.y.data);
    const buffers = { dx: filled([4, 3], 9), dgamma: new Float64Array(3), dbeta: new Float64Array(3) };
    const gradients = await layer.backward(dy, { out: buffers });
    expect(gradients.dx).toBe(buffers.dx);
    expect(gradients.dgamma).toBe(buffers.dgamma);
    expect(gradients.dbeta).toBe(buffers.dbeta);
    expect(gradients).toEqual(await expected.layer.backward(dy));
  });

  it('may be dy itself', async () => {
    const layer = newLayer();
    await layer.forward(x);
    const expected = await layer.backward(dy);
    const inPlace = filled([4, 3], 2);
    const { dx } = await layer.backward(inPlace, { out: { dx: inPlace } });
    expect(dx).toBe(inPlace);
    expect(dx).toEqual(expected.dx);
  });

  it('may be x itself in inference', async () => {
    const layer = newLayer();
    const expected = await layer.forward(x, { training: false });
    const inPlace = filled([4, 3]);
    await layer.forward(inPlace, { training: false, out: inPlace });
    expect(inPlace).toEqual(expected);
  });
});

describe('running statistics', () => {
  // Channel 0 of the batches: mean 2 and variance 1, then mean 6 and variance 4.
  const batches = [tensor([2, 1], [1, 3]), tensor([2, 1], [4, 8])];
  const after = async (options: Partial<BatchNormOptions>) => {
    const layer = newLayer({ numFeatures: 1, ...options });
    for (const batch of batches) await layer.forward(batch);
    return { mean: layer.runningMean[0], variance: layer.runningVariance[0], batches: layer.batchesTracked };
  };

  it('keep the fraction momentum of the old value', async () => {
    expect(await after({ momentum: 0.75 })).toEqual({
      mean: 0.75 * 0.5 + 0.25 * 6,
      variance: 0.75 * (0.75 + 0.25 * 1) + 0.25 * 4,
      batches: 2,
    });
  });

  it('average all batches alike with cumulative momentum', async () => {
    expect(await after({ momentum: 'cumulative' })).toEqual({ mean: 4, variance: 2.5, batches: 2 });
  });

  it('average M/(M−1) times the variance with sample variance', async () => {
    expect(await after({ momentum: 'cumulative', varianceEstimator: 'sample' })).toEqual({
      mean: 4,
      variance: 5,
      batches: 2,
    });
  });

  it('know the estimator of the variance by its old name, too', async () => {
    const options = { varianceEstimator: 'sample', runningVariance: 'sample' };
    expect(newLayer({ varianceEstimator: 'sample' }).options).toMatchObject(options);
    expect(newLayer({ runningVariance: 'sample' }).options).toMatchObject(options);
    expect(newLayer({ varianceEstimator: 'sample', runningVariance: 'sample' }).options).toMatchObject(options);
    const { options: resolved } = newLayer({ runningVariance: 'sample' });
    expect(newLayer({ ...resolved, varianceEstimator: 'population' }).options.runningVariance).toBe('population');
    expect(await after({ runningVariance: 'sample' })).toEqual(await after({ varianceEstimator: 'sample' }));
  });

  it('are frozen by momentum 1 and replaced by momentum 0', async () => {
    expect(await after({ momentum: 1 })).toEqual({ mean: 0, variance: 1, batches: 2 });
    expect(await after({ momentum: 0 })).toEqual({ mean: 6, variance: 4, batches: 2 });
  });

  it('stay as they are in inference', async () => {
    const layer = newLayer();
    await layer.forward(x, { training: false });
    expect(layer.batchesTracked).toBe(0);
    expect(layer.runningMean).toEqual(new Float64Array(3));
  });

  it('are absent without tracking; inference then uses batch statistics, and NaN passes through', async () => {
    const layer = newLayer({ trackRunningStatistics: false });
    expect(layer.runningMean).toEqual(new Float64Array(0));
    const training = await layer.forward(x);
    const gradients = await layer.backward(dy);
    expect(await layer.forward(x, { training: false })).toEqual(training);
    expect(await layer.backward(dy)).toEqual(gradients);
    const y = await layer.forward(tensor([2, 3], [1, Number.NaN, 3, 4, 5, 6]));
    expect([...y.data].map(Number.isNaN)).toEqual([false, true, false, false, true, false]);
  });
});

describe('a layer without affine parameters', () => {
  it('has empty parameters and gradients, also in buffers', async () => {
    const layer = newLayer({ affine: false });
    expect([layer.gamma.length, layer.beta.length]).toEqual([0, 0]);
    await layer.forward(x);
    const { dgamma, dbeta, dx } = await layer.backward(dy);
    expect([dgamma.length, dbeta.length, dx.data.length]).toEqual([0, 0, 12]);
    const out = { dgamma: new Float64Array(0), dbeta: new Float64Array(0) };
    const gradients = await layer.backward(dy, { out });
    expect(gradients).toMatchObject({ dx });
    expect(gradients.dgamma).toBe(out.dgamma);
    expect(gradients.dbeta).toBe(out.dbeta);
  });
});

describe('the gradient', () => {
  it('is that of the forward, though parameters have changed since', async () => {
    const layer = newLayer();
    await layer.forward(x);
    const expected = await layer.backward(dy);
    layer.gamma.fill(5);
    expect(await layer.backward(dy)).toEqual(expected);
  });

  it('is that of the forward, though the shape array of x has changed since', async () => {
    const layer = newLayer();
    const shape = [4, 3];
    await layer.forward({ data: x.data, shape });
    const expected = await layer.backward(dy);
    shape.reverse();
    expect(await layer.backward(dy)).toEqual(expected);
  });
});

describe('kernels', () => {
  it('are prepared once for each extent, and freed with the layer', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    for (const N of [4, 2, 4, 2]) await layer.forward(filled([N, 3]));
    expect(backend.prepared.map(({ outer }) => outer)).toEqual([4, 2]);
    await layer.dispose();
    expect(backend.alive.size).toBe(0);
  });

  it('do not pile up with the extents, and those of the latest forward stay', async () => {
    const backend = new ReferenceBackend();
    const layer = newLayer({ backend });
    await layer.forward(x);
    for (let N = 5; N < 40; N++) {
      const bad = filled([N, 3]);
      bad.data[0] = Number.NaN;
      await expect(layer.forward(bad)).rejects.toThrow(BatchNormError);
    }
    expect(backend.alive.size).toBeLessThan(12);
    expect((await layer.backward(dy)).dx.shape).toEqual([4, 3]);
  });
});

describe('BatchNormError', () => {
  it('is recognised across copies of the package', async () => {
    const copy = { ...(await import('../src/errors.js?copy' as string)) } as typeof import('../src/errors.js');
    const error = new copy.BatchNormError('DISPOSED', 'received a call, expected none');
    expect(copy.BatchNormError).not.toBe(BatchNormError);
    expect(error).toBeInstanceOf(BatchNormError);
    expect(new Error('other')).not.toBeInstanceOf(BatchNormError);
    expect(Object.keys(error)).toEqual(['code', 'name']);
  });
});
