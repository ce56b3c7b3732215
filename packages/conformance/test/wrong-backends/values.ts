// Wrong about some values: NaN and infinity, very large and very small, constant, far from zero, outliers.
import { type Backend, type FloatArray, type Statistics, statisticsOf } from '@batchnorm/core-api';
import { codeOf, layerOf, running, step, tensor } from './programs.js';
import type { RightBackend, RightSaved } from './right-backend.js';
import { onHost, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [8, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];

const withValue = (value: number, at = 5) => ({ data: x.data.slice().fill(value, at, at + 1), shape });
const mapped = (f: (value: number, k: number) => number) => ({ data: x.data.map(f), shape });

/** The batch statistics are changed before they normalise; what is answered is right. */
const normalizedBy = (right: RightBackend, change: (batch: Statistics, x: FloatArray) => Statistics): Backend =>
  withKernels(right, (kernels) => ({
    ...kernels,
    forwardTraining(input) {
      const output = kernels.forwardTraining(input);
      const { mean, variance } = statisticsOf(output.moments);
      const y = input.y ?? output.y;
      return { ...output, ...kernels.forwardInference({ ...input, ...change({ mean, variance }, input.x), y }) };
    },
  }));

/** y and gradients of a step with this dy. */
const withGradient = (gradient: typeof dy) => (backend: Backend) => step(layerOf(backend, 4), x, gradient);

/** y and gradients of a step on this x, without running statistics to poison. */
const untracked = (given: typeof x) => (backend: Backend) =>
  step(layerOf(backend, 4, { trackRunningStatistics: false }), given, dy);

const inferred = (given: typeof x) => async (backend: Backend) =>
  (await layerOf(backend, 4).forward(given, { training: false })).data;

export const values: readonly WrongBackend[] = [
  {
    name: 'NaN in dy reaches the next channel',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'dbeta of the channel after one with NaN is NaN',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          const c = output.dbeta.findIndex(Number.isNaN);
          if (c >= 0 && c + 1 < output.dbeta.length) output.dbeta[c + 1] = Number.NaN;
          return output;
        },
      })),
    program: withGradient(withValue(Number.NaN)),
  },
  {
    name: 'NaN in dy reaches its row',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'dx of a row with NaN in dy is NaN in all channels, as if it were multiplied by a matrix',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        backward(input, next) {
          const size = channels * inner;
          const row = Math.floor(input.dy.findIndex(Number.isNaN) / size);
          const output = next(input);
          if (row >= 0) output.dx.fill(Number.NaN, row * size, (row + 1) * size);
          return output;
        },
      })),
    program: withGradient(withValue(Number.NaN)),
  },
  {
    name: 'infinity in dy reaches all channels',
    caughtBy: 'Infinity stays in its channel [host, rows, small]',
    why: 'an infinite dbeta makes every dgamma NaN',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          if (output.dbeta.includes(Number.POSITIVE_INFINITY)) output.dgamma.fill(Number.NaN);
          return output;
        },
      })),
    program: withGradient(withValue(Number.POSITIVE_INFINITY)),
  },
  {
    name: 'NaN in dy counts as 0',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'sums of dy leave NaN out',
    spoil: (right) =>
      onHost(right, () => ({
        backward: (input, next) =>
          next(
            input.dy.some(Number.isNaN) && input.dx !== input.dy
              ? { ...input, dy: input.dy.map((value) => value || 0) }
              : input,
          ),
      })),
    program: withGradient(withValue(Number.NaN)),
  },
  {
    name: 'NaN in x reaches the channel before',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'y of the channel before one with NaN is NaN, in training without running statistics',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        training(input, next) {
          const output = next(input);
          const c = output.moments.mean.findIndex(Number.isNaN);
          if (c > 0)
            output.y.set(output.y.map((value, k) => (Math.floor(k / inner) % channels === c - 1 ? Number.NaN : value)));
          return output;
        },
      })),
    program: untracked(withValue(Number.NaN)),
  },
  {
    name: 'NaN in x reaches its channel in inference',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'y of inference is NaN in all of a channel that has one',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        inference(input, next) {
          const output = next(input);
          const channel = (k: number) => Math.floor(k / inner) % channels;
          const at = output.y.findIndex(Number.isNaN);
          if (at >= 0) output.y.set(output.y.map((value, k) => (channel(k) === channel(at) ? Number.NaN : value)));
          return output;
        },
      })),
    program: inferred(withValue(Number.NaN)),
  },
  {
    name: 'NaN in x is beta',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'y of inference is beta where x is NaN',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        inference(input, next) {
          const output = next(input);
          const beta = (k: number) => input.beta[Math.floor(k / inner) % channels]!;
          output.y.set(output.y.map((value, k) => (Number.isNaN(value) ? beta(k) : value)));
          return output;
        },
      })),
    program: inferred(withValue(Number.NaN)),
  },
  {
    name: 'infinity in x is the largest number',
    caughtBy: 'Infinity stays in its channel [host, rows, small]',
    why: 'y of inference is finite where x is infinite',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next(input);
          output.y.set(output.y.map((value) => Math.min(Math.max(value, -3e38), 3e38)));
          return output;
        },
      })),
    program: inferred(withValue(Number.NEGATIVE_INFINITY)),
  },
  {
    name: 'NaN in gamma reaches all channels',
    caughtBy: 'a parameter that is NaN stays in its channel [host, rows, small]',
    why: 'with NaN in gamma every y is NaN',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          if (input.gamma.some(Number.isNaN)) output.y.fill(Number.NaN);
          return output;
        },
      })),
    program(backend) {
      const layer = layerOf(backend, 4);
      layer.gamma[2] = Number.NaN;
      return step(layer, x);
    },
  },
  {
    name: 'small numbers are zero',
    caughtBy: 'values around ±1e+30',
    why: 'elements of dx below 1e-30 are 0',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          output.dx.set(output.dx.map((value) => (Math.abs(value) < 1e-30 ? 0 : value)));
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      const { dx } = await layer.backward({ data: dy.data.map((value) => value * 1e-32), shape });
      return dx.data.map((value) => value * 1e32);
    },
  },
  {
    name: 'denormals are zero',
    beyond: 'what is smaller than the smallest normal number may be lost: docs/numerics.md',
    why: 'elements of y of float64 that are not normal numbers are 0',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          output.y.set(output.y.map((value) => (Math.abs(value) < 2 ** -1022 ? 0 : value)));
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { dtype: 'float64' });
      layer.gamma.fill(0);
      layer.beta.fill(2 ** -1030);
      const { data } = await layer.forward(tensor(shape, 1, 'float64'));
      return data.map((value) => value * 2 ** 1000 * 2 ** 30);
    },
  },
  {
    name: 'y of a constant channel',
    caughtBy: 'host arrays, every call awaited',
    why: 'y is not exactly beta where the variance is 0',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        training(input, next) {
          const output = next(input);
          const { m2 } = output.moments;
          output.y.set(
            output.y.map((value, k) => (m2[Math.floor(k / inner) % channels] === 0 ? value * (1 + 2e-7) : value)),
          );
          return output;
        },
      })),
    program: (backend) => step(layerOf(backend, 4), { data: x.data.slice().fill(0.1), shape }),
    tolerance: 1e-8,
  },
  {
    name: 'the variance as a difference',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'variance = mean(x²) − mean²: wrong where the mean is large',
    spoil: (right) =>
      normalizedBy(right, ({ mean, variance }) => ({
        mean,
        variance: variance.map((value, c) =>
          Math.max(0, Math.fround(value + mean[c]! ** 2) - Math.fround(mean[c]! ** 2)),
        ),
      })),
    program: untracked(mapped((value) => 1000 + value)),
  },
  {
    name: 'the mean in float32',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'normalises with a mean that was rounded to float32: wrong where the deviation is small beside it',
    spoil: (right) => normalizedBy(right, ({ mean, variance }) => ({ mean: mean.map(Math.fround), variance })),
    program: untracked(mapped((value) => 1000.1 + value / 1000)),
  },
  {
    name: 'a variance below 1e-9 is zero',
    caughtBy: 'host arrays, every call awaited',
    why: 'a channel whose variance is small counts as constant',
    spoil: (right) =>
      normalizedBy(right, ({ mean, variance }) => ({
        mean,
        variance: variance.map((value) => (value < 1e-9 ? Number.POSITIVE_INFINITY : value)),
      })),
    program: (backend) =>
      step(
        layerOf(backend, 4, { epsilon: 1e-12 }),
        mapped((value) => value * 1e-5),
      ),
  },
  {
    name: 'epsilon outside of the root',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: '1 / (√variance + epsilon), which shows where the variance is small',
    spoil: (right) =>
      normalizedBy(right, ({ mean, variance }) => ({
        mean,
        variance: variance.map((value) => (Math.sqrt(value) + 1e-5) ** 2 - 1e-5),
      })),
    program: untracked(mapped((value) => value * 1e-2)),
  },
  {
    name: 'large squares',
    caughtBy: 'Infinity stays in its channel [host, rows, small]',
    why: 'a batch with values beyond 2^64 is refused: their squares are infinite in float32',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          if (input.x.some((value) => Math.abs(value) > 2 ** 64)) throw new Error('overflow');
          return next(input);
        },
      })),
    program: (backend) =>
      step(
        layerOf(backend, 4),
        mapped((value) => value * 2 ** 70),
      ),
  },
  {
    name: 'outliers are cut',
    caughtBy: 'Infinity stays in its channel [host, rows, small]',
    why: 'xHat is cut at ±4',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        forward(input, next) {
          const output = next(input);
          output.y.set(
            output.y.map((value, k) => {
              const c = Math.floor(k / inner) % channels;
              const [low, high] = [-4, 4]
                .map((bound) => input.gamma[c]! * bound + input.beta[c]!)
                .sort((a, b) => a - b);
              return Math.min(Math.max(value, low!), high!);
            }),
          );
          return output;
        },
      })),
    async program(backend) {
      const wide = tensor([64, 4]);
      wide.data[9] = 1000;
      return (await layerOf(backend, 4).forward(wide)).data;
    },
  },
  {
    name: 'float64 is read as float32',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'x of float64 is rounded to float32 before it is normalised',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next({ ...input, x: input.x.map(Math.fround) });
          return { ...output, saved: Object.assign(output.saved, { x: input.x }) };
        },
      })),
    program: (backend) =>
      step(layerOf(backend, 4, { dtype: 'float64' }), {
        data: Float64Array.from({ length: 32 }, (_, k) => k / 3),
        shape,
      }),
    tolerance: 1e-10,
  },
  {
    name: 'x in 16 bits',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'x is kept for backward in 11 bits of precision: dx is wrong in the fourth digit',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const scale = 2 ** 42 + 1;
          const rounded = Float64Array.from(input.x, (value) => value * scale - (value * scale - value));
          return { ...output, saved: Object.assign(output.saved as RightSaved, { x: rounded }) };
        },
      })),
    program: (backend) => step(layerOf(backend, 4), x),
    tolerance: 1e-6,
  },
  {
    name: 'dbeta in float32',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'dbeta is rounded to float32, though execution says float64',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          output.dbeta.set(output.dbeta.map(Math.fround));
          return output;
        },
      })),
    program: (backend) => step(layerOf(backend, 4), x),
    tolerance: 1e-10,
  },
  {
    name: 'a mean of dy that is small',
    caughtBy: 'host arrays, every call awaited',
    why: 'dx leaves mean(dy) out where it is below a hundredth',
    spoil: (right) =>
      withKernels(right, (kernels, { extent: { outer, channels, inner } }) => ({
        ...kernels,
        backwardTraining(input) {
          const output = kernels.backwardTraining(input);
          const { gamma, invStd } = input.saved as RightSaved;
          output.dx.set(
            output.dx.map((value, k) => {
              const c = Math.floor(k / inner) % channels;
              const mean = output.dbeta[c]! / (outer * inner);
              return Math.abs(mean) < 0.01 ? value + gamma[c]! * invStd[c]! * mean : value;
            }),
          );
          return output;
        },
      })),
    program: (backend) =>
      step(layerOf(backend, 4), x, {
        data: dy.data.map((value, k) => (k % 4 === 1 ? (k % 8 === 1 ? 1.005 : -0.995) : value)),
        shape,
      }),
    tolerance: 1e-6,
  },
  {
    name: 'NaN is taken in',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'requireFinite is ignored: NaN poisons nothing, since it is answered as 0',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next({ ...input, requireFinite: false });
          const { mean, m2 } = output.moments;
          for (const vector of [mean, m2]) vector.set(vector.map((value) => (Number.isFinite(value) ? value : 0)));
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      return [await codeOf(() => layer.forward(withValue(Number.NaN))), running(layer)];
    },
  },
  {
    name: 'a variance that overflows is taken in',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'requireFinite looks at the mean alone: y is written though the variance is infinite',
    spoil: (right) =>
      onHost(right, () => ({
        training: (input, next) => {
          let variance = 0;
          for (const value of input.x) variance += value * value;
          if (variance !== Number.POSITIVE_INFINITY || !input.x.every(Number.isFinite)) return next(input);
          // What 1/σ = 0 gives: y is beta.
          const output = next({ ...input, x: input.x.map(() => 0) });
          output.moments.m2.fill(variance);
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { dtype: 'float64' });
      const out = { data: new Float64Array(32).fill(7), shape };
      const large = { data: Float64Array.from(x.data, (value) => value * 1e200), shape };
      return [await codeOf(() => layer.forward(large, { out })), out];
    },
  },
  {
    name: 'NaN beyond the first channel is taken in',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'requireFinite looks at channel 0 alone: y is written though another is NaN',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        training: (input, next) =>
          next({
            ...input,
            requireFinite:
              input.requireFinite &&
              input.x.some((value, k) => !Number.isFinite(value) && Math.floor(k / inner) % channels === 0),
          }),
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const out = { data: new Float32Array(32).fill(7), shape };
      return [await codeOf(() => layer.forward(withValue(Number.NaN), { out })), out];
    },
  },
  {
    name: 'epsilon is 1e-5 at least',
    caughtBy: 'host arrays, every call awaited',
    why: 'a smaller epsilon is raised to 1e-5',
    spoil: (right) =>
      onHost(right, () => ({ forward: (input, next) => next({ ...input, epsilon: Math.max(input.epsilon, 1e-5) }) })),
    program: (backend) =>
      step(
        layerOf(backend, 4, { epsilon: 1e-9 }),
        mapped((value) => value / 300),
      ),
  },
  {
    name: 'small running variances are raised',
    caughtBy: 'host arrays, every call awaited',
    why: 'inference takes a variance below 1e-4 for 1e-4',
    spoil: (right) =>
      onHost(right, () => ({
        inference: (input, next) => next({ ...input, variance: input.variance.map((value) => Math.max(value, 1e-4)) }),
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { momentum: 0 });
      await layer.forward(mapped((value) => value / 1000));
      return (await layer.forward(x, { training: false })).data;
    },
  },
  {
    name: 'gamma of ones has no beta',
    caughtBy: 'host arrays, every call awaited',
    why: 'gamma of ones is taken for a layer without affine parameters: beta is left out',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) =>
          next(input.gamma.every((value) => value === 1) ? { ...input, beta: input.beta.slice().fill(0) } : input),
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      layer.gamma.fill(1);
      return step(layer, x);
    },
  },
  {
    name: 'a gradient of one element',
    caughtBy: 'host arrays, every call awaited',
    why: 'dgamma is 0 when one element of dy is not 0, and all others are',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const isSparse = input.dy.filter((value) => value !== 0).length === 1;
          const output = next(input);
          if (isSparse) output.dgamma.fill(0);
          return output;
        },
      })),
    program: withGradient({ data: x.data.slice().fill(0).fill(1, 5, 6), shape }),
  },
  {
    name: 'a variance far below the mean is negative',
    caughtBy: '1e15 and an eighth more in turn, [17,2]',
    why: 'the batch variance that is answered has the wrong sign where the mean is 2^52 deviations or more away from 0',
    spoil: (right) =>
      withKernels(right, (kernels) => ({
        ...kernels,
        forwardTraining(input) {
          const output = kernels.forwardTraining(input);
          const { count, mean, m2 } = output.moments;
          const signed = m2.map((square, c) => (square / count < (mean[c]! / 2 ** 52) ** 2 ? -square : square));
          return { ...output, moments: { count, mean, m2: signed } };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 1, { dtype: 'float64', momentum: 0 });
      await layer.forward({ data: Float64Array.from({ length: 8 }, (_, k) => 1e15 + (k % 2) / 8), shape: [8, 1] });
      return running(layer);
    },
  },
];
