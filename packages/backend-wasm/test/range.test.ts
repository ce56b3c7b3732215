// Values whose squares, sums or coefficients float32 does not have: results are what float64 gives, wherever and however they are computed.
import { magnitudes, oracle } from '@batchnorm/conformance';
import {
  allocate,
  type Backend,
  BatchNorm,
  dtypeOf,
  type Extent,
  type FloatArray,
  type Memory,
  type OnDevice,
  type Operations,
  operationsOf,
  type Statistics,
  type Tensor,
} from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { backends } from './backends.js';

const extents: Extent[] = [
  { outer: 64, channels: 4, inner: 1 },
  { outer: 13_201, channels: 5, inner: 1 },
  { outer: 40, channels: 5, inner: 9 },
  { outer: 20, channels: 11, inner: 300 },
];

interface Case {
  /** Value j of a channel. */
  readonly x: (j: number) => number;
  /** Default: 1 with a wave on it. */
  readonly dy?: (j: number) => number;
  readonly gamma?: number;
  readonly beta?: number;
  readonly epsilon?: number;
  /** What normalises, where it is not the batch's own. */
  readonly mean?: number;
  readonly variance?: number;
}

const sign = (j: number) => (j % 2 === 0 ? -1 : 1);
const wave = (j: number) => 1 + Math.sin(j) / 2;
const cases: Record<string, Case> = {
  'values of 1e20': { x: (j) => sign(j) * 1e20 },
  'values of 1e19': { x: (j) => sign(j) * 1e19 },
  'the largest and the least': { x: (j) => sign(j) * 3.4e38 },
  'one value of 1e30 among ones': { x: (j) => (j === 7 ? 1e30 : sign(j)) },
  'values of 1e-25 with epsilon 1e-60': { x: (j) => sign(j) * 1e-25, epsilon: 1e-60 },
  'values of 1e-44 with epsilon 0': { x: (j) => sign(j) * 1e-44, epsilon: 0 },
  'epsilon 1e-80': { x: sign, epsilon: 1e-80 },
  'gamma 3e38 on a constant channel': { x: () => 5, gamma: 3e38, beta: 7 },
  'epsilon 1e-100 on a constant channel': { x: () => 5, epsilon: 1e-100, beta: 7 },
  'a given mean of 1e39': { x: sign, mean: 1e39, variance: 1e78 },
  'a given variance of 1e-90': { x: (j) => sign(j) * 1e-44, mean: 0, variance: 1e-90, epsilon: 0 },
  'gradients of 1e38': { x: sign, dy: (j) => 1e38 * wave(j) },
  'gradients of 1e38 with a given mean': { x: sign, dy: (j) => 1e38 * wave(j), mean: 0.5, variance: 2 },
  'gradients of 1e-30 beside values of 1e-20': {
    x: (j) => sign(j) * 1e-20,
    dy: (j) => 1e-30 * Math.sin(j),
    epsilon: 1e-60,
  },
  'gradients of 1e-40': { x: sign, dy: (j) => 1e-40 * Math.sin(j) },
};

/** Every second channel is one of 1 and −1, with a gradient of 1, that nothing is wrong with. */
function batch({ x, dy = wave }: Case, extent: Extent) {
  const { outer, channels, inner } = extent;
  const at = (value: (j: number) => number, usual: (j: number) => number) =>
    Float32Array.from({ length: outer * channels * inner }, (_, k) => {
      const [c, j] = [Math.floor(k / inner) % channels, Math.floor(k / inner / channels) * inner + (k % inner)];
      return (c % 2 === 0 ? value : usual)(j);
    });
  return { x: at(x, sign), dy: at(dy, wave) };
}

/** The largest error, relative to the largest value of its channel. What the results' dtype does not have is infinite. */
function worst(got: FloatArray, want: Float64Array, channelOf: (k: number) => number): number {
  const sizes: number[] = [];
  for (const [k, value] of want.entries())
    sizes[channelOf(k)] = Math.max(sizes[channelOf(k)] ?? 1e-39, Math.abs(value));
  return want.reduce((most, value, k) => {
    if (Object.is(got[k], Math.fround(value))) return most;
    return Math.max(most, Math.abs(got[k]! - value) / sizes[channelOf(k)]!);
  }, 0);
}

interface Input {
  readonly extent: Extent;
  readonly x: FloatArray;
  readonly dy: FloatArray;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
  readonly statistics?: Statistics | undefined;
}

/** A step of kernels: on the host, or on the device, with dx in a buffer of its own or over dy. */
async function step(
  backend: Backend,
  { extent, x, dy, statistics, ...parameters }: Input,
  onDevice: boolean,
  inPlace: boolean,
) {
  const kernels = await backend.prepare({ extent, dtype: dtypeOf(x) });
  const operations = (onDevice ? operationsOf(kernels.device!) : operationsOf(kernels)) as Operations<Memory>;
  const place = (data: FloatArray) => (onDevice ? backend.upload({ data, shape: [data.length] }) : data.slice());
  const [thereX, thereDy] = [await place(x), await place(dy)];
  const input = { ...parameters, x: thereX, y: undefined, requireFinite: false };
  const forward = statistics
    ? await operations.forwardInference({ ...input, ...statistics })
    : await operations.forwardTraining(input);
  const out = { dx: inPlace ? thereDy : undefined, dgamma: undefined, dbeta: undefined };
  const { saved } = forward;
  const backward = { saved, dy: thereDy, ...out, parameterGradients: true };
  const gradients = statistics
    ? await operations.backwardInference(backward)
    : await operations.backwardTraining(backward);
  const read = <T>(value: T | OnDevice<T>) => (ArrayBuffer.isView(value) ? value : (value as OnDevice<T>).read()) as T;
  const { dx, dgamma, dbeta } = gradients;
  const results = {
    y: read<FloatArray>(forward.y),
    dx: read<FloatArray>(dx),
    dgamma: read<Float64Array>(dgamma),
    dbeta: read<Float64Array>(dbeta),
  };
  for (const value of [thereX, thereDy, forward.y, dx, dgamma, dbeta]) if ('dispose' in value) value.dispose();
  saved.dispose();
  kernels.dispose();
  return results;
}

const places = [false, true].flatMap((onDevice) => [false, true].map((inPlace) => [onDevice, inPlace] as const));

describe.each([1, 2])('on %i threads', (threads) => {
  const backend = backends.get(threads)!;

  it.each(Object.entries(cases))('%s', async (_name, one) => {
    for (const extent of extents) {
      const vector = (value: number) => new Float64Array(extent.channels).fill(value);
      const { gamma = 1, beta = 0, epsilon = 1e-5, mean, variance } = one;
      const statistics = mean === undefined ? undefined : { mean: vector(mean), variance: vector(variance!) };
      const input = { extent, ...batch(one, extent), gamma: vector(gamma), beta: vector(beta), epsilon, statistics };
      const want = { y: oracle.forward(input), ...oracle.backward(input, input.dy) };
      const normalization = { ...input, ...(statistics ?? oracle.batchStatistics(input.x, extent)) };
      const terms = magnitudes(input.x, input.dy, extent, normalization, statistics === undefined);
      const channelOf = (k: number) => Math.floor(k / extent.inner) % extent.channels;
      for (const [onDevice, inPlace] of places) {
        const got = await step(backend, input, onDevice, inPlace);
        const where = JSON.stringify({ ...extent, onDevice, inPlace });
        expect(worst(got.y, want.y, channelOf), `y, ${where}`).toBeLessThan(1e-6);
        expect(worst(got.dx, want.dx, channelOf), `dx, ${where}`).toBeLessThan(1e-5);
        for (const name of ['dgamma', 'dbeta'] as const) {
          const error = (value: number, c: number) => Math.abs(value - want[name][c]!) / terms[name][c]!;
          expect(Math.max(...got[name].map(error)), `${name}, ${where}`).toBeLessThan(1e-6);
        }
      }
    }
  });

  it.each(['float32', 'float64'] as const)(
    '%s: with epsilon 0 a constant channel is beta, and has no gradient',
    async (dtype) => {
      for (const extent of extents) {
        const { outer, channels, inner } = extent;
        const [gamma, beta] = [new Float64Array(channels).fill(2), new Float64Array(channels).fill(7)];
        const data = allocate(dtype, outer * channels * inner).fill(0.1);
        for (const [onDevice, inPlace] of places) {
          const got = await step(backend, { extent, x: data, dy: data, gamma, beta, epsilon: 0 }, onDevice, inPlace);
          expect(got.y.every((value) => value === 7)).toBe(true);
          expect(got.dx.every((value) => value === 0)).toBe(true);
          expect(got.dgamma).toEqual(new Float64Array(channels));
          expect(got.dbeta[0]).toBeCloseTo(0.1 * outer * inner, 2);
        }
      }
    },
  );

  it('float64: what is beyond it is refused before anything is written, on the device NaN', async () => {
    const batches: Record<string, Partial<Input>> = {
      'values of 1e200': { x: Float64Array.from({ length: 200 }, (_, k) => sign(k) * 1e200) },
      'values of 1e-170 with epsilon 0': {
        x: Float64Array.from({ length: 200 }, (_, k) => sign(k) * 1e-170),
        epsilon: 0,
      },
    };
    const extent = { outer: 200, channels: 1, inner: 1 };
    const one = Float64Array.of(1);
    for (const [name, changed] of Object.entries(batches)) {
      const input = {
        extent,
        gamma: one,
        beta: one,
        epsilon: 1e-5,
        x: new Float64Array(200),
        dy: new Float64Array(200),
        ...changed,
      };
      const kernels = await backend.prepare({ extent, dtype: 'float64' });
      const y = new Float64Array(200).fill(3);
      await expectCode('NON_FINITE_STATISTICS', () =>
        operationsOf(kernels).forwardTraining({ ...input, y, requireFinite: false }),
      );
      expect(y, name).toEqual(new Float64Array(200).fill(3));
      const x = await backend.upload({ data: input.x, shape: [200, 1] });
      const there = await operationsOf(kernels.device!).forwardTraining({
        ...input,
        x,
        y: undefined,
        requireFinite: false,
      });
      expect((await there.y.read()).every(Number.isNaN), name).toBe(true);
      expect((await there.moments.read()).m2[0], name).toBeNaN();
    }
    const dx = new Float64Array(200).fill(3);
    const host = operationsOf(await backend.prepare({ extent, dtype: 'float64' }));
    const x = Float64Array.from({ length: 200 }, (_, k) => sign(k));
    const input = { x, y: undefined, gamma: one, beta: one, epsilon: 1e-5, requireFinite: false };
    const { saved } = await host.forwardTraining(input);
    const gradients = { dx, dgamma: undefined, dbeta: undefined, parameterGradients: true };
    const dy = new Float64Array(200).fill(1e308);
    await expectCode(
      'NON_FINITE_STATISTICS',
      () => host.backwardTraining({ saved, dy, ...gradients }),
      /dbeta of channel 0/,
    );
    expect(dx).toEqual(new Float64Array(200).fill(3));
  });

  it('a gradient of 0 beside an x that is NaN is no number, whatever its neighbours are', async () => {
    for (const extent of extents) {
      const { outer, channels, inner } = extent;
      const vector = (value: number) => new Float64Array(channels).fill(value);
      const x = new Float32Array(outer * channels * inner).fill(1);
      x[inner] = Number.NaN;
      const parameters = { extent, gamma: vector(1), beta: vector(0), epsilon: 1e-5 };
      const statistics = { mean: vector(0), variance: vector(1) };
      for (const [onDevice, inPlace] of places) {
        const { dgamma } = await step(backend, { ...parameters, x, dy: x.map(() => 0), statistics }, onDevice, inPlace);
        expect(Array.from(dgamma, Number.isNaN)).toEqual(Array.from(dgamma, (_, c) => c === 1));
      }
    }
  });

  it('a channel has the same bits whatever is wrong with its neighbours', async () => {
    for (const extent of extents) {
      const { outer, channels, inner } = extent;
      const vector = (value: number) => new Float64Array(channels).fill(value);
      const input = { extent, gamma: vector(1), beta: vector(0), epsilon: 1e-5, ...batch({ x: wave }, extent) };
      const others = batch({ x: (j) => sign(j) * 1e25, dy: (j) => sign(j) * 1e38 }, extent);
      const isWide = (k: number) => Math.floor(k / inner) % channels === 2;
      const mixed = (values: FloatArray, wide: FloatArray) => values.map((value, k) => (isWide(k) ? wide[k]! : value));
      const spoiled = { ...input, x: mixed(input.x, others.x), dy: mixed(input.dy, others.dy) };
      for (const [onDevice, inPlace] of places) {
        const [want, got] = [
          await step(backend, input, onDevice, inPlace),
          await step(backend, spoiled, onDevice, inPlace),
        ];
        const length = outer * channels * inner;
        const same = (name: 'y' | 'dx') =>
          Array.from({ length }, (_, k) => k).every((k) => isWide(k) || Object.is(got[name][k], want[name][k]));
        expect(same('y') && same('dx')).toBe(true);
      }
    }
  });
});

describe.each([1, 2])('at the ends of float64, with %i threads', (threads) => {
  const tries: Record<
    string,
    { x: number[]; dy: number[]; gamma: number; epsilon: number; y?: number[]; dx: number[] }
  > = {
    'gradients of 1e292 beside an invStd of 1e20': {
      x: [0, 0],
      dy: [1e292, 0],
      gamma: 1e-20,
      epsilon: 1e-40,
      dx: [5e291, -5e291],
    },
    'the same with gamma 0': { x: [0, 0], dy: [1e292, 0], gamma: 0, epsilon: 1e-40, dx: [0, 0] },
    'a slope beyond float64 with gamma 0': {
      x: [1e-131, 2e-131, 4e-131],
      dy: [1e200, -1e200, 0],
      gamma: 0,
      epsilon: 0,
      dx: [0, 0, 0],
    },
    'a slope below float64': {
      x: [1e100, 2e100, 4e100],
      dy: [1e-230, 0, 0],
      gamma: 1e100,
      epsilon: 0,
      dx: [2.29081064496e-231, -3.43621596745e-231, 1.14540532248e-231],
    },
    'a scale below float64': {
      x: [1e126, 2e126, 4e126],
      dy: [0, 0, 0],
      gamma: 1e-200,
      epsilon: 0,
      y: [-1.0690449676e-200, -2.672612419e-201, 1.3363062095e-200],
      dx: [0, 0, 0],
    },
  };

  it.each(Object.keys(tries))('%s: on the host and on the device, in rows and in runs', async (name) => {
    const { x, dy, gamma, epsilon, y, dx } = tries[name]!;
    const backend = backends.get(threads)!;
    const near = (values: readonly number[]) =>
      values.map((v) => expect.closeTo(v, -Math.floor(Math.log10(Math.abs(v) || 1)) + 8));
    for (const shape of [
      [x.length, 1],
      [1, 1, x.length],
    ]) {
      const options = { backend, numFeatures: 1, dtype: 'float64', epsilon, trackRunningStatistics: false } as const;
      const [host, device] = [new BatchNorm(options), new BatchNorm(options)];
      host.gamma = [gamma];
      device.gamma = [gamma];
      const tensorOf = (values: readonly number[]): Tensor => ({ data: Float64Array.from(values), shape });
      const onHost = await host.forward(tensorOf(x));
      const onDevice = await device.forward(await backend.upload(tensorOf(x)));
      if (y) expect([...onHost.data]).toEqual(near(y));
      expect(await onDevice.read()).toEqual(onHost.data);
      const atHost = await host.backward(tensorOf(dy));
      const atDevice = await device.backward(await backend.upload(tensorOf(dy)));
      expect([...atHost.dx.data]).toEqual(near(dx));
      expect(await atDevice.dx.read()).toEqual(atHost.dx.data);
      await host.dispose();
      await device.dispose();
    }
  });
});
