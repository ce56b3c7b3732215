// What users may change in a layer: parameters, running statistics, momentum.
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, checkedTensor, type Tensor } from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: new ReferenceBackend(), numFeatures: 2, dtype: 'float64', ...options });
const doubles = (...rows: number[][]): Tensor => ({
  data: Float64Array.from(rows.flat()),
  shape: [rows.length, rows[0]!.length],
});
const x = doubles([0, 10], [1, 20], [2, 30], [3, 40]);

describe('an assignment', () => {
  it('to gamma and beta is what the next forward uses', async () => {
    const layer = newLayer();
    layer.gamma = Float64Array.of(3, 3);
    layer.beta = Float64Array.of(100, 100);
    const { data } = await layer.forward(x);
    expect(data[0]).toBeCloseTo(95.97509, 5);
    expect(data[1]).toBeCloseTo(95.97508, 5);
    expect((await layer.state()).gamma).toEqual([3, 3]);
  });

  it('to running statistics is what inference uses', async () => {
    const layer = newLayer({ epsilon: 0 });
    layer.runningMean = [2, 0];
    layer.runningVariance = Float32Array.of(9, 1);
    expect([...(await layer.forward(doubles([102, 5]), { training: false })).data]).toEqual([100 / 3, 5]);
  });

  it('is a copy', () => {
    const layer = newLayer();
    const [mine, before] = [Float64Array.of(3, 3), layer.gamma];
    layer.gamma = mine;
    mine.fill(7);
    expect(layer.gamma).toBe(before);
    expect([...layer.gamma]).toEqual([3, 3]);
  });

  it.each([
    ['gamma', [1], /gamma array of 1, expected an array of 2 numbers/],
    ['gamma', [1, Number.NaN], /gamma\[1\] = NaN/],
    ['beta', [1, '2'], /beta\[1\] = '2'/],
    ['beta', 1, /beta 1/],
    ['runningMean', Float64Array.of(1, Number.POSITIVE_INFINITY), /runningMean\[1\] = Infinity/],
    ['runningVariance', [1, -1], /runningVariance\[1\] = -1/],
    ['runningVariance', undefined, /runningVariance undefined/],
  ] as const)('of what %s can not be is INVALID_STATE, and changes nothing: %s', async (name, value, message) => {
    const layer = newLayer();
    const before = await layer.state();
    await expectError(
      'INVALID_STATE',
      () => {
        layer[name] = value as unknown as Float64Array;
      },
      message,
    );
    expect(await layer.state()).toEqual(before);
  });

  it.each(['options', 'batchesTracked'] as const)('to %s is a TypeError that names it', (name) => {
    const layer = newLayer() as unknown as Record<string, unknown>;
    expect(() => {
      layer[name] = {};
    }).toThrow(new RegExp(`TypeError.*${name}|${name}`));
    expect(() => {
      (layer.options as Record<string, unknown>).epsilon = 1;
    }).toThrow(TypeError);
  });

  it('to parameters that there are none of takes none', async () => {
    const layer = newLayer({ affine: false });
    layer.gamma = [];
    await expectError('INVALID_STATE', () => {
      layer.gamma = [1, 1];
    });
  });
});

describe('momentum', () => {
  it('may follow a schedule', async () => {
    const layer = newLayer({ momentum: 0 });
    await layer.forward(x);
    layer.momentum = 0.75;
    await layer.forward(doubles([4, 4], [4, 4]));
    expect([...layer.runningMean]).toEqual([0.75 * 1.5 + 0.25 * 4, 0.75 * 25 + 0.25 * 4]);
    expect(layer.momentum).toBe(0.75);
    expect(layer.options.momentum).toBe(0);
  });

  it('is that of the call, though another is assigned before it runs', async () => {
    const layer = newLayer({ momentum: 0 });
    const running = layer.forward(x);
    layer.momentum = 1;
    await running;
    expect([...layer.runningMean]).toEqual([1.5, 25]);
  });

  it('that can not be is refused, and stays what it was', async () => {
    const layer = newLayer();
    for (const wrong of [1.5, Number.NaN, 'exact', undefined]) {
      await expectError(
        'INVALID_OPTION',
        () => {
          layer.momentum = wrong as number;
        },
        /momentum/,
      );
    }
    expect(layer.momentum).toBe(0.9);
  });

  it("'cumulative' weighs batches equally, 'exact' weighs values", async () => {
    const batches = [
      [1, 2, 3, 4, 5, 6, 7, 8],
      [3, 1, 4, 1, 5, 9, 2, 6],
      [20, 30, 40],
    ].map((values) => doubles(...values.map((value) => [value, -value])));
    const all = batches.flatMap(({ data }) => [...data].filter((_, k) => k % 2 === 0));
    const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const meanOfMeans = mean(batches.map(({ data }) => mean([...data].filter((_, k) => k % 2 === 0))));
    const squares = all.reduce((sum, value) => sum + (value - mean(all)) ** 2, 0);
    const cumulative = newLayer({ momentum: 'cumulative' });
    for (const batch of batches) await cumulative.forward(batch);
    expect(cumulative.runningMean[0]).toBeCloseTo(meanOfMeans, 12);
    for (const [varianceEstimator, divisor] of [
      ['population', all.length],
      ['sample', all.length - 1],
    ] as const) {
      const exact = newLayer({ momentum: 'exact', varianceEstimator });
      for (const batch of batches) await exact.forward(batch);
      expect(exact.runningMean[0]).toBeCloseTo(mean(all), 12);
      expect(exact.runningMean[1]).toBeCloseTo(-mean(all), 12);
      expect(exact.runningVariance[0]).toBeCloseTo(squares / divisor, 10);
    }
  });

  it("'exact' goes on from a state, which must say how many values there were", async () => {
    const [whole, begun, resumed] = [1, 2, 3].map(() => newLayer({ momentum: 'exact' })) as [
      BatchNorm,
      BatchNorm,
      BatchNorm,
    ];
    for (const layer of [whole, begun]) await layer.forward(x);
    const state = await begun.state();
    expect(state.valuesTracked).toBe(4);
    await resumed.loadState(JSON.parse(JSON.stringify(state)));
    for (const layer of [whole, resumed]) await layer.forward(doubles([5, 5], [7, 8]));
    expect(await resumed.state()).toEqual(await whole.state());
    const { valuesTracked: _, ...without } = state;
    await expectError('INVALID_STATE', () => resumed.loadState(without), /valuesTracked undefined/);
  });
});

describe('running statistics', () => {
  it('begin anew with resetRunningStatistics(), in call order', async () => {
    const layer = newLayer();
    void layer.forward(x);
    const reset = layer.resetRunningStatistics();
    const after = layer.forward(doubles([2, 2], [4, 4]));
    await Promise.all([reset, after]);
    expect([...layer.runningMean]).toEqual([0.1 * 3, 0.1 * 3].map((value) => expect.closeTo(value, 12)));
    expect(layer.batchesTracked).toBe(1);
  });

  it('are left alone by a training forward that is not tracked', async () => {
    const [layer, other] = [newLayer(), newLayer({ trackRunningStatistics: false })];
    const before = await layer.state();
    expect(await layer.forward(x, { track: false })).toEqual(await other.forward(x));
    expect(await layer.backward(x)).toEqual(await other.backward(x));
    expect(await layer.state()).toEqual(before);
    // Nothing is poisoned, so that nothing is refused.
    await layer.forward(doubles([1, Number.NaN], [2, 3]), { track: false });
    await expectError('INVALID_OPTION', () => layer.forward(x, { track: 0 as unknown as boolean }), /track 0/);
  });
});

describe('gamma without beta, and beta without gamma', () => {
  it.each([
    [{ scale: false }, [], [0, 0]],
    [{ center: false }, [1, 1], []],
    [{ affine: false, scale: true }, [1, 1], []],
    [{ affine: false, center: true }, [], [0, 0]],
  ] as const)('%j', async (options, gamma, beta) => {
    const [layer, full] = [newLayer(options), newLayer()];
    expect([[...layer.gamma], [...layer.beta]]).toEqual([gamma, beta]);
    for (const training of [true, false]) {
      expect(await layer.forward(x, { training })).toEqual(await full.forward(x, { training }));
      const [part, all] = [await layer.backward(x), await full.backward(x)];
      expect(part.dx).toEqual(all.dx);
      expect(part.dgamma).toEqual(gamma.length > 0 ? all.dgamma : new Float64Array(0));
      expect(part.dbeta).toEqual(beta.length > 0 ? all.dbeta : new Float64Array(0));
    }
    const other = newLayer(options);
    await other.loadState(await layer.state());
    expect(await other.state()).toEqual(await layer.state());
  });

  it('ask the backend for gradients of parameters only where there are some', async () => {
    for (const [options, asked] of [
      [{ affine: false }, false],
      [{ scale: false }, true],
      [{}, true],
    ] as const) {
      const backend = new ReferenceBackend();
      const layer = new BatchNorm({ backend, numFeatures: 2, dtype: 'float64', ...options });
      await layer.forward(x, { training: false });
      await layer.backward(x);
      expect(backend.parameterGradients).toEqual([asked]);
    }
  });
});

describe('an empty batch that may pass', () => {
  it.each([true, false])(
    'has an empty y and gradients of nothing, and changes nothing (training: %s)',
    async (training) => {
      const layer = newLayer({ emptyBatch: 'pass' });
      await layer.forward(x);
      const before = await layer.state();
      const nothing = { data: new Float64Array(0), shape: [0, 2] };
      expect(await layer.forward(nothing, { training })).toEqual(nothing);
      const { dx, dgamma, dbeta } = await layer.backward(nothing);
      expect([dx, [...dgamma], [...dbeta]]).toEqual([nothing, [0, 0], [0, 0]]);
      expect(await layer.state()).toEqual(before);
      await expectError('SHAPE_MISMATCH', () => layer.forward({ data: new Float64Array(0), shape: [0, 3] }));
    },
  );

  it('passes on the device, too', async () => {
    const backend = new ReferenceBackend();
    const layer = new BatchNorm({ backend, numFeatures: 2, emptyBatch: 'pass' });
    const nothing = backend.upload(tensor([0, 2], []));
    const pass = await layer.forwardPass(nothing);
    expect(await pass.y.read()).toEqual(new Float32Array(0));
    const { dx, dgamma } = await pass.backward(nothing);
    expect([await dx.read(), await dgamma.read()]).toEqual([new Float32Array(0), new Float64Array(2)]);
  });
});

describe('tensors that are not what they seem', () => {
  it('of a subclass are their elements', async () => {
    class Branded extends Float32Array {
      constructor() {
        super(new ArrayBuffer(16));
      }
    }
    const layer = newLayer({ dtype: 'float32' });
    const data = new Branded();
    data.set([0, 10, 3, 40]);
    const y = await layer.forward({ data, shape: [2, 2] });
    expect(y).toEqual(await layer.forward(tensor([2, 2], [0, 10, 3, 40])));
  });

  it.each([
    ['a hole', Object.assign(new Array<number>(3), { 0: 2, 2: 2 }), /\[2, undefined, 2\]/],
    ['a symbol', [2, Symbol('s')] as unknown as number[], /Symbol\(s\)/],
    ['an object without prototype', [2, Object.create(null)] as unknown as number[], /object/],
    ['a product beyond whole numbers', [0, 2, 2 ** 52, 25], /safe integer/],
  ])('with %s in the shape are INVALID_TENSOR', async (_name, shape, message) => {
    const data = new Float32Array(filled([2, 2]).data);
    await expectError('INVALID_TENSOR', () => newLayer({ dtype: 'float32' }).forward({ data, shape }), message);
  });
});

describe('tensors that answer something else each time', () => {
  const data = Float32Array.of(1, 2, 3, 4, 5, 7);
  /** Two rows the first time, then as `rows` says. */
  const changing = (rows: number): number[] => {
    let looks = 0;
    return Object.defineProperty([2, 3], 0, { get: () => (looks++ === 0 ? 2 : rows) });
  };
  const three = (options: Partial<BatchNormOptions> = {}) => newLayer({ numFeatures: 3, dtype: 'float32', ...options });

  it.each([1, 4, 1e9])('are what they were at the first look: a shape of 2, then %i rows', async (rows) => {
    const want = await three().forward({ data, shape: [2, 3] });
    expect(await three().forward({ data, shape: changing(rows) })).toEqual(want);
    const layer = three();
    await layer.forward({ data, shape: [2, 3] });
    const { dx } = await layer.backward({ data, shape: changing(rows) });
    expect(dx.shape).toEqual([2, 3]);
  });

  it('are what they were at the first look: data', async () => {
    const layer = three();
    await layer.forward({ data, shape: [2, 3] });
    const want = await layer.backward({ data, shape: [2, 3] });
    const [whole, short] = [new Float32Array(6), new Float32Array(1)];
    let looks = 0;
    const dx = { shape: [2, 3], get: () => undefined };
    Object.defineProperty(dx, 'data', { get: () => (looks++ === 0 ? whole : short) });
    await layer.backward({ data, shape: [2, 3] }, { out: { dx: dx as unknown as Tensor } });
    expect(whole).toEqual(want.dx.data);
  });

  it('with a length that somebody defined are INVALID_TENSOR', async () => {
    const layer = three();
    const lying = Object.defineProperty(new Float32Array(2), 'length', { value: 6 });
    await expectError('INVALID_TENSOR', () => layer.forward({ data: lying, shape: [2, 3] }));
    await layer.forward({ data, shape: [2, 3] });
    await expectError('INVALID_TENSOR', () => layer.backward({ data: lying, shape: [2, 3] }));
    const gradient = Object.defineProperty(new Float64Array(2), 'length', { value: 3 });
    const out = { out: { dgamma: gradient } };
    await expectError('INVALID_TENSOR', () => layer.backward({ data, shape: [2, 3] }, out));
  });

  it('of more axes than anybody has are INVALID_TENSOR, at once and in few words', async () => {
    const huge = [2, 3];
    huge.length = 2 ** 32 - 1;
    for (const shape of [huge, Array.from({ length: 65 }, () => 1)]) {
      await expectError('INVALID_TENSOR', () => three().forward({ data, shape }), /^.{0,100}$/);
      await expectError('INVALID_TENSOR', () => checkedTensor({ data, shape }), /^.{0,100}$/);
    }
  });
});

describe('what throws when it is looked at', () => {
  const thrower = (name: string) =>
    Object.defineProperty({}, name, {
      enumerable: true,
      get: () => {
        throw new Error('boom');
      },
    });
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };

  it.each([
    ['INVALID_OPTION', (layer: BatchNorm) => layer.forward(x, thrower('training') as object)],
    ['INVALID_OPTION', (layer: BatchNorm) => layer.backward(x, thrower('out') as object)],
    ['INVALID_OPTION', () => newLayer({ epsilon: revoked() as number })],
    ['INVALID_OPTION', () => new BatchNorm(thrower('momentum') as BatchNormOptions)],
    [
      'INVALID_TENSOR',
      async (layer: BatchNorm) => {
        await layer.forward(x);
        await layer.backward(x, { out: { dgamma: revoked() as Float64Array } });
      },
    ],
    ['INVALID_TENSOR', () => checkedTensor(thrower('data'))],
    ['INVALID_TENSOR', () => checkedTensor({ data: x.data, shape: revoked() })],
    ['INVALID_TENSOR', (layer: BatchNorm) => layer.forward(thrower('data') as Tensor)],
    ['INVALID_TENSOR', (layer: BatchNorm) => layer.forward({ data: x.data, shape: [4, revoked() as number] })],
    ['INVALID_STATE', (layer: BatchNorm) => layer.loadState(thrower('gamma') as never)],
    [
      'INVALID_STATE',
      (layer: BatchNorm) => {
        layer.gamma = Object.defineProperty([1, 1], 0, {
          get: () => {
            throw new Error('boom');
          },
        });
      },
    ],
  ] as const)('is %s', async (code, attempt) => {
    await expectError(code, () => attempt(newLayer()));
  });
});

it('a property that a layer does not have can not be assigned', () => {
  const layer = newLayer() as unknown as Record<string, unknown>;
  for (const name of ['epsilon', 'training']) {
    expect(() => {
      layer[name] = 1;
    }).toThrow(new RegExp(name));
  }
});

it('a state of momentum exact has at least one value of each batch', async () => {
  const layer = newLayer({ momentum: 'exact' });
  await layer.forward(x);
  const state = await layer.state();
  for (const wrong of [{ valuesTracked: 0 }, { batchesTracked: 0 }]) {
    await expectError('INVALID_STATE', () => layer.loadState({ ...state, ...wrong }), /valuesTracked/);
  }
});
