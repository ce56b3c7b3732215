// Wrong because kernels answer later: what they read after their first suspension, and what they share meanwhile.
import {
  type Backend,
  type FloatArray,
  type HostMemory,
  type Moments,
  type Operations,
  operationsOf,
} from '@batchnorm/core-api';
import { layerOf, running, step, tensor } from './programs.js';
import { onHost, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];

const turn = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

const hostOperationsOf = async (backend: Backend, outer = 6, channels = 4): Promise<Operations<HostMemory>> =>
  operationsOf<HostMemory>(await backend.prepare({ extent: { outer, channels, inner: 1 }, dtype: 'float32' }));

const none = { dx: undefined, dgamma: undefined, dbeta: undefined };

/** A training forward whose inputs change as soon as the call has returned. */
const trainingInput = () => ({
  x: x.data.slice(),
  gamma: Float64Array.of(1, 2, 3, 4),
  beta: Float64Array.of(4, 3, 2, 1),
  epsilon: 1e-5,
  y: undefined,
  requireFinite: true,
});

const inferenceInput = () => ({ ...trainingInput(), mean: new Float64Array(4), variance: new Float64Array(4).fill(1) });

async function seenOf(call: ReturnType<Operations<HostMemory>['forwardInference']>): Promise<unknown> {
  return (await call).y;
}

/** Two layers whose calls overlap. */
async function overlapping(backend: Backend): Promise<unknown> {
  const layers = [layerOf(backend, 4), layerOf(backend, 4)];
  const seen: unknown[] = [];
  for (let round = 1; round <= 2; round++) {
    seen.push(...(await Promise.all(layers.map((layer, n) => step(layer, tensor(shape, round + 10 * n))))));
  }
  return [seen, layers.map(running)];
}

export const suspensions: readonly WrongBackend[] = [
  {
    name: 'x after a suspension',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'a training forward reads x in a later turn',
    spoil: (right) =>
      onHost(right, () => ({
        async training(input, next) {
          await turn();
          return next({ ...input, gamma: input.gamma, beta: input.beta });
        },
      })),
    async program(backend) {
      const input = trainingInput();
      const call = (await hostOperationsOf(backend)).forwardTraining(input);
      input.x.fill(0, 0, 12);
      return seenOf(call);
    },
  },
  {
    name: 'gamma after a suspension',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'a training forward takes x at once, but gamma and beta in a later turn',
    spoil: (right) =>
      onHost(right, () => ({
        async training(input, next) {
          const x = input.x.slice();
          await turn();
          const output = next({ ...input, x });
          return { ...output, saved: Object.assign(output.saved, { x: input.x }) };
        },
      })),
    async program(backend) {
      const input = trainingInput();
      const call = (await hostOperationsOf(backend)).forwardTraining(input);
      input.gamma.fill(0);
      return seenOf(call);
    },
  },
  {
    name: 'gamma of many channels after a suspension',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'from 100 channels on, gamma and beta are taken in a later turn',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => ({
        async training(input, next) {
          const x = input.x.slice();
          if (channels >= 100) await turn();
          const output = next({ ...input, x });
          return { ...output, saved: Object.assign(output.saved, { x: input.x }) };
        },
      })),
    async program(backend) {
      const operations = await hostOperationsOf(backend, 4, 100);
      const [gamma, beta] = [new Float64Array(100).fill(2), new Float64Array(100)];
      const input = { ...trainingInput(), x: tensor([4, 100]).data, gamma, beta };
      const call = operations.forwardTraining(input);
      gamma.fill(0);
      return seenOf(call);
    },
  },
  {
    name: 'given statistics after a suspension',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'inference takes the running statistics in a later turn',
    spoil: (right) =>
      onHost(right, () => ({
        async inference(input, next) {
          const [gamma, beta] = [input.gamma.slice(), input.beta.slice()];
          await turn();
          return next({ ...input, gamma, beta });
        },
      })),
    async program(backend) {
      const input = inferenceInput();
      const call = (await hostOperationsOf(backend)).forwardInference(input);
      input.variance.fill(9);
      return seenOf(call);
    },
  },
  {
    name: 'dy after a suspension',
    beyond: 'whoever calls backward awaits it before dy changes',
    why: 'backward reads dy in a later turn',
    spoil: (right) =>
      onHost(right, () => ({
        async backward(input, next) {
          await turn();
          return next(input);
        },
      })),
    async program(backend) {
      const operations = await hostOperationsOf(backend);
      const { saved } = await operations.forwardTraining(trainingInput());
      const gradient = dy.data.slice();
      const call = operations.backwardTraining({ ...none, saved, dy: gradient, parameterGradients: true });
      gradient.fill(0, 0, 12);
      return (await call).dx;
    },
  },
  {
    name: 'y after the answer',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'answers before y has been written: the end of it comes a turn later',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          const end = output.y.slice(-4);
          output.y.fill(0, output.y.length - 4);
          setTimeout(() => output.y.set(end, Math.max(0, output.y.length - 4)), 5);
          return output;
        },
      })),
    program: async (backend) => (await layerOf(backend, 4).forward(x)).data.slice(),
  },
  {
    name: 'dgamma after the answer',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'answers before dgamma has been written',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          const dgamma = output.dgamma.slice();
          output.dgamma.fill(0);
          setTimeout(() => output.dgamma.set(dgamma), 5);
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      return (await layer.backward(dy)).dgamma.slice();
    },
  },
  {
    name: 'scratch memory of all layers',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'x waits in memory of the backend for its turn: calls of two layers that overlap mix',
    spoil(right) {
      const scratch = new Map<number, FloatArray>();
      return onHost(right, () => ({
        async training(input, next) {
          const staged = scratch.get(input.x.length) ?? input.x.slice();
          scratch.set(input.x.length, staged);
          staged.set(input.x);
          const [gamma, beta] = [input.gamma.slice(), input.beta.slice()];
          await turn();
          const output = next({ ...input, x: staged, gamma, beta });
          return { ...output, saved: Object.assign(output.saved, { x: input.x }) };
        },
      }));
    },
    program: overlapping,
  },
  {
    name: 'statistics of all layers',
    caughtBy: 'overlapping calls take effect in call order [host, rows, small]',
    why: 'batch statistics are answered in memory of the backend: another layer overwrites them before they are folded in',
    spoil(right) {
      const shared = new Map<number, Moments>();
      return onHost(right, ({ extent: { channels } }) => ({
        async training(input, next) {
          const { moments, ...output } = next(input);
          const { mean, m2 } = shared.get(channels) ?? moments;
          shared.set(channels, { ...moments, mean, m2 });
          mean.set(moments.mean);
          m2.set(moments.m2);
          await turn();
          return { ...output, moments: { ...moments, mean, m2 } };
        },
      }));
    },
    program: overlapping,
  },
  {
    name: 'dgamma of all layers',
    caughtBy: 'overlapping calls take effect in call order [host, rows, small]',
    why: 'backwards of two layers that overlap answer the same dgamma',
    spoil(right) {
      let latest: Float64Array | undefined;
      return onHost(right, () => ({
        async backward(input, next) {
          const output = next(input);
          latest = output.dgamma.slice();
          await turn();
          if (latest.length === output.dgamma.length) output.dgamma.set(latest);
          return output;
        },
      }));
    },
    program: overlapping,
  },
  {
    name: 'kernels that are not ready',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'prepare answers before its kernels are compiled: until a turn later y is zeros',
    spoil(right) {
      return withKernels(right, (kernels) => {
        let ready = false;
        setTimeout(() => {
          ready = true;
        }, 5);
        return {
          ...kernels,
          forwardTraining(input) {
            const output = kernels.forwardTraining(input);
            if (!ready) output.y.fill(0);
            return output;
          },
        };
      });
    },
    program: (backend) => step(layerOf(backend, 4), x),
  },
  {
    name: 'one call at a time',
    caughtBy: 'overlapping calls take effect in call order [host, rows, small]',
    why: 'a call that comes while another layer waits is refused',
    spoil(right) {
      let busy = false;
      return onHost(right, () => ({
        async forward(input, next) {
          if (busy) throw new Error('busy');
          busy = true;
          const output = next(input);
          await turn();
          busy = false;
          return output;
        },
      }));
    },
    program: overlapping,
  },
];
