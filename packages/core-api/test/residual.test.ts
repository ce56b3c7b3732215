// What comes after the normalisation: a residual that is added, and ReLU.
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type ErrorCode, type ForwardOptions, type Tensor } from '../src/index.js';
import { dot, slope } from './finite-differences.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const shape = [4, C, 2];
const float64 = (length: number) => new Float64Array(length);
const [x, residual, dy] = [1, 2, 3].map((seed) => filled(shape, seed, float64)) as [Tensor, Tensor, Tensor];

function newLayer(options: Partial<BatchNormOptions> = {}) {
  const backend = new ReferenceBackend();
  return { layer: new BatchNorm({ backend, numFeatures: C, dtype: 'float64', ...options }), backend };
}

const map = ({ data }: Tensor, value: (element: number, k: number) => number): Float64Array =>
  Float64Array.from(data, value);

describe('a residual', () => {
  it('is added to what was normalised; its gradient is dy', async () => {
    const [{ layer }, { layer: plain }] = [newLayer(), newLayer()];
    const y = await layer.forward(x, { residual });
    expect(y.data).toEqual(map(await plain.forward(x), (value, k) => value + residual.data[k]!));
    const gradients = await layer.backward(dy);
    expect(gradients.dresidual).toEqual(dy);
    expect(gradients.dresidual!.data).not.toBe(dy.data);
    expect(gradients).toEqual({ ...(await plain.backward(dy)), dresidual: dy });
  });

  it('is not needed by a backward without a nonlinearity, and may change', async () => {
    const { layer } = newLayer({ checks: true });
    const own = { shape, data: residual.data.slice() };
    await layer.forward(x, { residual: own });
    own.data.fill(7);
    expect((await layer.backward(dy, { out: { dresidual: own } })).dresidual).toBe(own);
    expect(own).toEqual(dy);
  });

  it('has a gradient that, written over a lent x on the device, has changed it', async () => {
    const { layer, backend } = newLayer();
    const lent = backend.upload(x);
    const pass = await layer.forwardPass(lent);
    await layer.forward(backend.upload(x), { residual: backend.upload(residual) });
    await layer.backward(backend.upload(dy), { out: { dresidual: lent } });
    await expectError('INPUT_CHANGED', () => pass.backward(backend.upload(dy)), /received a result/);
  });

  it('has no gradient where there was none', async () => {
    const { layer } = newLayer();
    await layer.forward(x);
    expect(await layer.backward(dy)).not.toHaveProperty('dresidual');
    await expectError('INVALID_OPTION', () => layer.backward(dy, { out: { dresidual: dy } }), /dresidual/);
  });

  it('of an empty batch is empty', async () => {
    const { layer, backend } = newLayer({ emptyBatch: 'pass' });
    const empty = { shape: [0, C, 2], data: new Float64Array(0) };
    await layer.forward(empty, { residual: empty });
    expect((await layer.backward(empty)).dresidual).toEqual(empty);
    const onDevice = backend.upload(empty);
    await layer.forward(onDevice, { residual: onDevice });
    expect((await layer.backward(onDevice)).dresidual!.shape).toEqual([0, C, 2]);
  });
});

describe.each([{ training: true }, { training: false }])('ReLU, with training $training', ({ training }) => {
  it('lets through what is positive, and its gradient', async () => {
    const [{ layer }, { layer: plain }] = [newLayer({ activation: 'relu' }), newLayer()];
    for (const options of [{ training }, { training, residual }]) {
      const z = await plain.forward(x, options);
      expect((await layer.forward(x, options)).data).toEqual(map(z, (value) => Math.max(value, 0)));
      const gate = map(z, (value) => (value > 0 ? 1 : 0));
      expect(gate).toContain(0);
      const expected = await plain.backward({ shape, data: map(dy, (value, k) => value * gate[k]! + 0) });
      const gradients = await layer.backward(dy);
      expect(gradients).toEqual(expected);
    }
  });

  it('is the same on the device', async () => {
    const [{ layer }, { layer: other, backend }] = [newLayer({ activation: 'relu' }), newLayer({ activation: 'relu' })];
    const y = await layer.forward(x, { training, residual });
    const there = await other.forward(backend.upload(x), { training, residual: backend.upload(residual) });
    expect(await there.read()).toEqual(y.data);
    const { dx, dresidual } = await layer.backward(dy);
    const onDevice = await other.backward(backend.upload(dy));
    expect(await onDevice.dx.read()).toEqual(dx.data);
    expect(await onDevice.dresidual!.read()).toEqual(dresidual!.data);
  });
});

describe('ReLU', () => {
  it('has gradients that finite differences confirm', async () => {
    const { layer } = newLayer({ activation: 'relu', trackRunningStatistics: false });
    const loss = async () => dot(await layer.forward(x, { residual }), dy);
    await loss();
    const { dx, dresidual, dgamma } = await layer.backward(dy);
    for (let k = 0; k < x.data.length; k++) {
      expect(dx.data[k]).toBeCloseTo(await slope(loss, x.data, k), 5);
      expect(dresidual!.data[k]).toBeCloseTo(await slope(loss, residual.data, k), 5);
    }
    for (let c = 0; c < C; c++) expect(dgamma[c]).toBeCloseTo(await slope(loss, layer.gamma, c), 5);
  });

  it('passes NaN, and has no negative zero', async () => {
    const layer = new BatchNorm({ backend: new ReferenceBackend(), numFeatures: 1, activation: 'relu' });
    const values = tensor([4, 1], [0, Number.NaN, -1, 2]);
    const y = await layer.forward(values, { training: false, residual: tensor([4, 1], [-0, 1, 0.5, -7]) });
    expect(y.data).toEqual(Float32Array.of(0, Number.NaN, 0, 0));
    expect((await layer.backward(tensor([4, 1], [1, 2, 3, 4]))).dresidual!.data).toEqual(Float32Array.of(0, 2, 0, 0));
  });

  it('needs the residual as it was', async () => {
    for (const checks of [false, true]) {
      const { layer, backend } = newLayer({ activation: 'relu', checks });
      const own = { shape, data: residual.data.slice() };
      await layer.forward(x, { residual: own });
      own.data.fill(7);
      await expectError('INPUT_CHANGED', () => layer.backward(dy), /residual/);
      own.data.set(residual.data);
      await layer.backward(dy);
      const there = backend.upload(residual);
      await layer.forward(backend.upload(x), { residual: there });
      there.dispose();
      await expectError('FORWARD_REQUIRED', () => layer.backward(backend.upload(dy)), /residual/);
    }
  });
});

describe('what can be no residual is refused, and nothing has changed', () => {
  const other = new ReferenceBackend();
  const cases: [string, ErrorCode, (backend: ReferenceBackend) => ForwardOptions<never>][] = [
    ['of another shape', 'SHAPE_MISMATCH', () => ({ residual: filled([4, C], 1, float64) as never })],
    ['of as many elements', 'SHAPE_MISMATCH', () => ({ residual: { ...residual, shape: [8, C, 1] } as never })],
    ['of another dtype', 'DTYPE_MISMATCH', () => ({ residual: filled(shape) as never })],
    ['on the device beside x on the host', 'INVALID_TENSOR', (own) => ({ residual: own.upload(residual) as never })],
    ['of another backend', 'FOREIGN_TENSOR', () => ({ residual: other.upload(residual) as never })],
    ['null', 'INVALID_TENSOR', () => ({ residual: null as never })],
    ['that is out, too', 'INVALID_TENSOR', () => ({ residual: residual as never, out: residual as never })],
  ];

  it.each(cases)('%s', async (_, code, options) => {
    const { layer, backend } = newLayer({ activation: 'relu' });
    await layer.forward(x);
    const before = await layer.state();
    const { dx } = await layer.backward(dy);
    await expectError(code, () => layer.forward(x, options(backend)), /residual/);
    expect(await layer.state()).toEqual(before);
    expect((await layer.backward(dy)).dx).toEqual(dx);
  });

  it.each([
    ['shares memory with dy', 'INVALID_TENSOR', () => dy],
    ['shares memory with x', 'INVALID_TENSOR', () => x],
    ['has another shape', 'SHAPE_MISMATCH', () => filled([4, C], 1, float64)],
  ] as const)('a buffer for its gradient that %s', async (_, code, buffer) => {
    const { layer } = newLayer();
    await layer.forward(x, { residual });
    await expectError(code, () => layer.backward(dy, { out: { dresidual: buffer() } }), /dresidual/);
    const out = { dx: filled(shape, 8, float64), dresidual: filled(shape, 9, float64) };
    const gradients = await layer.backward(dy, { out });
    expect(gradients.dresidual).toBe(out.dresidual);
    await expectError('INVALID_TENSOR', () => layer.backward(dy, { out: { dx: out.dx, dresidual: out.dx } }));
  });
});
