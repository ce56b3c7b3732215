// Saving and loading what a layer has learned.
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type BatchNormState } from '../src/index.js';
import { expectError, filled } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const x = filled([5, C]);
const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, ...options });

async function trainedState(options: Partial<BatchNormOptions> = {}): Promise<BatchNormState> {
  const layer = newLayer(options);
  layer.gamma.set([0.1, -2, 3].slice(0, layer.gamma.length));
  await layer.forward(x);
  await layer.forward(filled([7, C], 3));
  return layer.state();
}

describe('state()', () => {
  it('survives JSON to the bit, and gives another layer the same inference', async () => {
    const layer = newLayer({ momentum: 'cumulative' });
    layer.gamma.set([0.1, -2, 1 / 3]);
    await layer.forward(x);
    const other = newLayer({ momentum: 'cumulative' });
    await other.loadState(JSON.parse(JSON.stringify(await layer.state())));
    expect(await other.state()).toEqual(await layer.state());
    const z = await layer.forward(x, { training: false });
    expect((await other.forward(x, { training: false })).data).toEqual(z.data);
    // The count of batches came along: the next batch weighs the same in both.
    await layer.forward(filled([5, C], 2));
    await other.forward(filled([5, C], 2));
    expect(await other.state()).toEqual(await layer.state());
  });

  it('is a copy that later training leaves alone', async () => {
    const layer = newLayer();
    const state = await layer.state();
    const copy = structuredClone(state);
    await layer.forward(x);
    expect(state).toEqual(copy);
  });

  it('has empty vectors without parameters and running statistics', async () => {
    const state = await newLayer({ affine: false, trackRunningStatistics: false }).state();
    expect(state).toMatchObject({ gamma: [], beta: [], runningMean: [], runningVariance: [], batchesTracked: 0 });
  });

  it('takes typed arrays', async () => {
    const state = await trainedState();
    const layer = newLayer();
    await layer.loadState({ ...state, gamma: Float32Array.of(1, 2, 3), runningVariance: Float64Array.of(0.1, 2, 0) });
    expect(layer.gamma).toEqual(Float64Array.of(1, 2, 3));
    expect(layer.runningVariance).toEqual(Float64Array.of(0.1, 2, 0));
    layer.beta = Float32Array.of(0.1, 2, 3);
    expect(layer.beta).toEqual(Float64Array.of(Math.fround(0.1), 2, 3));
  });

  it('is copied when it is loaded, not when its turn comes', async () => {
    const layer = newLayer();
    const training = layer.forward(x);
    const options = { ...(await trainedState()).options };
    const vectors = {
      gamma: Float32Array.of(1, 2, 3),
      beta: [4, 5, 6],
      runningMean: [7, 8, 9],
      runningVariance: [1, 1, 1],
    };
    const state = { formatVersion: 2 as const, numFeatures: C, options, ...vectors, batchesTracked: 1 };
    const loading = layer.loadState(state);
    for (const vector of Object.values(vectors)) vector.fill(Number.NaN);
    Object.assign(options, { epsilon: -1 });
    state.batchesTracked = -1;
    await Promise.all([training, loading]);
    const { gamma, beta, runningMean, runningVariance } = layer;
    expect([gamma, beta, runningMean, runningVariance].map((values) => [...values])).toEqual([
      ...[
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
        [1, 1, 1],
      ],
    ]);
  });

  it('takes float16 as its bits, and no infinity among them', async () => {
    const layer = newLayer();
    layer.gamma = Uint16Array.of(0x3c00, 0xc000, 0x3800);
    expect(layer.gamma).toEqual(Float64Array.of(1, -2, 0.5));
    await layer.loadState({ ...(await layer.state()), beta: Uint16Array.of(0x3c00, 0, 0x3c01) });
    expect(layer.beta).toEqual(Float64Array.of(1, 0, 1 + 2 ** -10));
    const infinite = () => {
      layer.gamma = Uint16Array.of(0x7c00, 0, 0);
    };
    await expectError('INVALID_STATE', infinite, /gamma\[0\] = Infinity/);
  });

  it('carries the options, of which a layer with the same state is made', async () => {
    const options: Partial<BatchNormOptions> = {
      ...{ epsilon: 1e-3, momentum: 0.99, axis: -1, scale: false, activation: 'relu' },
      ...{ varianceEstimator: 'sample', singleValue: 'reject', emptyBatch: 'pass' },
    };
    const state = JSON.parse(JSON.stringify(await trainedState(options))) as BatchNormState;
    expect(state).toMatchObject({ formatVersion: 2, options });
    const { numFeatures, options: carried } = state;
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures, ...carried });
    await layer.loadState(state);
    expect(await layer.state()).toEqual(state);
  });

  it('carries the momentum that the layer has now', async () => {
    const layer = newLayer();
    layer.momentum = 0.75;
    const state = await layer.state();
    expect(state.options.momentum).toBe(0.75);
    await expectError('OPTIONS_MISMATCH', () => newLayer().loadState(state), /momentum 0.75, expected momentum 0.9/);
    const other = newLayer();
    other.momentum = 0.75;
    await other.loadState(state);
  });

  it('of format 1 has no options, and loads', async () => {
    const { options: _, ...state } = await trainedState();
    const layer = newLayer({ epsilon: 1 });
    await layer.loadState({ ...state, formatVersion: 1 });
    expect([...layer.runningMean]).toEqual(state.runningMean);
  });

  it('reads each number of a vector once, in a state and in an assignment', async () => {
    const layer = newLayer();
    const state = await trainedState();
    /** Numbers that are NaN from the second look on. */
    const fickle = () => {
      const seen = new Set<PropertyKey>();
      return new Proxy([1, 2, 3], {
        get(target, key) {
          const isNumber = typeof key === 'string' && /^\d+$/.test(key);
          if (isNumber && seen.has(key)) return Number.NaN;
          seen.add(key);
          return Reflect.get(target, key);
        },
      });
    };
    await layer.loadState({ ...state, gamma: fickle() });
    expect(layer.gamma).toEqual(Float64Array.of(1, 2, 3));
    layer.beta = fickle();
    expect(layer.beta).toEqual(Float64Array.of(1, 2, 3));
  });

  it('writes nothing that loadState() refuses', async () => {
    const layer = newLayer();
    layer.runningVariance.set([1, -0.5, 1]);
    await expectError('INVALID_STATE', () => layer.state(), /runningVariance\[1\] = -0.5/);
    await expectError('INVALID_STATE', () => layer.forward(x, { training: false }), /runningVariance\[1\] = -0.5/);
  });

  it('refuses parameters that JSON can not hold with INVALID_STATE', async () => {
    const layer = newLayer();
    layer.beta[1] = Number.NaN;
    await expectError('INVALID_STATE', () => layer.state(), /beta\[1\] = NaN/);
  });
});

describe('loadState() refuses with INVALID_STATE, and changes nothing,', () => {
  const broken: Record<string, [(state: BatchNormState) => unknown, RegExp]> = {
    'no object': [() => 'state', /'state'/],
    null: [() => null, /null/],
    'another format version': [(state) => ({ ...state, formatVersion: 3 }), /formatVersion 3, expected .*2 or 1/],
    'a state without a version': [({ formatVersion: _, ...state }) => state, /formatVersion undefined/],
    'another number of features': [(state) => ({ ...state, numFeatures: 4 }), /numFeatures 4/],
    'a missing vector': [({ gamma: _, ...state }) => state, /gamma undefined/],
    'a vector of another length': [(state) => ({ ...state, beta: [1, 2] }), /array of 2/],
    'numbers of 64 bits that are no doubles': [
      (state) => ({ ...state, gamma: new BigInt64Array(3) }),
      /gamma\[0\] = 0/,
    ],
    'null, as JSON writes NaN': [(state) => ({ ...state, runningMean: [1, null, 3] }), /runningMean\[1\] = null/],
    'a hole': [(state) => ({ ...state, runningMean: new Array(3) }), /runningMean\[0\] = undefined/],
    infinity: [(state) => ({ ...state, gamma: [1, Number.POSITIVE_INFINITY, 3] }), /gamma\[1\] = Infinity/],
    'a negative variance': [(state) => ({ ...state, runningVariance: [1, 2, -3] }), /runningVariance\[2\] = -3/],
    'a broken count': [(state) => ({ ...state, batchesTracked: 1.5 }), /batchesTracked 1.5/],
    'format 2 without options': [({ options: _, ...state }) => state, /options undefined/],
    'options of which one is missing': [
      ({ options: { axis: _, ...options }, ...state }) => ({ ...state, options }),
      /options\.axis undefined/,
    ],
    'options that can not be': [
      (state) => ({ ...state, options: { ...state.options, epsilon: -1 } }),
      /options\.epsilon -1/,
    ],
    'the names of PyTorch': [
      () => ({ 'bn1.weight': [1, 1, 1], 'bn1.running_var': [1, 1, 1] }),
      /'bn1\.weight'.*PyTorch.*fromPyTorch of @batchnorm\/weights/,
    ],
    'the names of Keras': [
      () => ({ gamma: [1, 1, 1], beta: [0, 0, 0], 'bn/moving_variance:0': [1, 1, 1] }),
      /'bn\/moving_variance:0'.*Keras.*fromKeras/,
    ],
    'the names of ONNX': [() => ({ scale: [1, 1, 1], B: [0, 0, 0] }), /'scale'.*ONNX.*fromOnnx/],
    'a negative count': [(state) => ({ ...state, batchesTracked: -1 }), /batchesTracked -1/],
  };
  for (const [name, [breakIt, message]] of Object.entries(broken)) {
    it(name, async () => {
      const layer = newLayer();
      await layer.forward(x);
      const before = await layer.state();
      const state = breakIt(await trainedState()) as BatchNormState;
      await expectError('INVALID_STATE', () => layer.loadState(state), message);
      expect(await layer.state()).toEqual(before);
    });
  }

  it('the state of a layer without parameters', async () => {
    const state = await trainedState({ affine: false });
    await expectError('INVALID_STATE', () => newLayer().loadState(state), /gamma array of 0/);
  });
});

describe('a state of a layer that computes something else', () => {
  it.each([
    ['epsilon', { epsilon: 1e-3 }, /epsilon 0\.001, expected epsilon 0\.00001/],
    ['momentum', { momentum: 0.1 }, /momentum 0\.1, expected momentum 0\.9/],
    ['axis', { axis: -1 }, /axis -1, expected axis 1/],
    ['varianceEstimator', { varianceEstimator: 'sample' }, /varianceEstimator 'sample'/],
    ['activation', { activation: 'relu' }, /activation 'relu'/],
  ] as const)('is OPTIONS_MISMATCH, and changes nothing: another %s', async (_, options, message) => {
    const [layer, state] = [newLayer(), await trainedState(options)];
    await layer.forward(x);
    const before = await layer.state();
    await expectError('OPTIONS_MISMATCH', () => layer.loadState(state), message);
    expect(await layer.state()).toEqual(before);
  });

  it('is loaded where that is asked for, and the layer keeps its options', async () => {
    const [layer, state] = [newLayer(), await trainedState({ epsilon: 0.5, momentum: 0.1 })];
    await layer.loadState(state, { otherOptions: 'allow' });
    expect(await layer.state()).toEqual({ ...state, options: { ...state.options, epsilon: 1e-5, momentum: 0.9 } });
  });

  it('is none where a layer is stricter alone', async () => {
    const state = await trainedState({ singleValue: 'allow', emptyBatch: 'pass' });
    const layer = newLayer({ singleValue: 'reject' });
    await layer.loadState(state);
    expect([...layer.gamma]).toEqual(state.gamma);
  });

  it('has to be asked for in words that exist', async () => {
    const [layer, state] = [newLayer(), await trainedState()];
    await expectError('INVALID_OPTION', () => layer.loadState(state, { otherOptions: true as never }), /otherOptions/);
    await expectError('INVALID_OPTION', () => layer.loadState(state, { strict: false } as never), /strict/);
  });
});
