// Wrong about the order and the number of calls, and about which layer they belong to.
import {
  type Backend,
  type FloatArray,
  type HostMemory,
  type Kernels,
  operationsOf,
  type Plan,
  type Saved,
} from '@batchnorm/core-api';
import { codeOf, layerOf, running, step, tensor } from './programs.js';
import type { RightSaved } from './right-backend.js';
import { adapt, onHost, type RightWholeKernels, type WholeKernels, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];
const extent = { outer: 6, channels: 4, inner: 1 };

const nonFinite = { data: x.data.slice().fill(Number.NaN, 0, 1), shape };

const keyOf = ({ extent: { outer, channels, inner }, activation = 'none' }: Plan) =>
  `${outer} ${channels} ${inner} ${activation}`;

/** Kernels whose `n`-th training forward, from 1, and all after it, add something to y. */
const wrongFrom = (n: number) => (right: Parameters<WrongBackend['spoil']>[0]) =>
  onHost(right, () => {
    let calls = 0;
    return {
      training(input, next) {
        const output = next(input);
        if (++calls >= n) output.y[0]! += 1;
        return output;
      },
    };
  });

/** Every y of `count` training steps. */
async function steps(backend: Backend, count: number): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen = [];
  for (let n = 0; n < count; n++) seen.push(await step(layer, tensor(shape, n + 1)));
  return seen;
}

/** Training, then a backward of inference; then training and its backward again. */
async function inferenceBetween(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen = [await step(layer, x)];
  await layer.forward(x, { training: false });
  seen.push(await layer.backward(dy));
  await layer.forward(dy);
  seen.push(await layer.backward(x));
  return seen;
}

/** Steps of layers that take turns, whose forwards come before their backwards. */
async function interleaved(
  backend: Backend,
  shapes: readonly (readonly number[])[] = [
    [6, 4],
    [6, 4],
  ],
): Promise<unknown> {
  const layers = shapes.map(([, C]) => layerOf(backend, C!));
  const inputs = shapes.map((shape, n) => tensor(shape, n + 1));
  const seen: unknown[] = [];
  for (let round = 0; round < 2; round++) {
    for (const [n, layer] of layers.entries()) seen.push((await layer.forward(inputs[n]!)).data.slice());
    for (const [n, layer] of layers.entries()) seen.push(await layer.backward(tensor(shapes[n]!, n + 21)));
  }
  return seen;
}

/** A second layer of the same extent; then one of them is disposed, and the other goes on. */
async function oneIsDisposed(backend: Backend): Promise<unknown> {
  const [a, b] = [layerOf(backend, 4), layerOf(backend, 4)];
  await step(a, x);
  await step(b, x);
  await b.forward(dy);
  await a.dispose();
  return [await b.backward(dy), await step(b, x)];
}

export const order: readonly WrongBackend[] = [
  {
    name: 'sizes of the latest prepare',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'one set of sizes for all kernels: those that were prepared last',
    spoil(right) {
      let latest: RightWholeKernels;
      return withKernels(right, (kernels) => {
        latest = kernels;
        return {
          ...kernels,
          forwardTraining: (input) => latest.forwardTraining(input),
          forwardInference: (input) => latest.forwardInference(input),
          backwardTraining: (input) => latest.backwardTraining(input),
          backwardInference: (input) => latest.backwardInference(input),
        };
      });
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      await step(layer, tensor([2, 4, 3]));
      await step(layer, tensor([3, 4, 2]));
      return step(layer, tensor([2, 4, 3]));
    },
  },
  {
    name: 'sizes of the latest prepare, backwards',
    caughtBy: 'same input, same bits [host, rows, small]',
    why: 'M in dx is that of the kernels that were prepared last',
    spoil(right) {
      let M = 1;
      return withKernels(right, (kernels, { extent: { outer, inner } }) => {
        M = outer * inner;
        const own = M;
        return {
          ...kernels,
          backwardTraining(input) {
            const output = kernels.backwardTraining(input);
            output.dx.set(output.dx.map((value) => (value * own) / M));
            return output;
          },
        };
      });
    },
    program: (backend) =>
      interleaved(backend, [
        [6, 4],
        [9, 4],
      ]),
  },
  {
    name: 'kernels of the first extent with as many elements',
    caughtBy: 'host arrays, overlapping calls',
    why: 'kernels are cached by channels and number of elements alone',
    spoil(right) {
      const cache = new Map<string, Kernels>();
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          const { outer, channels, inner } = plan.extent;
          const key = `${channels} ${outer * inner} ${plan.dtype}`;
          const kernels = cache.get(key) ?? prepare(plan);
          cache.set(key, kernels);
          return kernels;
        },
      });
    },
    async program(backend) {
      await step(layerOf(backend, 4), tensor([2, 4, 3]));
      return step(layerOf(backend, 4, { axis: -1 }), tensor([2, 3, 4]));
    },
  },
  {
    name: 'kernels of the first dtype',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'kernels are cached by extent, whatever the dtype: new activations are of the dtype that came first',
    spoil(right) {
      const cache = new Map<string, Kernels>();
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          const kernels = cache.get(keyOf(plan)) ?? prepare(plan);
          cache.set(keyOf(plan), kernels);
          return kernels;
        },
      });
    },
    async program(backend) {
      const seen = [];
      for (const dtype of ['float32', 'float64'] as const) {
        seen.push(await step(layerOf(backend, 4, { dtype }), tensor(shape, 1, dtype)));
      }
      return seen;
    },
  },
  {
    name: 'float64 is rounded after float32',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'once a float32 layer has run, y of float64 layers is rounded to float32',
    spoil(right) {
      let rounds = false;
      return onHost(right, ({ dtype }) => ({
        forward(input, next) {
          const output = next(input);
          if (dtype === 'float32') rounds = true;
          else if (rounds) output.y.set(output.y.map(Math.fround));
          return output;
        },
      }));
    },
    async program(backend) {
      await step(layerOf(backend, 4), x);
      return step(layerOf(backend, 4, { dtype: 'float64' }), tensor(shape, 1, 'float64'));
    },
    tolerance: 1e-10,
  },
  {
    name: "one layer's dispose is another's",
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'equal plans share kernels, and the first dispose breaks them for both',
    spoil(right) {
      const cache = new Map<string, WholeKernels>();
      return withKernels(right, (kernels, plan) => {
        const key = keyOf(plan) + plan.dtype;
        const known = cache.get(key);
        if (known) return known;
        let broken = false;
        const shared: WholeKernels = {
          ...kernels,
          forwardTraining(input) {
            const output = kernels.forwardTraining(input);
            if (broken) output.y.fill(0);
            return output;
          },
          dispose() {
            broken = true;
            cache.delete(key);
          },
        };
        cache.set(key, shared);
        return shared;
      });
    },
    program: oneIsDisposed,
  },
  {
    name: 'dispose of kernels frees all saved forwards',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'a backward after another layer has been disposed has lost its x',
    spoil(right) {
      const all = new Set<Saved>();
      return withKernels(
        onHost(right, () => ({
          forward(input, next) {
            const output = next(input);
            all.add(output.saved);
            return output;
          },
        })) as never,
        (kernels) => ({
          ...kernels,
          dispose() {
            kernels.dispose();
            for (const saved of all) saved.dispose();
          },
        }),
      );
    },
    program: oneIsDisposed,
  },
  {
    name: 'an evicted extent comes back broken',
    caughtBy: 'more batch sizes than a layer keeps kernels for [host, rows, small]',
    why: 'kernels that were disposed are handed out again for their extent: their y is zeros',
    spoil(right) {
      const disposed = new Set<string>();
      return withKernels(right, (kernels, plan) => ({
        ...kernels,
        forwardTraining(input) {
          const output = kernels.forwardTraining(input);
          if (disposed.has(keyOf(plan) + plan.dtype)) output.y.fill(0);
          return output;
        },
        dispose: () => void disposed.add(keyOf(plan) + plan.dtype),
      }));
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (let N = 2; N < 14; N++) await step(layer, tensor([N, 4]));
      return step(layer, tensor([2, 4]));
    },
  },
  {
    name: 'one saved forward for all kernels',
    caughtBy: 'what is saved does not change [host]',
    why: 'a backward differentiates the latest forward of any layer with as many channels',
    spoil(right) {
      const latest = new Map<number, Saved>();
      return onHost(right, ({ extent: { channels } }) => ({
        forward(input, next) {
          const output = next(input);
          latest.set(channels, output.saved);
          return output;
        },
        backward: (input, next) => next({ ...input, saved: latest.get(channels)! }),
      }));
    },
    program: interleaved,
  },
  {
    name: 'one saved forward for the kernels',
    caughtBy: 'what is saved does not change [host]',
    why: 'a forward that fails has already taken the place of the one before',
    spoil: (right) =>
      onHost(right, () => {
        let latest: FloatArray;
        return {
          forward(input, next) {
            latest = input.x;
            return next(input);
          },
          backward(input, next) {
            return next({ ...input, saved: { ...(input.saved as RightSaved), x: latest } as Saved });
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      await codeOf(() => layer.forward(nonFinite));
      return layer.backward(dy);
    },
  },
  {
    name: 'invStd of two forwards',
    caughtBy: 'what is saved does not change [host]',
    why: 'two saved forwards of the same kernels share invStd: the second one that is alive bends the first',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => {
        const invStd = new Float64Array(channels);
        return {
          forward(input, next) {
            const output = next(input);
            invStd.set((output.saved as RightSaved).invStd);
            return { ...output, saved: Object.assign(output.saved, { invStd }) };
          },
        };
      }),
    async program(backend) {
      const operations = operationsOf<HostMemory>(await backend.prepare({ extent, dtype: 'float32' }));
      const input = { gamma: new Float64Array(4).fill(1), beta: new Float64Array(4), epsilon: 1e-5, y: undefined };
      const wide = x.data.map((value) => 4 * value);
      const first = await operations.forwardTraining({ ...input, x: x.data, requireFinite: true });
      await operations.forwardTraining({ ...input, x: wide, requireFinite: true });
      return operations.backwardTraining({
        saved: first.saved,
        dy: dy.data,
        dx: undefined,
        dgamma: undefined,
        dbeta: undefined,
        parameterGradients: true,
      });
    },
  },
  {
    name: 'a backward once',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'the second backward of a forward has lost its mean',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          (input.saved as RightSaved).mean.fill(0);
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      return [await layer.backward(dy), await layer.backward(dy)];
    },
  },
  {
    name: 'dy by reference',
    caughtBy: 'host arrays, every call awaited',
    why: 'a backward with the dy array of the backward before answers what it answered then',
    spoil: (right) =>
      onHost(right, () => {
        let last: { saved: Saved; dy: FloatArray; dx: FloatArray } | undefined;
        return {
          backward(input, next) {
            const output = next(input);
            if (last?.saved === input.saved && last.dy === input.dy) output.dx.set(last.dx);
            last = { saved: input.saved, dy: input.dy, dx: output.dx.slice() };
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      const gradient = { data: dy.data.slice(), shape };
      const seen = [await layer.backward(gradient)];
      gradient.data.set(x.data);
      seen.push(await layer.backward(gradient));
      return seen;
    },
  },
  {
    name: 'x by reference',
    caughtBy: 'host arrays, every call awaited',
    why: 'a training forward on the x array of the forward before answers the statistics of then',
    spoil: (right) =>
      onHost(right, () => {
        let last: { x: FloatArray; mean: Float64Array } | undefined;
        return {
          training(input, next) {
            const output = next(input);
            const { mean } = output.moments;
            const fresh = mean.slice();
            if (last?.x === input.x) mean.set(last.mean);
            last ??= { x: input.x, mean: fresh };
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const batch = { data: x.data.slice(), shape };
      await step(layer, batch);
      batch.data.set(dy.data);
      await step(layer, batch);
      return running(layer);
    },
  },
  {
    name: 'inference after training',
    caughtBy: 'what is saved does not change [host]',
    why: 'the backward of inference goes through batch statistics once the kernels have trained',
    spoil: (right) =>
      withKernels(right, (kernels) => {
        let trained = false;
        return {
          ...kernels,
          forwardTraining(input) {
            trained = true;
            return kernels.forwardTraining(input);
          },
          backwardInference: (input) => (trained ? kernels.backwardTraining(input) : kernels.backwardInference(input)),
        };
      }),
    program: inferenceBetween,
  },
  {
    name: 'training after inference',
    caughtBy: 'what is saved does not change [host]',
    why: 'the backward of training leaves batch statistics out once the kernels have inferred',
    spoil: (right) =>
      withKernels(right, (kernels) => {
        let inferred = false;
        return {
          ...kernels,
          forwardInference(input) {
            inferred = true;
            return kernels.forwardInference(input);
          },
          backwardTraining: (input) => (inferred ? kernels.backwardInference(input) : kernels.backwardTraining(input)),
        };
      }),
    program: inferenceBetween,
  },
  {
    name: 'a forward without a backward',
    caughtBy: 'running statistics average the batches of training [host, rows, small]',
    why: 'a training forward that follows another, no backward between them, has the mean of the first',
    spoil: (right) =>
      onHost(right, () => {
        let mean: Float64Array | undefined;
        return {
          training(input, next) {
            const output = next(input);
            const own = output.moments.mean.slice();
            if (mean) output.moments.mean.set(mean);
            mean = own;
            return output;
          },
          backward(input, next) {
            mean = undefined;
            return next(input);
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (const batch of [x, dy]) await layer.forward(batch);
      return running(layer);
    },
  },
  {
    name: 'the first call of all',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'the first training forward of the backend answers zeros, before it is warm',
    spoil(right) {
      let warm = false;
      return onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          if (!warm) output.y.fill(0);
          warm = true;
          return output;
        },
      }));
    },
    program: (backend) => steps(backend, 2),
  },
  {
    name: 'the second call',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'y is wrong from the second training forward of the kernels on',
    spoil: wrongFrom(2),
    program: (backend) => steps(backend, 3),
  },
  {
    name: 'the ninth call',
    caughtBy: '100 steps',
    why: 'y is wrong from the ninth training forward of the kernels on',
    spoil: wrongFrom(9),
    program: (backend) => steps(backend, 10),
  },
  {
    name: 'the 257th call',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'y is wrong from the 257th training forward of the kernels on',
    spoil: wrongFrom(257),
    program: (backend) => steps(backend, 258),
  },
  {
    name: 'the 300th call',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'y is wrong from the 300th training forward of the kernels on',
    spoil: wrongFrom(300),
    program: (backend) => steps(backend, 301),
  },
  {
    name: 'after a failure',
    caughtBy: 'host arrays, every call awaited',
    why: 'the forward after one that failed answers zeros',
    spoil: (right) =>
      onHost(right, () => {
        let failed = false;
        return {
          training(input, next) {
            const wrong = failed;
            failed = true;
            const output = next(input);
            failed = false;
            if (wrong) output.y.fill(0);
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await step(layer, x);
      await codeOf(() => layer.forward(nonFinite));
      return step(layer, x);
    },
  },
  {
    name: 'a failure disposes',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'a training forward that fails has let go of the saved forward before it',
    spoil: (right) =>
      onHost(right, () => {
        let last: Saved | undefined;
        return {
          training(input, next) {
            try {
              const output = next(input);
              last = output.saved;
              return output;
            } catch (error) {
              last?.dispose();
              throw error;
            }
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      await codeOf(() => layer.forward(nonFinite));
      return layer.backward(dy);
    },
  },
  {
    name: 'dispose of a saved forward empties the next',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'when a saved forward is disposed, the one that the same kernels made after it loses its gamma',
    spoil: (right) =>
      onHost(right, () => {
        let newest: RightSaved;
        let made = 0;
        return {
          forward(input, next) {
            const output = next(input);
            newest = output.saved as RightSaved;
            const { dispose } = newest;
            const order = made++;
            return {
              ...output,
              saved: Object.assign(newest, {
                dispose(this: RightSaved) {
                  dispose.call(this);
                  if (made > order + 2) newest.gamma.fill(0);
                },
              }),
            };
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [];
      for (const seed of [1, 2]) seen.push(await step(layer, tensor(shape, seed)));
      await codeOf(() => layer.forward(nonFinite));
      const operations = operationsOf<HostMemory>(await backend.prepare({ extent, dtype: 'float32' }));
      const input = { gamma: new Float64Array(4).fill(1), beta: new Float64Array(4), epsilon: 1e-5, y: undefined };
      const saved = [];
      for (let n = 0; n < 3; n++) {
        saved.push((await operations.forwardTraining({ ...input, x: x.data, requireFinite: true })).saved);
      }
      saved[0]!.dispose();
      const none = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
      return operations.backwardTraining({ saved: saved[2]!, dy: dy.data, ...none });
    },
  },
];
