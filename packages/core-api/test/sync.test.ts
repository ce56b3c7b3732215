// Calls that return at once, and what is in their way. That they compute the same as awaited ones is the kit's to say.
import { describe, expect, it } from 'vitest';
import {
  type Backend,
  BatchNorm,
  type BatchNormOptions,
  type ErrorCode,
  type HostPasses,
  hostBackend,
  inProcessCollective,
  type Kernels,
} from '../src/index.js';
import { RunningStatistics } from '../src/running-statistics.js';
import { begin, finishOn } from '../src/steps.js';
import { filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

/** Passes that copy, by which one sees what came through. */
const copies: HostPasses = {
  moments(x, _mask, mean, m2) {
    mean.fill(x[0]!);
    m2.fill(x.length);
  },
  normalize({ x }, y) {
    y.set(x);
  },
  gradientSums(_forward, dy, dgamma, dbeta) {
    dgamma.fill(dy[0]!);
    dbeta.fill(1);
  },
  inputGradient(_forward, dy, _total, dx) {
    dx.set(dy);
  },
};

const C = 3;
const [x, dy] = [filled([4, C], 1), filled([4, C], 2)];
const passesFor = () => copies;
const newLayer = (options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend: hostBackend({ name: 'copies', passesFor }), numFeatures: C, ...options });

/** That `attempt` throws an error with `code`, at once. */
function expectThrown(code: ErrorCode, attempt: () => unknown): void {
  expect(attempt).toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(/received .+, expected .+/) }),
  );
}

describe('layer.sync', () => {
  it('is refused by a backend that does not say that it is synchronous', () => {
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C });
    expectThrown('UNSUPPORTED', () => layer.sync);
  });

  it('is refused with a collective, whose other ranks have to be waited for', () => {
    const [collective] = inProcessCollective(2);
    expectThrown('UNSUPPORTED', () => newLayer({ collective: collective! }).sync);
  });

  it('is the same object each time', () => {
    const layer = newLayer();
    expect(layer.sync).toBe(layer.sync);
  });

  it('is refused in a call by a backend that answers with a promise all the same, and frees nothing twice', async () => {
    const backend = new ReferenceBackend();
    Object.assign(backend, { capabilities: { ...backend.capabilities, synchronous: true } });
    const layer = new BatchNorm({ backend, numFeatures: C });
    expectThrown('UNSUPPORTED', () => layer.sync.forward(x));
    await layer.forward(x);
    await layer.dispose();
  });
});

describe('a call at once', () => {
  it('gives its result, not a promise of it, and takes its place among awaited ones', async () => {
    const layer = newLayer({ momentum: 0 });
    expect(layer.sync.forward(x)).toEqual({ data: x.data, shape: [4, C] });
    expect(layer.runningMean[0]).toBe(x.data[0]);
    expect(layer.sync.backward(dy).dx.data).toEqual(dy.data);
    expect((await layer.backward(dy)).dx.data).toEqual(dy.data);
    await layer.forward(dy);
    expect(layer.sync.backward(x).dx.data).toEqual(x.data);
    expect(layer.batchesTracked).toBe(2);
  });

  it('writes into the buffers that it is given', () => {
    const layer = newLayer();
    const [out, dx] = [tensor([4, C], new Array(12)), tensor([4, C], new Array(12))];
    expect(layer.sync.forward(x, { out })).toBe(out);
    expect(out.data).toEqual(x.data);
    const gradients = layer.sync.backward(dy, { out: { dx } });
    expect(gradients.dx).toBe(dx);
    expect(dx.data).toEqual(dy.data);
  });

  it.each(['forward', 'state', 'settle', 'moments'] as const)('is refused while a call of %s runs', async (name) => {
    const layer = newLayer();
    const running = name === 'state' || name === 'settle' ? layer[name]() : layer[name](x);
    expectThrown('CALL_PENDING', () => layer.sync.forward(x));
    expectThrown('CALL_PENDING', () => layer.sync.forwardPass(x));
    expectThrown('CALL_PENDING', () => layer.sync.backward(dy));
    await running;
    const tracked = layer.batchesTracked;
    layer.sync.forward(x);
    expect(layer.batchesTracked).toBe(tracked + 1);
  });

  it('may come right after a call that was awaited, and after one that failed', async () => {
    const layer = newLayer();
    for (let n = 0; n < 3; n++) {
      await layer.forward(x);
      layer.sync.forward(x);
      await layer.forward(tensor([1], [1])).catch(() => undefined);
      layer.sync.backward(dy);
    }
    expect(layer.batchesTracked).toBe(6);
  });

  it('is refused within another, which a getter of its input makes', () => {
    const layer = newLayer();
    const codes: unknown[] = [];
    const nested = {
      shape: [4, C],
      get data() {
        try {
          layer.sync.forward(x);
        } catch (error) {
          codes.push((error as { code: unknown }).code);
        }
        return x.data;
      },
    };
    layer.sync.forward(nested);
    expect(new Set(codes)).toEqual(new Set(['CALL_PENDING']));
    expect(layer.batchesTracked).toBe(1);
  });

  it('throws what an awaited one rejects with, and changes nothing', () => {
    const layer = newLayer();
    expectThrown('FORWARD_REQUIRED', () => layer.sync.backward(dy));
    layer.sync.forward(x);
    const mean = layer.runningMean.slice();
    const infinite = filled([4, C], 1);
    infinite.data[0] = Number.NaN;
    expectThrown('SHAPE_MISMATCH', () => layer.sync.forward(filled([4, C + 1])));
    expectThrown('INVALID_OPTION', () => layer.sync.forward(x, { traning: true } as object));
    expectThrown('INVALID_OPTION', () => layer.sync.backward(dy, null as never));
    expectThrown('INVALID_TENSOR', () => layer.sync.forward(null as never));
    expectThrown('NON_FINITE_STATISTICS', () => layer.sync.forward(infinite));
    expectThrown('INVALID_TENSOR', () => layer.sync.forward(x, { out: x }));
    expect(layer.runningMean).toEqual(mean);
    expect(layer.sync.backward(dy).dx.data).toEqual(dy.data);
  });

  it('checks its input, takes empty batches, and is refused after dispose()', async () => {
    const layer = newLayer({ checks: true, emptyBatch: 'pass' });
    const changing = filled([4, C], 3);
    layer.sync.forward(changing);
    changing.data[5]! += 1;
    expectThrown('INPUT_CHANGED', () => layer.sync.backward(dy));
    const empty = tensor([0, C], []);
    expect(layer.sync.forward(empty)).toEqual(empty);
    expect(layer.sync.backward(empty)).toMatchObject({ dx: empty, dgamma: new Float64Array(C) });
    const disposing = layer.dispose();
    expectThrown('CALL_PENDING', () => layer.sync.forward(x));
    await disposing;
    expectThrown('DISPOSED', () => layer.sync.forward(x));
  });
});

describe('a backend that stays awake', () => {
  const late: (() => void)[] = [];
  const awake: Record<string, NonNullable<Backend['synchronously']>> = {
    'calls its work': (work) => work(),
    'calls its work twice': (work) => {
      work();
      work();
    },
    'answers with something': (work) => [work(), 7] as never,
    'answers with a promise': (async (work) => work()) as NonNullable<Backend['synchronously']>,
  };
  const layerOn = (synchronously: NonNullable<Backend['synchronously']>) =>
    newLayer({ backend: Object.assign(hostBackend({ name: 'awake', passesFor }), { synchronously }) });

  it.each(Object.entries(awake))('and %s has each call made once, and its errors thrown', (_, synchronously) => {
    const layer = layerOn(synchronously);
    expect(layer.sync.forward(x).data).toEqual(x.data);
    expectThrown('SHAPE_MISMATCH', () => layer.sync.forward(filled([4, C + 1])));
    expect(layer.sync.backward(dy).dx.data).toEqual(dy.data);
    expect(layer.batchesTracked).toBe(1);
  });

  it('and calls its work when it has returned is refused, and the work is not done', () => {
    const layer = layerOn((work) => void late.push(work));
    expectThrown('UNSUPPORTED', () => layer.sync.forward(x));
    for (const work of late) work();
    expect(layer.batchesTracked).toBe(0);
  });
});

describe('a backend that answers with a promise all the same', () => {
  /** Kernels of `copies`, whose `normalize` answers later while `isLate` says so. */
  function lateBackend(isLate: () => boolean, disposed: () => void): Backend {
    const backend = hostBackend({ name: 'late', passesFor });
    return {
      ...{ contractVersion: 2, name: 'late', capabilities: backend.capabilities, execution: backend.execution },
      prepare(plan) {
        const kernels = backend.prepare(plan) as Kernels;
        return {
          moments: (input) => kernels.moments(input),
          normalize: (input) => (isLate() ? Promise.resolve(kernels.normalize(input)) : kernels.normalize(input)),
          gradientSums: (input) => kernels.gradientSums(input),
          inputGradient: (input) => kernels.inputGradient(input),
          dispose: disposed,
        };
      },
      upload: (given) => backend.upload(given),
      empty: (shape, dtype) => backend.empty(shape, dtype),
      from: (tensor) => backend.from(tensor),
      dispose: () => backend.dispose(),
    };
  }

  it('keeps no kernels for calls that were refused', async () => {
    let disposals = 0;
    const layer = newLayer({
      backend: lateBackend(
        () => true,
        () => disposals++,
      ),
    });
    for (let rows = 2; rows < 40; rows++) expectThrown('UNSUPPORTED', () => layer.sync.forward(filled([rows, C])));
    // Of 38 sizes, as many as a layer keeps for those that come back.
    expect(disposals).toBeGreaterThanOrEqual(28);
    await layer.dispose();
    expect(disposals).toBe(38);
  });

  it('has changed nothing: the latest forward and the running statistics are those before', () => {
    let isLate = false;
    const layer = newLayer({
      backend: lateBackend(
        () => isLate,
        () => undefined,
      ),
      momentum: 0,
    });
    layer.sync.forward(x);
    isLate = true;
    expectThrown('UNSUPPORTED', () => layer.sync.forward(dy));
    expect(layer.runningMean[0]).toBe(x.data[0]);
    isLate = false;
    expect(layer.sync.backward(dy).dx.data).toEqual(dy.data);
  });

  it('leaves batches that wait on the device waiting', async () => {
    const running = new RunningStatistics(1, 'population');
    let disposals = 0;
    for (const value of [1, 3]) {
      const moments = { count: 2, mean: Float64Array.of(value), m2: Float64Array.of(2) };
      running.trackOnDevice({ read: async () => moments, dispose: () => disposals++ }, 0.5);
    }
    expectThrown('UNSUPPORTED', () => finishOn({}, () => running.settle()));
    expect([running.deferred, disposals]).toEqual([2, 0]);
    await begin(running.settle());
    expect([running.deferred, disposals, running.batchesTracked, running.mean[0]]).toEqual([0, 2, 2, 1.75]);
  });
});

describe('a pass at once', () => {
  it('has its own backward and statistics, beside other passes and the latest forward', () => {
    const layer = newLayer();
    const passes = [x, dy].map((input) => layer.sync.forwardPass(input));
    layer.sync.forward(filled([2, C]));
    expect(passes.map((pass) => pass.statistics().mean[0])).toEqual([x.data[0], dy.data[0]]);
    for (const pass of passes.reverse()) {
      expect(pass.backward(dy).dgamma[0]).toBe(dy.data[0]);
      pass.dispose();
      pass.dispose();
      expectThrown('DISPOSED', () => pass.backward(dy));
      expectThrown('DISPOSED', () => pass.statistics());
    }
    expectThrown('SHAPE_MISMATCH', () => layer.sync.backward(dy));
  });

  it('waits for nothing: while a call runs all of it is refused, and it stays alive', async () => {
    const layer = newLayer();
    const pass = layer.sync.forwardPass(x);
    const running = layer.forward(x);
    expectThrown('CALL_PENDING', () => pass.backward(dy));
    expectThrown('CALL_PENDING', () => pass.statistics());
    expectThrown('CALL_PENDING', () => pass.dispose());
    await running;
    expect(pass.backward(dy).dx.data).toEqual(dy.data);
    pass.dispose();
  });
});
