// Several ranks that normalise as one layer would on the batches of all, or fail together.
import { describe, expect, it, vi } from 'vitest';
import {
  BatchNorm,
  type BatchNormOptions,
  type Collective,
  type ErrorCode,
  type ForwardOptions,
  type ForwardPass,
  hostBackend,
  inCallOrder,
  inProcessCollective,
  type Mask,
  type OnDevice,
  type Tensor,
} from '../src/index.js';
import { expectError, filled } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const float64 = (length: number) => new Float64Array(length);
/** Rows of each rank: uneven, one of them empty. */
const rows = [4, 0, 1, 7];
const total = rows.reduce((a, b) => a + b);

interface Rank {
  readonly layer: BatchNorm;
  readonly backend: ReferenceBackend;
}

function newRanks(
  options: Partial<BatchNormOptions> | ((rank: number) => Partial<BatchNormOptions>) = {},
  size = rows.length,
): { ranks: Rank[]; exchanges: () => number } {
  let gathers = 0;
  const ranks = inProcessCollective(size).map((one, rank) => {
    const allGather = (values: Float64Array) => {
      gathers++;
      return one.allGather(values);
    };
    const collective = { ...one, allGather };
    const backend = new ReferenceBackend();
    const own = typeof options === 'function' ? options(rank) : options;
    return {
      backend,
      layer: new BatchNorm({ backend, numFeatures: C, dtype: 'float64', emptyBatch: 'pass', collective, ...own }),
    };
  });
  return { ranks, exchanges: () => gathers / size };
}

/** The rows of each rank of `all`. */
function split(all: Tensor): Tensor[] {
  let begin = 0;
  return rows.map((count) => {
    const data = all.data.slice(begin * C, (begin + count) * C);
    begin += count;
    return { data, shape: [count, C] };
  });
}

const joined = (parts: readonly Tensor[]) => parts.flatMap(({ data }) => [...data]);
const [x, residual, dy] = [1, 2, 3].map((seed) => filled([total, C], seed, float64)) as [Tensor, Tensor, Tensor];

/** A batch that any rank can have. */
const ok: Tensor = { data: x.data.slice(0, 2 * C), shape: [2, C] };

function expectClose(values: Iterable<number>, expected: ArrayLike<number>, digits = 12): void {
  expect([...values]).toEqual(Array.from(expected, (value) => expect.closeTo(value, digits)));
}

describe.each(['host', 'device'] as const)('ranks on the %s', (memory) => {
  const place = ({ backend }: Rank, tensor: Tensor): Tensor =>
    memory === 'host' ? tensor : (backend.upload(tensor) as unknown as Tensor);
  const elements = async (tensor: Tensor): Promise<Tensor> => {
    if (memory === 'host') return tensor;
    const { read } = tensor as unknown as OnDevice<Tensor['data']>;
    return { data: await read.call(tensor), shape: tensor.shape };
  };

  const vector = async (value: unknown): Promise<Float64Array> =>
    value instanceof Float64Array ? value : (value as OnDevice<Float64Array>).read();

  it.each([
    {},
    { varianceEstimator: 'sample', momentum: 'exact' },
    { activation: 'relu', momentum: 'cumulative' },
    { trackRunningStatistics: false },
  ] as const)('are one layer on the batches of all: %o', async (options) => {
    const { ranks } = newRanks(options);
    const one = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64', ...options });
    for (const { layer } of [...ranks, { layer: one }]) layer.gamma = [2, -1, 0.5];
    for (let step = 0; step < 2; step++) {
      const y = await one.forward(x, { residual });
      const gradients = await one.backward(dy);
      const [xs, residuals, dys] = [x, residual, dy].map(split) as [Tensor[], Tensor[], Tensor[]];
      const ys = await Promise.all(
        ranks.map((rank, r) => rank.layer.forward(place(rank, xs[r]!), { residual: place(rank, residuals[r]!) })),
      );
      expectClose(joined(await Promise.all(ys.map(elements))), y.data);
      const all = await Promise.all(ranks.map((rank, r) => rank.layer.backward(place(rank, dys[r]!))));
      expectClose(joined(await Promise.all(all.map(({ dx }) => elements(dx)))), gradients.dx.data);
      expectClose(
        joined(await Promise.all(all.map(({ dresidual }) => elements(dresidual!)))),
        gradients.dresidual!.data,
      );
      // Gradients of parameters are each rank's own: their sum is that of all.
      for (const name of ['dgamma', 'dbeta'] as const) {
        const own = await Promise.all(all.map((each) => vector(each[name])));
        expectClose(
          gradients[name].map((_, c) => own.reduce((sum, vector) => sum + vector[c]!, 0)),
          gradients[name],
        );
      }
    }
    const states = await Promise.all(ranks.map(({ layer }) => layer.state()));
    for (const state of states) expect(state).toEqual(states[0]);
    const expected = await one.state();
    expect(states[0]!.batchesTracked).toBe(expected.batchesTracked);
    expectClose(states[0]!.runningMean, expected.runningMean);
    expectClose(states[0]!.runningVariance, expected.runningVariance);
    for (const { layer, backend } of ranks) {
      await layer.dispose();
      expect([...backend.alive].filter((object) => !('stored' in object))).toEqual([]);
    }
  });

  it('leave nothing on the device but their results', async () => {
    const { ranks } = newRanks({}, 2);
    const forward = (rank: Rank) => rank.layer.forward(place(rank, ok));
    await Promise.all(ranks.map(forward));
    const before = ranks[0]!.backend.alive.size;
    await Promise.all(ranks.map(forward));
    const inputsAndResults = memory === 'device' ? 2 : 0;
    expect(ranks[0]!.backend.alive.size).toBe(before + inputsAndResults);
    await Promise.all(ranks.map((rank) => rank.layer.backward(place(rank, ok))));
    // dy, dx, dgamma and dbeta.
    expect(ranks[0]!.backend.alive.size).toBe(before + 3 * inputsAndResults);
  });

  it('do not ask kernels for the moments of nothing', async () => {
    const { ranks } = newRanks({}, 2);
    const [one, other] = ranks as [Rank, Rank];
    const { prepare } = one.backend;
    one.backend.prepare = (plan) => {
      const kernels = prepare.call(one.backend, plan);
      const moments = () => {
        throw new Error('asked');
      };
      Object.assign(kernels.device!, { moments });
      return Object.assign(kernels, { moments });
    };
    const nothing: Mask = { data: new Uint8Array(2), shape: [2] };
    await Promise.all([one.layer.forward(place(one, ok), { mask: nothing }), other.layer.forward(place(other, ok))]);
  });

  it('count the positions of their masks, none of them even', async () => {
    const masks = [[1, 0, 1, 1], [], [0], [1, 0, 0, 1, 1, 1, 0]];
    const mask: Mask = { data: Uint8Array.from(masks.flat()), shape: [total] };
    const one = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64' });
    const y = await one.forward(x, { mask });
    const { dx } = await one.backward(dy);
    const { ranks } = newRanks();
    const [xs, dys] = [split(x), split(dy)];
    const ys = await Promise.all(
      ranks.map((rank, r) =>
        rank.layer.forward(place(rank, xs[r]!), {
          mask: { data: Uint8Array.from(masks[r]!), shape: [rows[r]!] },
        }),
      ),
    );
    expectClose(joined(await Promise.all(ys.map(elements))), y.data);
    const dxs = await Promise.all(ranks.map((rank, r) => rank.layer.backward(place(rank, dys[r]!))));
    expectClose(joined(await Promise.all(dxs.map(({ dx }) => elements(dx)))), dx.data);
  });

  it('have passes of their own, with the statistics of all', async () => {
    const { ranks } = newRanks();
    const xs = split(x);
    const passes = await Promise.all(ranks.map((rank, r) => rank.layer.forwardPass(place(rank, xs[r]!))));
    const statistics = await Promise.all(passes.map((pass) => pass.statistics()));
    for (const one of statistics) expect(one).toEqual(statistics[0]);
  });
});

describe('ranks', () => {
  it('talk once in a backward, twice in a forward, and not in inference', async () => {
    const { ranks, exchanges } = newRanks();
    const every = (call: (layer: BatchNorm, r: number) => Promise<unknown>) =>
      Promise.all(ranks.map(({ layer }, r) => call(layer, r)));
    await every((layer, r) => layer.forward(split(x)[r]!));
    expect(exchanges()).toBe(2);
    await every((layer, r) => layer.backward(split(dy)[r]!));
    expect(exchanges()).toBe(3);
    await every((layer, r) => layer.forward(split(x)[r]!, { training: false }));
    await every((layer, r) => layer.backward(split(dy)[r]!));
    await every((layer, r) => layer.moments(split(x)[r]!));
    expect(exchanges()).toBe(3);
  });

  it('use no fused form, which has no place for what they say', async () => {
    const [collective] = inProcessCollective(1);
    const backend = new ReferenceBackend();
    const { prepare } = backend;
    backend.prepare = (plan) => {
      const kernels = prepare.call(backend, plan);
      const refuse = () => {
        throw new Error('fused');
      };
      return Object.assign(kernels, { fused: { forwardTraining: refuse, backwardTraining: refuse } });
    };
    const layer = new BatchNorm({ backend, numFeatures: C, dtype: 'float64', collective: collective! });
    await layer.forward(x);
    await layer.backward(dy);
  });

  const nan: Tensor = { data: x.data.slice(0, C).fill(Number.NaN), shape: [1, C] };
  const failing: [string, ErrorCode, (layer: BatchNorm) => Promise<unknown>][] = [
    ['gets a tensor of another shape', 'SHAPE_MISMATCH', (layer) => layer.forward(filled([2, 2], 1, float64))],
    ['gets another dtype', 'DTYPE_MISMATCH', (layer) => layer.forward(filled([2, C]))],
    ['gets a mask of another shape', 'SHAPE_MISMATCH', (layer) => layer.forward(ok, { mask: maskOf([1, 1, 1]) })],
    ['gets a residual of another shape', 'SHAPE_MISMATCH', (layer) => layer.forward(ok, { residual: nan })],
    ['gets x for out', 'INVALID_TENSOR', (layer) => layer.forward(ok, { out: ok })],
    ['gets an option that there is not', 'INVALID_OPTION', (layer) => layer.forward(ok, { foo: 1 } as never)],
    ['gets an option of another type', 'INVALID_OPTION', (layer) => layer.forward(ok, { training: 3 as never })],
    [
      'gets options that throw',
      'INVALID_OPTION',
      (layer) => layer.forward(ok, new Proxy({}, { get: fails, ownKeys: fails })),
    ],
  ];
  function fails(): never {
    throw new Error('no');
  }
  const maskOf = (data: number[]): Mask => ({ data: Uint8Array.from(data), shape: [data.length] });

  it.each(failing)('all fail when one %s, and nothing has changed', async (_, code, call) => {
    const { ranks } = newRanks({}, 2);
    const [one, other] = [ranks[0]!.layer, ranks[1]!.layer];
    await Promise.all([one.forward(ok), other.forward(ok)]);
    const before = [await one.state(), await other.state()];
    const { dx } = (await Promise.all([one.backward(ok), other.backward(ok)]))[0];
    const out = filled([2, C], 9, float64);
    await Promise.all([
      expectError(code, () => call(one)),
      expectError('COLLECTIVE_FAILED', () => other.forward(ok, { out }), /rank 0/),
    ]);
    expect(out).toEqual(filled([2, C], 9, float64));
    expect([await one.state(), await other.state()]).toEqual(before);
    const again = await Promise.all([one.backward(ok), other.backward(ok)]);
    expect(again[0].dx).toEqual(dx);
  });

  it('all fail when a layer or a pass of one is disposed', async () => {
    const { ranks } = newRanks({}, 3);
    const [a, b, c] = ranks.map(({ layer }) => layer) as [BatchNorm, BatchNorm, BatchNorm];
    await Promise.all([a, b, c].map((layer) => layer.forward(ok)));
    const passes = await Promise.all([a, b, c].map((layer) => layer.forwardPass(ok)));
    await passes[0]!.dispose();
    await Promise.all([
      expectError('DISPOSED', () => passes[0]!.backward(ok)),
      expectError('COLLECTIVE_FAILED', () => passes[1]!.backward(ok), /rank 0/),
      expectError('COLLECTIVE_FAILED', () => passes[2]!.backward(ok), /rank 0/),
    ]);
    await c.dispose();
    for (const call of [(layer: BatchNorm) => layer.forward(ok), (layer: BatchNorm) => layer.backward(ok)]) {
      await Promise.all([
        expectError('COLLECTIVE_FAILED', () => call(a), /rank 2/),
        expectError('COLLECTIVE_FAILED', () => call(b), /rank 2/),
        expectError('DISPOSED', () => call(c)),
      ]);
    }
    await expectError('DISPOSED', () => c.forward(ok, { training: false }));
  });

  it('all fail when they differentiate different forwards', async () => {
    const { ranks } = newRanks({}, 2);
    const [one, other] = [ranks[0]!.layer, ranks[1]!.layer];
    const passes: ForwardPass[][] = [];
    for (let n = 0; n < 2; n++) passes.push(await Promise.all([one.forwardPass(ok), other.forwardPass(ok)]));
    await Promise.all([
      expectError('COLLECTIVE_FAILED', () => passes[0]![0]!.backward(ok), /a backward of forward \d/),
      expectError('COLLECTIVE_FAILED', () => passes[1]![1]!.backward(ok), /a backward of forward \d/),
    ]);
    await Promise.all(passes[0]!.map((pass) => pass.backward(ok)));
  });

  it('all refuse a batch with NaN on one of them', async () => {
    const { ranks } = newRanks({}, 2);
    const [one, other] = [ranks[0]!.layer, ranks[1]!.layer];
    const before = await one.state();
    const out = filled([2, C], 9, float64);
    await Promise.all([
      expectError('NON_FINITE_STATISTICS', () => one.forward(nan), /a batch of rank 0 whose mean of channel 0/),
      expectError('NON_FINITE_STATISTICS', () => other.forward(ok, { out }), /a batch of rank 0 whose .+ channel 0/),
    ]);
    expect(out).toEqual(filled([2, C], 9, float64));
    expect([await one.state(), await other.state()]).toEqual([before, before]);
    const [a, b] = await Promise.all([one.forward(nan, { track: false }), other.forward(ok, { track: false })]);
    expect([...a.data, ...b.data].every(Number.isNaN)).toBe(true);
  });

  it('all refuse it with the first such rank, also one that has no values', async () => {
    const { ranks } = newRanks({}, 4);
    const rows = (...values: number[]) => ({ data: Float64Array.from(values), shape: [values.length / C, C] });
    const inputs = [ok, rows(), rows(1, Number.NaN, 1, 2, 1, 2), rows(Number.NaN, 1, 1)];
    const message = /^received a batch of rank 2 whose mean of channel 1 is NaN, expected/;
    await Promise.all(
      ranks.map(({ layer }, r) => expectError('NON_FINITE_STATISTICS', () => layer.forward(inputs[r]!), message)),
    );
  });

  it('all refuse finite batches that float64 can not hold together, of no rank', async () => {
    const { ranks } = newRanks({}, 3);
    const rows = (value: number, count: number) => ({
      data: new Float64Array(count * C).fill(value),
      shape: [count, C],
    });
    const inputs = [rows(1e200, 2), rows(-1e200, 2), rows(0, 0)];
    await Promise.all(
      ranks.map(({ layer }, r) =>
        expectError('NON_FINITE_STATISTICS', () => layer.forward(inputs[r]!), /a batch of all ranks whose variance/),
      ),
    );
  });

  it('have enough values together, or fail together', async () => {
    const single = { data: ok.data.slice(0, C), shape: [1, C] };
    const none = { data: new Float64Array(0), shape: [0, C] };
    const { ranks } = newRanks({ singleValue: 'reject' }, 2);
    const forward = (inputs: Tensor[], code?: ErrorCode) =>
      Promise.all(
        ranks.map(({ layer }, r) =>
          code ? expectError(code, () => layer.forward(inputs[r]!)) : layer.forward(inputs[r]!),
        ),
      );
    await forward([single, none], 'SINGLE_VALUE');
    const before = await ranks[0]!.layer.state();
    await forward([none, none]);
    expect(await ranks[0]!.layer.state()).toEqual(before);
    await forward([single, single]);
  });

  it('all fail when the kernels of one fail after the exchange', async () => {
    let failed = false;
    const { ranks } = newRanks((rank) => {
      if (rank === 0) return {};
      const passes = {
        moments: (_x: unknown, _mask: unknown, mean: Float64Array, m2: Float64Array) => {
          mean.fill(1);
          m2.fill(2);
        },
        normalize: () => {
          if (!failed) throw new RangeError('no memory');
        },
        gradientSums: () => undefined,
        inputGradient: () => undefined,
      };
      return { backend: hostBackend({ name: 'failing', passesFor: () => passes }) };
    }, 2);
    const [one, other] = [ranks[0]!.layer, ranks[1]!.layer];
    const before = await one.state();
    await Promise.all([
      expectError('COLLECTIVE_FAILED', () => one.forward(ok), /rank 1/),
      expect(other.forward(ok)).rejects.toThrow('no memory'),
    ]);
    const there = ranks[0]!.backend.upload(ok);
    await Promise.all([
      expectError('COLLECTIVE_FAILED', () => one.forward(there), /rank 1/),
      expect(other.forward(ok)).rejects.toThrow('no memory'),
    ]);
    expect([...ranks[0]!.backend.alive].filter((object) => 'stored' in object)).toEqual([there]);
    expect([await one.state(), await other.state()]).toEqual([before, before]);
    expect([...ranks[0]!.backend.alive].filter((object) => 'saved' in object || 'mean' in object)).toEqual([]);
    failed = true;
    await Promise.all([one.forward(ok), other.forward(ok)]);
  });

  it.each([
    [
      'epsilon',
      (rank: number) => ({ epsilon: rank ? 1e-3 : 1e-5 }),
      {},
      /rank 1 with epsilon 0.001, expected epsilon 0.00001/,
    ],
    [
      'activation',
      (rank: number) => ({ activation: rank ? 'relu' : 'none' }) as const,
      {},
      /rank 1 with activation 'relu', expected activation 'none'/,
    ],
    ['average', (rank: number) => ({ momentum: rank ? 'exact' : 'cumulative' }) as const, {}, /exact.*cumulative/],
    ['momentum', (rank: number) => ({ momentum: rank ? 0.5 : 0.9 }), {}, /momentum 0.5/],
    [
      'estimator',
      (rank: number) => ({ varianceEstimator: rank ? 'sample' : 'population' }) as const,
      {},
      /varianceEstimator 'sample'/,
    ],
    ['scale', (rank: number) => ({ scale: rank === 0 }), {}, /scale false/],
    ['tracking', (rank: number) => ({ trackRunningStatistics: rank === 0 }), {}, /trackRunningStatistics false/],
    [
      'channels',
      (rank: number) => ({ numFeatures: rank ? 2 : C }),
      {},
      /^received \d+ values of rank 1, expected \d+, as of rank 0$/,
    ],
    ['track', () => ({}), { track: false }, /rank 1 with track false/],
  ] as const)('all fail when they differ in %s', async (_, options, call, message) => {
    const { ranks } = newRanks(options as never, 2);
    const states = await Promise.all(ranks.map(({ layer }) => layer.state()));
    await Promise.all(
      ranks.map(({ layer }, rank) => {
        const channels = layer.options.numFeatures;
        const forwardOptions = (rank ? call : {}) as ForwardOptions;
        return expectError(
          'COLLECTIVE_FAILED',
          () => layer.forward(filled([2, channels], 1, float64), forwardOptions),
          message,
        );
      }),
    );
    expect(await Promise.all(ranks.map(({ layer }) => layer.state()))).toEqual(states);
  });

  it('all fail when one makes another call, or calls another layer first, and go on after it', async () => {
    const layers = inProcessCollective(2).map((collective) =>
      [0, 1].map(
        () => new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64', collective }),
      ),
    );
    const [[a, b], [c, d]] = layers as [[BatchNorm, BatchNorm], [BatchNorm, BatchNorm]];
    const both = (first: () => Promise<unknown>, second: () => Promise<unknown>) => Promise.all([first(), second()]);
    await both(
      () => a.forward(ok),
      () => c.forward(ok),
    );
    await both(
      () => expectError('COLLECTIVE_FAILED', () => a.backward(ok), /forward/),
      () => expectError('COLLECTIVE_FAILED', () => c.forward(ok), /forward/),
    );
    await both(
      () => a.backward(ok),
      () => c.backward(ok),
    );
    await both(
      () => expectError('COLLECTIVE_FAILED', () => a.forward(ok), /layer/),
      () => expectError('COLLECTIVE_FAILED', () => d.forward(ok), /layer/),
    );
    await both(
      () => expectError('FORWARD_REQUIRED', () => b.backward(ok)),
      () => expectError('FORWARD_REQUIRED', () => d.backward(ok)),
    );
    await both(
      () => a.forward(ok),
      () => c.forward(ok),
    );
  });

  it('talk in the order of their calls, of several layers that nobody awaits, whenever each comes to its turn', async () => {
    const ranks = inProcessCollective(2).map((collective) => {
      const make = (numFeatures: number) =>
        new BatchNorm({ backend: new ReferenceBackend(), numFeatures, dtype: 'float64', collective });
      return { collective, layers: [make(C), make(2)] as const };
    });
    const other = filled([2, 2], 1, float64);
    const calls = ranks.flatMap(({ collective, layers: [one, two] }, rank) => {
      // What only one rank does keeps its layer from the forward.
      const own = rank === 1 ? [one.moments(ok), one.state()] : [];
      const gathered = () => collective.allGather(Float64Array.of(rank));
      return [
        ...own,
        one.forward(ok),
        two.forward(other),
        inCallOrder(collective, gathered),
        one.backward(ok),
        two.backward(other),
      ];
    });
    await Promise.all(calls);
  });

  it('compute what is theirs while another layer waits for late ranks', async () => {
    const [collective, late] = inProcessCollective(2) as [Collective, Collective];
    const computed: string[] = [];
    const make = (collective: Collective, name: string) => {
      const backend = new ReferenceBackend();
      const { prepare } = backend;
      backend.prepare = (plan) => {
        const kernels = prepare.call(backend, plan);
        const { moments } = kernels;
        return Object.assign(kernels, {
          moments: (input: never) => {
            computed.push(name);
            return moments.call(kernels, input);
          },
        });
      };
      return new BatchNorm({ backend, numFeatures: C, dtype: 'float64', collective });
    };
    const forwards = (collective: Collective, names: readonly string[]) =>
      names.map((name) => make(collective, name).forward(ok));
    const waiting = forwards(collective, ['one', 'two']);
    await vi.waitFor(() => expect(computed).toEqual(['one', 'two']));
    await Promise.all([...waiting, ...forwards(late, ['late', 'late'])]);
  });

  it('do not wait in inference for another layer whose ranks are late', async () => {
    const [collective, late] = inProcessCollective(2) as [Collective, Collective];
    const make = (collective: Collective) =>
      new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64', collective });
    const [one, two] = [make(collective), make(collective)];
    const waiting = one.forward(ok);
    await two.forward(ok, { training: false });
    await Promise.all([waiting, make(late).forward(ok)]);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('cable');
      },
      /allGather\(\) that throws: 'cable'/,
    ],
    ['rejects', () => Promise.reject(new Error('cable')), /'cable'/],
    ['gives nothing', async () => undefined, /undefined from allGather/],
    ['gives arrays', async () => [[0], [0]], /array of 2/],
    ['gives values of too few ranks', async () => [new Float64Array(1)], /array of 1/],
    ['gives too few values', async () => [new Float64Array(1), new Float64Array(1)], /1 values of rank 0/],
  ])('whose collective %s fail with a code', async (_, allGather, message) => {
    const collective = { rank: 0, size: 2, allGather, dispose: () => undefined } as unknown as Collective;
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64', collective });
    const before = await layer.state();
    await expectError('COLLECTIVE_FAILED', () => layer.forward(ok), message);
    expect(await layer.state()).toEqual(before);
  });

  it.each([
    null,
    {},
    { rank: 2, size: 2, allGather() {} },
    { rank: 0, size: 1 },
    { rank: -1, size: 1, allGather() {} },
  ])('are not made of %o', (collective) => {
    const make = () =>
      new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, collective: collective as never });
    return expectError('INVALID_OPTION', make, /collective/);
  });
});

describe('a collective in one process', () => {
  it('gives every rank the values of all in rank order, whoever comes first', async () => {
    const [a, b] = inProcessCollective(2) as [Collective, Collective];
    const values = Float64Array.of(2);
    const second = [b.allGather(values), b.allGather(Float64Array.of(4))];
    values[0] = 7;
    const first = [a.allGather(Float64Array.of(1)), a.allGather(Float64Array.of(3))];
    const expected = [
      [Float64Array.of(1), Float64Array.of(2)],
      [Float64Array.of(3), Float64Array.of(4)],
    ];
    expect(await Promise.all(first)).toEqual(expected);
    expect(await Promise.all(second)).toEqual(expected);
  });

  it('fails on every rank where one gives another number of values, and goes on', async () => {
    const [a, b] = inProcessCollective(2) as [Collective, Collective];
    await Promise.all([
      expectError('COLLECTIVE_FAILED', () => a.allGather(new Float64Array(1)), /2 values of rank 1/),
      expectError('COLLECTIVE_FAILED', () => b.allGather(new Float64Array(2)), /2 values of rank 1/),
    ]);
    expect(await Promise.all([a.allGather(new Float64Array(1)), b.allGather(new Float64Array(1))])).toHaveLength(2);
  });

  it('fails where one is disposed, those who wait and those who come later', async () => {
    const [a, b] = inProcessCollective(2) as [Collective, Collective];
    const waiting = expectError('COLLECTIVE_FAILED', () => a.allGather(new Float64Array(1)), /rank 1/);
    await Promise.resolve();
    await b.dispose();
    await b.dispose();
    await waiting;
    await expectError('COLLECTIVE_FAILED', () => a.allGather(new Float64Array(1)), /rank 1/);
    await expectError('COLLECTIVE_FAILED', () => b.allGather(new Float64Array(1)), /rank 1/);
  });

  it.each([0, 1.5, -1, Number.NaN, '2', 65_537, 1e9])('has no %s ranks', (size) =>
    expectError('INVALID_OPTION', () => inProcessCollective(size as number), /size/),
  );
});
