// Wrong about gamma, beta, epsilon and given statistics: which of them a call uses.
import type { Backend, BatchNorm, BatchNormOptions, Statistics } from '@batchnorm/core-api';
import { layerOf, running, step, tensor } from './programs.js';
import type { RightSaved } from './right-backend.js';
import { onHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];
/** Whose variance an epsilon of 1e-5 is seen beside. */
const small = { ...x, data: x.data.map((value) => value / 1000) };

/** Steps with other parameters each time, as an optimiser makes them. */
async function optimised(backend: Backend, update: (layer: BatchNorm) => void): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen = [await step(layer, x, dy)];
  update(layer);
  seen.push(await step(layer, x, dy));
  return seen;
}

/** Inference before and after `between`, with gradients. */
async function inferences(
  backend: Backend,
  between: (layer: BatchNorm) => Promise<unknown>,
  options: Partial<BatchNormOptions> = {},
): Promise<unknown> {
  const layer = layerOf(backend, 4, options);
  const seen: unknown[] = [];
  for (const act of [() => step(layer, x), () => between(layer)]) {
    await act();
    seen.push((await layer.forward(x, { training: false })).data.slice(), (await layer.backward(dy)).dx.data.slice());
  }
  return seen;
}

const doubled = (values: readonly number[]) => values.map((value) => 2 * value);

export const parameters: readonly WrongBackend[] = [
  {
    name: 'gamma of the first forward',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'gamma is taken when the kernels run first, and never again',
    spoil: (right) =>
      onHost(right, () => {
        let gamma: Float64Array | undefined;
        return {
          forward(input, next) {
            gamma ??= input.gamma.slice();
            return next({ ...input, gamma });
          },
        };
      }),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(0.5)),
  },
  {
    name: 'beta of the first forward',
    caughtBy: 'every forward takes gamma and beta as they are [host, rows, small]',
    why: 'beta is taken when the kernels run first, and never again',
    spoil: (right) =>
      onHost(right, () => {
        let beta: Float64Array | undefined;
        return {
          forward(input, next) {
            beta ??= input.beta.slice();
            return next({ ...input, beta });
          },
        };
      }),
    program: (backend) => optimised(backend, ({ beta }) => beta.fill(0.5)),
  },
  {
    name: 'gamma is new when its first element is',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'gamma is taken again only when gamma[0] has changed',
    spoil: (right) =>
      onHost(right, () => {
        let gamma = new Float64Array(0);
        return {
          forward(input, next) {
            if (gamma[0] !== input.gamma[0]) gamma = input.gamma.slice();
            return next({ ...input, gamma });
          },
        };
      }),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(0.5, 2)),
  },
  {
    name: 'gamma is new when its sum is',
    caughtBy: 'a parameter that is NaN stays in its channel [host, rows, small]',
    why: 'gamma is taken again only when the sum of its elements has changed',
    spoil: (right) =>
      onHost(right, () => {
        let gamma = new Float64Array(0);
        const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
        return {
          forward(input, next) {
            if (Math.abs(sum(gamma) - sum(input.gamma)) > 1e-9) gamma = input.gamma.slice();
            return next({ ...input, gamma });
          },
        };
      }),
    program: (backend) =>
      optimised(backend, ({ gamma }) => {
        gamma[0]! += 1;
        gamma[1]! -= 1;
      }),
  },
  {
    name: 'gamma of the first forward, backwards',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'y is right, but dx has the gamma of the first forward',
    spoil: (right) =>
      onHost(right, () => {
        let gamma: Float64Array | undefined;
        return {
          training(input, next) {
            const output = next(input);
            gamma ??= input.gamma.slice();
            return { ...output, saved: Object.assign(output.saved, { gamma }) };
          },
        };
      }),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(0.5)),
  },
  {
    name: 'gamma when backward comes',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'keeps gamma by reference: dx has the gamma that was set after the forward',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          return { ...output, saved: Object.assign(output.saved, { gamma: input.gamma }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      layer.gamma.fill(0.5);
      return layer.backward(dy);
    },
  },
  {
    name: 'gamma when the backward of inference comes',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'inference keeps gamma by reference, training does not',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next(input);
          return { ...output, saved: Object.assign(output.saved, { gamma: input.gamma }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x, { training: false });
      layer.gamma.fill(0.5);
      return layer.backward(dy);
    },
  },
  {
    name: 'running statistics when backward comes',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'inference keeps the running statistics by reference: loadState before backward changes the gradients',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next(input);
          const saved = output.saved as RightSaved;
          const later = {
            get mean() {
              return input.mean;
            },
            get invStd() {
              return input.variance.map((value) => 1 / Math.sqrt(value + input.epsilon));
            },
          };
          return { ...output, saved: Object.defineProperties(saved, Object.getOwnPropertyDescriptors(later)) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await step(layer, x);
      const state = await layer.state();
      await layer.forward(x, { training: false });
      await layer.loadState({ ...state, runningVariance: doubled(state.runningVariance) });
      return layer.backward(dy);
    },
  },
  {
    name: 'running statistics of the first inference',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'inference takes the running statistics once, as if training were over',
    spoil: (right) =>
      onHost(right, () => {
        let first: Statistics | undefined;
        return {
          inference(input, next) {
            first ??= { mean: input.mean.slice(), variance: input.variance.slice() };
            return next({ ...input, ...first });
          },
        };
      }),
    program: (backend) => inferences(backend, (layer) => step(layer, tensor(shape, 5))),
  },
  {
    name: 'loadState is not noticed',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'running statistics are taken again after a training forward, but not after loadState',
    spoil: (right) =>
      onHost(right, () => {
        let known: Statistics | undefined;
        return {
          training(input, next) {
            known = undefined;
            return next(input);
          },
          inference(input, next) {
            known ??= { mean: input.mean.slice(), variance: input.variance.slice() };
            return next({ ...input, ...known });
          },
        };
      }),
    program: (backend) =>
      inferences(backend, async (layer) => {
        const state = await layer.state();
        await layer.loadState({ ...state, runningMean: doubled(state.runningMean) });
      }),
  },
  {
    name: 'running variance of the running mean',
    caughtBy: 'host arrays, overlapping calls',
    why: 'takes both running statistics again only when the mean of channel 0 has changed',
    spoil: (right) =>
      onHost(right, () => {
        let known: Statistics | undefined;
        return {
          inference(input, next) {
            if (known?.mean[0] !== input.mean[0]) {
              known = { mean: input.mean.slice(), variance: input.variance.slice() };
            }
            return next({ ...input, ...known });
          },
        };
      }),
    program: (backend) =>
      inferences(backend, async (layer) => {
        const state = await layer.state();
        await layer.loadState({ ...state, runningVariance: doubled(state.runningVariance) });
      }),
  },
  {
    name: 'epsilon of the first layer',
    caughtBy: 'host arrays, every call awaited',
    why: 'all layers of the backend have the epsilon that came first',
    spoil(right) {
      let epsilon: number | undefined;
      return onHost(right, () => ({
        forward(input, next) {
          epsilon ??= input.epsilon;
          return next({ ...input, epsilon });
        },
      }));
    },
    async program(backend) {
      const seen = [];
      for (const epsilon of [1e-5, 0.5]) seen.push(await step(layerOf(backend, 4, { epsilon }), x));
      return seen;
    },
  },
  {
    name: 'epsilon of the extent',
    caughtBy: 'each layer has its own epsilon [host, rows, small]',
    why: 'layers of one extent have the epsilon of the first of them',
    spoil(right) {
      const known = new Map<string, number>();
      return onHost(right, ({ extent }) => ({
        forward(input, next) {
          const key = JSON.stringify(extent);
          if (!known.has(key)) known.set(key, input.epsilon);
          return next({ ...input, epsilon: known.get(key)! });
        },
      }));
    },
    async program(backend) {
      const seen = [];
      for (const [C, epsilon] of [
        [3, 1e-5],
        [4, 0.5],
        [4, 1e-5],
      ] as const) {
        // biome-ignore format: a table
        seen.push(await step(layerOf(backend, C, { epsilon }), tensor([6, C])));
      }
      return seen;
    },
  },
  {
    name: 'epsilon of at least 1e-5',
    caughtBy: 'host arrays, every call awaited',
    why: 'a smaller epsilon is replaced by 1e-5, as some libraries do',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) => next({ ...input, epsilon: Math.max(1e-5, input.epsilon) }),
      })),
    program: (backend) => {
      const small = tensor(shape);
      small.data.set(small.data.map((value) => value * 1e-3));
      return step(layerOf(backend, 4, { epsilon: 1e-8 }), small);
    },
  },
  {
    name: 'epsilon twice',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'the batch variance that is folded in has epsilon in it',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const { count, m2 } = output.moments;
          m2.set(m2.map((square) => square + count * input.epsilon));
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { epsilon: 0.1 });
      await step(layer, x);
      return running(layer);
    },
  },
  {
    name: 'no gamma is one',
    caughtBy: 'host arrays, every call awaited',
    why: 'gamma[c] || 1: a gamma of 0 counts as 1',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) => next({ ...input, gamma: input.gamma.map((value) => value || 1) }),
      })),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(0, 1, 2)),
  },
  {
    name: 'gamma is positive',
    caughtBy: 'host arrays, every call awaited',
    why: 'a negative gamma counts as its size',
    spoil: (right) =>
      onHost(right, () => ({ forward: (input, next) => next({ ...input, gamma: input.gamma.map(Math.abs) }) })),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(-1, 1, 2)),
  },
  {
    name: 'gamma is alike when its ends are',
    caughtBy: 'host arrays, overlapping calls',
    why: 'takes all of gamma for gamma[0] when gamma[0] = gamma[C − 1]',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const gamma = input.gamma.slice();
          return next({ ...input, gamma: gamma[0] === gamma.at(-1) ? gamma.fill(gamma[0]!) : gamma });
        },
      })),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.set([1, 2, 3, 1])),
  },
  {
    name: 'dgamma needs a gamma',
    caughtBy: 'host arrays, every call awaited',
    why: 'dgamma of a channel whose gamma is 0 is 0',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          (input.saved as RightSaved).gamma.forEach((value, c) => {
            if (value === 0) output.dgamma[c] = 0;
          });
          return output;
        },
      })),
    program: (backend) => optimised(backend, ({ gamma }) => gamma.fill(0, 1, 2)),
  },
  {
    name: 'momentum of its own',
    caughtBy: 'out receives the results [host, runs, small]',
    why: 'from the second batch on, the batch statistics have a tenth of the batch before in them',
    spoil: (right) =>
      onHost(right, () => {
        let last: Float64Array | undefined;
        return {
          training(input, next) {
            const output = next(input);
            const { mean } = output.moments;
            const own = mean.slice();
            if (last) mean.set(last.map((value, c) => 0.9 * mean[c]! + 0.1 * value));
            last = own;
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (const seed of [1, 2, 3]) await step(layer, tensor(shape, seed));
      return running(layer);
    },
  },
  {
    name: 'the sample variance is folded in',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'y is right, but the batch variance that is answered has M − 1 in it',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const { count, mean, m2 } = output.moments;
          const ofSample = m2.map((square) => (square * count) / Math.max(1, count - 1));
          return { ...output, moments: { count, mean, m2: ofSample } };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await step(layer, x);
      return running(layer);
    },
  },
  {
    name: 'running statistics in float32',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'batch statistics are rounded to float32 when they are answered, though execution says float64',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const { count, mean, m2 } = output.moments;
          return { ...output, moments: { count, mean: mean.map(Math.fround), m2: m2.map(Math.fround) } };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await step(layer, x);
      return running(layer);
    },
    tolerance: 1e-10,
  },
  {
    name: 'an epsilon of 0 is that of the documentation',
    caughtBy: 'epsilon may be 0 [host, rows, small]',
    why: 'epsilon is 1e-5 where it is falsy',
    spoil: (right) =>
      onHost(right, () => ({ forward: (input, next) => next({ ...input, epsilon: input.epsilon || 1e-5 }) })),
    program: (backend) => step(layerOf(backend, 4, { epsilon: 0 }), small),
    tolerance: 1e-7,
  },
  {
    name: '0 divided by an epsilon of 0',
    caughtBy: 'epsilon may be 0 [host, rows, small]',
    why: 'a constant channel is NaN without epsilon',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        forward(input, next) {
          const output = next(input);
          const { invStd } = output.saved as RightSaved;
          output.y.forEach((_, k) => {
            if (invStd[Math.floor(k / inner) % channels] === 0) output.y[k] = Number.NaN;
          });
          return output;
        },
      })),
    program: (backend) =>
      step(layerOf(backend, 4, { epsilon: 0 }), { ...x, data: x.data.map((v, k) => (k % 4 === 1 ? 3 : v)) }),
  },
  {
    name: 'no scale where nobody asks for gradients of parameters',
    caughtBy: 'parameters that a layer lacks are ones and zeros [host, rows, small]',
    why: 'dx of inference is dy when neither dgamma nor dbeta is wanted',
    spoil: (right) =>
      onHost(right, () => ({
        backwardInference(input, next) {
          const output = next(input);
          if (!input.parameterGradients) output.dx.set(input.dy);
          return output;
        },
      })),
    program: (backend) => inferences(backend, async () => undefined, { affine: false }),
  },
];
