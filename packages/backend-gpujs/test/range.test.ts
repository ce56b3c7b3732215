// Finite inputs at the ends of what float32 holds: right where the host sees results, and on a device right or NaN, in
// all of a channel.
import {
  type BackwardInput,
  type BatchNormError,
  type DeviceMemory,
  type Extent,
  type FloatArray,
  type ForwardTrainingOutput,
  type HostMemory,
  type Kernels,
  type Memory,
  operationsOf,
  type Stages,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { expect, it } from 'vitest';
import type { GpuJsBackend } from '../src/index.js';
import { describeModes, modesHere } from './modes.js';

/** Channel 0, of M values; those beside it are ordinary. Results are worked out by hand. */
interface Extreme {
  readonly M: number;
  readonly x: (j: number) => number;
  readonly dy: (j: number) => number;
  readonly gamma?: number;
  readonly beta?: number;
  readonly epsilon?: number;
  /** Inference with these. Absent: training. */
  readonly running?: { readonly mean: number; readonly variance: number };
  readonly y: (j: number) => number;
  readonly dx: (j: number) => number;
  /** The size of the terms that cancel in a dx of 0. Default 0. */
  readonly dxTerms?: number;
  readonly dbeta?: number;
}

const sign = (j: number) => (j % 2 === 0 ? 1 : -1);
/** Two values alike, of 64: xHat = ±1 makes dgamma 0, and the mean is a 32nd part. */
const pair = (value: number) => (j: number) => (j < 2 ? value : 0);
const without = (part: number, value: number) => (j: number) => pair(value)(j) - part * value;

const extremes: Record<string, Extreme> = {
  'squares beyond float32': {
    M: 64,
    x: (j) => sign(j) * 1e20,
    dy: pair(1e20),
    y: sign,
    dx: without(1 / 32, 1),
  },
  'squares that add up beyond float32': {
    M: 100,
    x: (j) => sign(j) * 1e19,
    dy: pair(1e19),
    y: sign,
    dx: without(1 / 50, 1),
  },
  'offsets beyond float32': { M: 64, x: (j) => sign(j) * 3e38, dy: pair(3e38), y: sign, dx: without(1 / 32, 1) },
  'the largest number beside the smallest': {
    M: 64,
    x: (j) => (j === 0 ? 3e38 : 2 ** -149),
    dy: () => 1,
    y: (j) => (j === 0 ? Math.sqrt(63) : -1 / Math.sqrt(63)),
    dx: () => 0,
  },
  'squares below float32, and an epsilon': {
    M: 64,
    x: (j) => sign(j) * 1e-25,
    dy: pair(1e-6),
    epsilon: 1e-60,
    y: sign,
    dx: without(1 / 32, 1e19),
  },
  'squares below float32, and no epsilon': {
    M: 64,
    x: (j) => sign(j) * 1e-25,
    dy: pair(1e-6),
    epsilon: 0,
    y: sign,
    dx: without(1 / 32, 1e19),
  },
  'an epsilon of 1e-80': { M: 64, x: sign, dy: pair(1), epsilon: 1e-80, y: sign, dx: without(1 / 32, 1) },
  'an epsilon of 0 in inference': {
    M: 16,
    x: () => 102,
    dy: () => 6,
    epsilon: 0,
    running: { mean: 2, variance: 9 },
    y: () => 100 / 3,
    dx: () => 2,
  },
  'an epsilon of 0 and a running variance of 0': {
    M: 16,
    x: (j) => j,
    dy: () => 6,
    beta: 7,
    epsilon: 0,
    running: { mean: 2, variance: 0 },
    y: () => 7,
    dx: () => 0,
  },
  'an epsilon of 0 and a constant channel': {
    M: 64,
    x: () => 5,
    dy: (j) => j,
    gamma: 3,
    beta: 7,
    epsilon: 0,
    y: () => 7,
    dx: () => 0,
  },
  'gamma 3e38 on a constant channel': {
    M: 64,
    x: () => 5,
    dy: (j) => sign(j) / 1024,
    gamma: 3e38,
    beta: 7,
    epsilon: 1,
    y: () => 7,
    dx: (j) => (sign(j) * 3e38) / 1024,
  },
  'gamma beyond float32': { M: 64, x: () => 5, dy: () => 1, gamma: 1e300, beta: 7, y: () => 7, dx: () => 0 },
  'a running mean beyond float32': {
    M: 16,
    x: () => 1e38,
    dy: () => 3e38,
    running: { mean: 1e39, variance: 1e78 },
    y: () => -0.9,
    dx: () => 0.3,
  },
  'gradients that add up beyond float32': {
    M: 128,
    x: sign,
    dy: () => 1e38,
    y: (j) => sign(j) / Math.sqrt(1 + 1e-5),
    dx: () => 0,
    dxTerms: 1e38,
    dbeta: 1.28e40,
  },
};

const C = 2;
const layouts = (M: number): Extent[] => [
  { outer: M, channels: C, inner: 1 },
  { outer: 2, channels: C, inner: M / 2 },
];

await describeModes(modesHere, (mode, create) => {
  const onHost = mode === 'cpu' || mode === 'webasm';
  for (const [name, extreme] of Object.entries(extremes)) {
    it(`${name}: right on the host${onHost ? ' and the device' : ', on the device right or NaN'}`, async () => {
      const backend = await create();
      for (const extent of layouts(extreme.M)) {
        const host = await step(backend, extent, extreme, 'host');
        expect(wrong(host, extreme, extent)).toEqual([]);
        const device = await step(backend, extent, extreme, 'device');
        const isLost = Number.isNaN(device.y[0]);
        expect(isLost && onHost).toBe(false);
        if (!isLost) {
          const lost = onHost ? [] : ['dx', 'dbeta'].filter((result) => !Number.isFinite(device[result as 'dx'][0]));
          expect(wrong(device, extreme, extent).filter((what) => !lost.includes(what))).toEqual([]);
        } else {
          expect(channel(device.y, extent, 0).every(Number.isNaN)).toBe(true);
          expect(channel(device.dx, extent, 0).every(Number.isNaN)).toBe(true);
          expect(wrong(device, extreme, extent, 1)).toEqual([]);
          if (!extreme.running) expect(device.statistics).toMatch(/NON_FINITE|NaN|Infinity/);
        }
      }
      await backend.dispose();
    });
  }

  it('NaN and infinity spread in their channel, where nobody requires statistics that are finite', async () => {
    const backend = await create();
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const memory of ['host', 'device'] as const) {
        const extreme: Extreme = { ...extremes['an epsilon of 1e-80']!, x: (j) => (j === 3 ? bad : sign(j)) };
        const extent = layouts(64)[1]!;
        const results = await step(backend, extent, extreme, memory);
        for (const result of [results.y, results.dx]) {
          expect(channel(result, extent, 0).every(Number.isNaN)).toBe(true);
        }
        expect(wrong(results, extreme, extent, 1)).toEqual([]);
      }
    }
    await backend.dispose();
  });
});

interface Results {
  readonly y: FloatArray;
  readonly dx: FloatArray;
  readonly dbeta: FloatArray;
  /** As text, or the code of the error that reading them is. */
  readonly statistics: string;
}

/** The parameters and values of the channels beside are these. */
const ordinary = {
  x: sign,
  dy: pair(1),
  gamma: 1,
  beta: 0,
  running: { mean: 0, variance: 1 },
};

/** A forward and its backward, by kernels without a layer. */
async function step(
  backend: GpuJsBackend,
  extent: Extent,
  extreme: Extreme,
  memory: 'host' | 'device',
): Promise<Results> {
  const { outer, inner } = extent;
  const kernels = (await backend.prepare({ extent, dtype: 'float32' })) as Kernels;
  const operations = operationsOf((memory === 'host' ? kernels : kernels.device!) as unknown as Stages<Memory>);
  const put = (of: (j: number) => number, beside: (j: number) => number) => {
    const data = Float32Array.from({ length: outer * C * inner }, (_, k) => {
      const j = Math.floor(k / (C * inner)) * inner + (k % inner);
      return Math.floor(k / inner) % C === 0 ? of(j) : beside(j);
    });
    return memory === 'host' ? data : backend.upload({ data, shape: [outer, C, inner] });
  };
  const input = {
    x: await put(extreme.x, ordinary.x),
    gamma: Float64Array.of(extreme.gamma ?? 1, ordinary.gamma),
    beta: Float64Array.of(extreme.beta ?? 0, ordinary.beta),
    epsilon: extreme.epsilon ?? 1e-5,
    y: undefined,
  };
  const { running } = extreme;
  const forward = running
    ? await operations.forwardInference({
        ...input,
        mean: Float64Array.of(running.mean, ordinary.running.mean),
        variance: Float64Array.of(running.variance, ordinary.running.variance),
      })
    : await operations.forwardTraining({ ...input, requireFinite: false });
  const back: BackwardInput<Memory> = {
    saved: forward.saved,
    dy: await put(extreme.dy, ordinary.dy),
    dx: undefined,
    dgamma: undefined,
    dbeta: undefined,
    parameterGradients: true,
  };
  const gradients = running ? await operations.backwardInference(back) : await operations.backwardTraining(back);
  const results = {
    y: await elements(forward.y),
    dx: await elements(gradients.dx),
    dbeta: await elements(gradients.dbeta),
    statistics: 'moments' in forward ? await statisticsText(forward as ForwardTrainingOutput<Memory>) : '',
  };
  forward.saved.dispose();
  kernels.dispose();
  return results;
}

async function elements(value: HostMemory['activation'] | DeviceMemory['activation' | 'vector']): Promise<FloatArray> {
  return 'read' in value ? value.read() : value;
}

async function statisticsText({ moments }: ForwardTrainingOutput<Memory>): Promise<string> {
  try {
    const { mean, variance } = statisticsOf('read' in moments ? await moments.read() : moments);
    return `${mean[0]} ${variance[0]}`;
  } catch (error) {
    return (error as BatchNormError).code;
  }
}

/** The results of channel `c`, and of the one beside it, that are not right. */
function wrong({ y, dx, dbeta }: Results, extreme: Extreme, extent: Extent, first = 0): string[] {
  const M = valuesPerChannel(extent);
  const epsilon = extreme.epsilon ?? 1e-5;
  const invStd = 1 / Math.sqrt(1 + epsilon);
  const expected = [
    extreme,
    {
      y: (j: number) => sign(j) * invStd,
      dx: extreme.running ? (j: number) => pair(invStd)(j) : without(2 / M, invStd),
      dbeta: 2,
      dxTerms: 0,
    },
  ];
  return expected.slice(first).flatMap((want, index) => {
    const c = first + index;
    const isRight = (received: number, exact: number, size: number) => Math.abs(received - exact) <= 2 ** -21 * size;
    const wanted = Array.from({ length: M }, (_, j) => ({ y: want.y(j), dx: want.dx(j) }));
    const sizes = {
      y: Math.max(...wanted.map((one) => Math.abs(one.y))),
      dx: Math.max(want.dxTerms ?? 0, ...wanted.map((one) => Math.abs(one.dx))),
    };
    const all = (name: 'y' | 'dx', received: FloatArray) =>
      channel(received, extent, c).every((value, j) => isRight(value, wanted[j]![name], sizes[name]));
    return [
      ...(all('y', y) ? [] : ['y']),
      ...(all('dx', dx) ? [] : ['dx']),
      ...(want.dbeta === undefined || isRight(dbeta[c]!, want.dbeta, want.dbeta) ? [] : ['dbeta']),
    ];
  });
}

/** The values of channel `c`, in order. */
function channel(values: FloatArray, { channels, inner }: Extent, c: number): number[] {
  return Array.from(values).filter((_, k) => Math.floor(k / inner) % channels === c);
}
