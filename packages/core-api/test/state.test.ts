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
    await layer.loadState({ ...state, gamma: Float32Array.of(1, 2, 3) as unknown as number[] });
    expect(layer.gamma).toEqual(Float64Array.of(1, 2, 3));
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
    'another format version': [(state) => ({ ...state, formatVersion: 2 }), /formatVersion 2/],
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
