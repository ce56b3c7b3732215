// Tensors that can be disposed: results of a layer, and those of `empty` and `from`.
import { describe, expect, it, vi } from 'vitest';
import { AllocatedTensor, BatchNorm, BatchNormError, type Tensor } from '../src/index.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 4;
/** 64 kB of float32: enough to be worth keeping. */
const shape = [4096, C];

function tensor(scale = 1): Tensor {
  return { data: Float32Array.from({ length: 4096 * C }, (_, k) => scale * Math.sin(k)), shape };
}

const newLayer = () => new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C });

async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
    return 'no error';
  } catch (error) {
    return error instanceof BatchNormError ? error.code : String(error);
  }
}

describe('a result', () => {
  it('is a tensor of plain data, with a shape of its own, that can be disposed', async () => {
    const y = await newLayer().forward(tensor());
    expect(Object.keys(y)).toEqual(['data', 'shape']);
    expect(y.shape).toEqual(shape);
    expect(y.shape).not.toBe(shape);
    expect(y.disposed).toBe(false);
    y.dispose();
    y.dispose();
    expect([y.disposed, y.data.length]).toEqual([true, 0]);
  });

  it('gives its memory to a later result of as many bytes, and an array of it is empty then, not changed', async () => {
    const layer = newLayer();
    const first = await layer.forward(tensor());
    const { data } = first;
    const want = (await layer.forward(tensor(2), { track: false })).data.slice();
    first.dispose();
    expect(data.length).toBe(0);
    const { data: now } = await layer.forward(tensor(2), { track: false });
    expect(now).toEqual(want);
    expect(data.length).toBe(0);
  });

  it('gives it to none of another size', async () => {
    const layer = newLayer();
    (await layer.forward(tensor())).dispose();
    const larger = { data: new Float32Array(2 * 4096 * C).map((_, k) => Math.cos(k)), shape: [2 * 4096, C] };
    const y = await layer.forward(larger);
    expect([y.data.length, y.data.buffer.byteLength]).toEqual([2 * 4096 * C, 2 * 4096 * C * 4]);
  });

  it('that was transferred, is small, or is of a disposed layer is let go', async () => {
    const layer = newLayer();
    const sent = await layer.forward(tensor());
    structuredClone(sent.data, { transfer: [sent.data.buffer as ArrayBuffer] });
    sent.dispose();
    const small = await layer.forward({ data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [2, C] });
    const { data } = small;
    small.dispose();
    expect(data.length).toBe(8);
    const last = await layer.forward(tensor());
    const { data: lastData } = last;
    await layer.dispose();
    last.dispose();
    expect(lastData.length).toBe(4096 * C);
  });

  it('stays when a later call fails, and what the call had taken is there for the next one', async () => {
    const layer = newLayer();
    const [kept, gone] = [await layer.forward(tensor()), await layer.forward(tensor())];
    const copy = kept.data.slice();
    gone.dispose();
    const bad = tensor();
    bad.data[5] = Number.NaN;
    expect(await codeOf(() => layer.forward(bad))).toBe('NON_FINITE_STATISTICS');
    const next = await layer.forward(tensor(), { track: false });
    expect(next.data).toEqual(copy);
    expect(kept.data).toEqual(copy);
  });

  it('is what was given as out, where something was', async () => {
    const layer = newLayer();
    const [out, dx] = [tensor(), tensor()];
    const y: Tensor = await layer.forward(tensor(), { out });
    const gradients = await layer.backward(tensor(3), { out: { dx } });
    expect([y, gradients.dx]).toEqual([out, dx]);
    expect(y).toBe(out);
  });

  it('of a Float16Array is in one, also in memory of an earlier result', async () => {
    if (!('Float16Array' in globalThis)) return;
    const { Float16Array } = globalThis as unknown as { Float16Array: Uint16ArrayConstructor };
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float16' });
    const x = { data: Float16Array.from({ length: 2 ** 15 }, (_, k) => Math.sin(k)), shape: [2 ** 13, C] } as Tensor;
    const first = await layer.forward(x);
    first.dispose();
    const second = await layer.forward(x);
    expect(second.data).toBeInstanceOf(Float16Array);
  });
});

describe('empty and from', () => {
  it('give tensors of the layer’s dtype that are like any other', async () => {
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: C, dtype: 'float64' });
    const x = layer.empty([2, C]);
    expect(x).toBeInstanceOf(AllocatedTensor);
    expect(x.data).toBeInstanceOf(Float64Array);
    x.data.set([1, 2, 3, 4, 5, 6, 7, 8]);
    const copy = layer.from(x);
    x.data.fill(0);
    expect([...(await layer.forward(copy, { training: false })).data]).toHaveLength(8);
    expect([...copy.data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it.each([
    ['INVALID_TENSOR', 'no shape', (layer: BatchNorm) => layer.empty('8' as never)],
    ['INVALID_TENSOR', 'a size that is no whole number', (layer: BatchNorm) => layer.empty([0.5, C])],
    ['LIMIT_EXCEEDED', 'more than the backend’s limit', (layer: BatchNorm) => layer.empty([2 ** 30, C])],
    ['INVALID_TENSOR', 'no tensor', (layer: BatchNorm) => layer.from({ data: [1, 2], shape: [1, 2] } as never)],
    ['DTYPE_MISMATCH', 'another dtype', (layer: BatchNorm) => layer.from({ data: new Float64Array(C), shape: [1, C] })],
    ['DTYPE_MISMATCH', 'bytes', (layer: BatchNorm) => layer.from({ data: new Uint8Array(C), shape: [1, C] } as never)],
  ])('refuse with %s what is %s', async (code, _what, call) => {
    expect(await codeOf(() => call(newLayer()))).toBe(code);
  });

  it('refuse calls of a disposed layer', async () => {
    const layer = newLayer();
    await layer.dispose();
    expect(await codeOf(() => layer.empty([1, C]))).toBe('DISPOSED');
    expect(await codeOf(() => layer.from(tensor()))).toBe('DISPOSED');
  });
});

describe('a disposed tensor', () => {
  it('is refused wherever one is expected, and nothing has changed', async () => {
    const layer = newLayer();
    const gone = layer.from(tensor());
    gone.dispose();
    await layer.forward(tensor());
    const state = JSON.stringify(await layer.state());
    for (const call of [
      () => layer.forward(gone),
      () => layer.forward(tensor(), { out: gone }),
      () => layer.forward(tensor(), { residual: gone }),
      () => layer.backward(gone),
      () => layer.backward(tensor(), { out: { dx: gone } }),
      () => layer.moments(gone),
      () => layer.from(gone),
    ]) {
      expect(await codeOf(call)).toBe('DISPOSED');
    }
    expect(JSON.stringify(await layer.state())).toBe(state);
  });

  it('of another copy of this package is refused, too', async () => {
    vi.resetModules();
    const { AllocatedTensor: Another } = await import('../src/index.js');
    expect(Another).not.toBe(AllocatedTensor);
    const gone = new Another(new Float32Array(8), [4, 2], () => undefined);
    expect(gone).toBeInstanceOf(AllocatedTensor);
    gone.dispose();
    expect(await codeOf(() => newLayer().forward(gone))).toBe('DISPOSED');
  });

  it('that was x leaves nothing to differentiate', async () => {
    const layer = newLayer();
    const x = layer.from(tensor());
    await layer.forward(x);
    x.dispose();
    expect(await codeOf(() => layer.backward(tensor()))).toBe('FORWARD_REQUIRED');
  });

  it('may be that of a pass, and what its backward gave', async () => {
    const layer = newLayer();
    const pass = await layer.forwardPass(tensor());
    const { dx } = await pass.backward(tensor());
    for (const one of [pass.y, dx]) {
      one.dispose();
      expect(one.disposed).toBe(true);
    }
    const out = tensor();
    const intoOut: Tensor = (await layer.forwardPass(tensor(), { out })).y;
    expect(intoOut).toBe(out);
  });

  it('may be frozen', () => {
    const released: string[] = [];
    const frozen = Object.freeze(new AllocatedTensor(new Float32Array(2), [2], () => released.push('it')));
    frozen.dispose();
    frozen.dispose();
    expect([frozen.disposed, released]).toEqual([true, ['it']]);
  });

  it('is disposed by the end of its block', async () => {
    const layer = newLayer();
    let seen: AllocatedTensor;
    {
      using y = await layer.forward(tensor());
      seen = y;
      expect(seen.disposed).toBe(false);
    }
    expect(seen.disposed).toBe(true);
  });
});

describe('memory that a backend has', () => {
  /** A backend whose allocated tensors are numbered, and lie in memory of its own. */
  class Allocating extends ReferenceBackend {
    readonly own = new WeakSet<object>();
    mostResults = Number.POSITIVE_INFINITY;
    results = 0;

    override empty(...[of, dtype]: Parameters<ReferenceBackend['empty']>): AllocatedTensor {
      const made = super.empty(of, dtype);
      this.own.add(made.data.buffer);
      return made;
    }

    resultLike({ data, shape: of }: Tensor): AllocatedTensor | undefined {
      return this.own.has(data.buffer) && this.results++ < this.mostResults
        ? this.empty([...of], 'float32')
        : undefined;
    }
  }

  it('has the results of an x that lies there, and no others', async () => {
    const backend = new Allocating();
    const layer = new BatchNorm({ backend, numFeatures: C });
    const x = layer.from(tensor());
    const lies = (one: Tensor) => backend.own.has(one.data.buffer);
    const y = await layer.forward(x, { residual: tensor() });
    const { dx, dresidual } = await layer.backward(tensor());
    expect([y, dx, dresidual!].map(lies)).toEqual([true, true, true]);
    expect(lies(await layer.forward(tensor()))).toBe(false);
    expect(lies((await layer.backward(x)).dx)).toBe(false);
  });

  it('gets back what a call that fails was to write to', async () => {
    const backend = new Allocating();
    const layer = new BatchNorm({ backend, numFeatures: C });
    const bad = layer.from(tensor());
    bad.data[3] = Number.POSITIVE_INFINITY;
    const made: AllocatedTensor[] = [];
    const { empty } = backend;
    backend.empty = (of, dtype) => {
      made.push(empty.call(backend, of, dtype));
      return made.at(-1)!;
    };
    expect(await codeOf(() => layer.forward(bad))).toBe('NON_FINITE_STATISTICS');
    expect(made.map(({ disposed }) => disposed)).toEqual([true]);
  });

  it('gets back dx and dresidual of a backward that fails', async () => {
    const backend = new Allocating();
    const { prepare } = backend;
    backend.prepare = (plan) => {
      const kernels = prepare.call(backend, plan);
      return Object.assign(kernels, { inputGradient: () => Promise.reject(new BatchNormError('DEVICE_LOST', 'gone')) });
    };
    const layer = new BatchNorm({ backend, numFeatures: C });
    await layer.forward(layer.from(tensor()), { residual: tensor() });
    const made: AllocatedTensor[] = [];
    const { empty } = backend;
    backend.empty = (of, dtype) => {
      made.push(empty.call(backend, of, dtype));
      return made.at(-1)!;
    };
    expect(await codeOf(() => layer.backward(tensor()))).toBe('DEVICE_LOST');
    expect(made.map(({ disposed }) => disposed)).toEqual([true, true]);
  });

  it('may have no room for a result, which is in an ordinary array then', async () => {
    const backend = new Allocating();
    backend.mostResults = 0;
    const layer = new BatchNorm({ backend, numFeatures: C });
    const y = await layer.forward(layer.from(tensor()));
    expect(backend.own.has(y.data.buffer)).toBe(false);
  });
});
