// Wrong about whose memory results, inputs and outputs are.
import { allocate, type FloatArray } from '@batchnorm/core-api';
import { buffer, layerOf, step, tensor } from './programs.js';
import type { RightSaved } from './right-backend.js';
import { onHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];
const copy = (source: typeof x) => ({ data: source.data.slice(), shape: source.shape });

type Backend = Parameters<typeof layerOf>[0];

/** Two steps whose results are all kept until the end. */
async function keptResults(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const kept: unknown[] = [];
  for (const seed of [1, 2, 3]) {
    kept.push(await layer.forward(tensor(shape, seed)), await layer.backward(tensor(shape, seed + 10)));
    kept.push(await layer.forward(tensor(shape, seed), { training: false }));
  }
  return kept;
}

/** A step on copies of x and dy, in training and in inference; sees what has become of everything that was given. */
async function inputsAfter(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const given = [copy(x), copy(dy)] as const;
  for (const training of [true, false]) {
    await layer.forward(given[0], { training });
    await layer.backward(given[1]);
  }
  return { given, gamma: layer.gamma, beta: layer.beta, mean: layer.runningMean, variance: layer.runningVariance };
}

/** A step into buffers that held something else, twice the same. */
async function intoBuffers(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen: unknown[] = [];
  const y = buffer(shape);
  const out = { dx: buffer(shape), dgamma: new Float64Array(4).fill(7), dbeta: new Float64Array(4).fill(7) };
  const sparse = copy(dy);
  sparse.data.fill(0, 0, 8);
  for (const gradient of [dy, sparse]) {
    await layer.forward(x, { out: y });
    const { dx, dgamma, dbeta } = await layer.backward(gradient, { out });
    seen.push(y.data.slice(), out.dx.data.slice(), out.dgamma.slice(), out.dbeta.slice());
    seen.push(dx.data.slice(), dgamma.slice(), dbeta.slice());
  }
  return seen;
}

/** `size` elements that are the same memory every time. */
const own = (memory: Map<string, FloatArray>, key: string, like: FloatArray): FloatArray => {
  const array = memory.get(key) ?? like.slice();
  memory.set(key, array);
  array.set(like);
  return array;
};

export const results: readonly WrongBackend[] = [
  {
    name: "y is the kernels' own",
    caughtBy: 'results are the caller’s [host, rows, small]',
    why: 'every y without a buffer is the same array',
    spoil: (right) =>
      onHost(right, () => {
        const memory = new Map<string, FloatArray>();
        return {
          forward(input, next) {
            const output = next(input);
            return input.y ? output : { ...output, y: own(memory, 'y', output.y) };
          },
        };
      }),
    program: keptResults,
  },
  {
    name: "y is the backend's own",
    caughtBy: 'results are the caller’s [host, rows, small]',
    why: 'one y for all layers whose activations are of one size',
    spoil(right) {
      const memory = new Map<string, FloatArray>();
      return onHost(right, ({ dtype }) => ({
        forward(input, next) {
          const output = next(input);
          return input.y ? output : { ...output, y: own(memory, dtype + output.y.length, output.y) };
        },
      }));
    },
    async program(backend) {
      const [a, b] = [layerOf(backend, 4), layerOf(backend, 4)];
      const y = await a.forward(x);
      await b.forward(dy);
      return y;
    },
  },
  {
    name: 'y of two that take turns',
    caughtBy: 'results are the caller’s [host, rows, small]',
    why: 'y is overwritten by the next forward but one',
    spoil: (right) =>
      onHost(right, () => {
        const memory = new Map<string, FloatArray>();
        let turn = 0;
        return {
          training(input, next) {
            const output = next(input);
            return input.y ? output : { ...output, y: own(memory, `${turn++ % 2}`, output.y) };
          },
        };
      }),
    program: keptResults,
  },
  {
    name: "dx is the kernels' own",
    caughtBy: 'results are the caller’s [host, rows, small]',
    why: 'every dx without a buffer is the same array',
    spoil: (right) =>
      onHost(right, () => {
        const memory = new Map<string, FloatArray>();
        return {
          backward(input, next) {
            const output = next(input);
            return input.dx ? output : { ...output, dx: own(memory, 'dx', output.dx) };
          },
        };
      }),
    program: keptResults,
  },
  {
    name: "dgamma is the kernels' own",
    caughtBy: 'results are the caller’s [host, rows, small]',
    why: 'every dgamma without a buffer is the same array',
    spoil: (right) =>
      onHost(right, () => {
        const memory = new Map<string, FloatArray>();
        return {
          backward(input, next) {
            const output = next(input);
            return input.dgamma ? output : { ...output, dgamma: own(memory, 'dgamma', output.dgamma) as Float64Array };
          },
        };
      }),
    program: keptResults,
  },
  {
    name: 'y is taken back',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'the memory of y is transferred to the next y of the same kernels',
    spoil: (right) =>
      onHost(right, () => {
        let last: FloatArray | undefined;
        return {
          training(input, next) {
            if (last) structuredClone(last, { transfer: [last.buffer as ArrayBuffer] });
            const output = next(input);
            last = input.y ? undefined : output.y;
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const y = await layer.forward(x);
      await layer.forward(dy);
      return y;
    },
  },
  {
    name: 'results without room between them',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'the first element of dx is the last but one of y, when sizes are not a multiple of four',
    spoil: (right) =>
      onHost(right, ({ dtype }) => {
        let arena: FloatArray | undefined;
        return {
          training(input, next) {
            const output = next(input);
            const { length } = output.y;
            if (input.y || length % 4 === 0) return output;
            arena = allocate(dtype, 2 * length - 2);
            arena.set(output.y);
            return { ...output, y: arena.subarray(0, length) };
          },
          backward(input, next) {
            const output = next(input);
            if (input.dx || !arena) return output;
            const dx = arena.subarray(input.dy.length - 2);
            dx.set(output.dx);
            return { ...output, dx };
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 3);
      const y = await layer.forward(tensor([5, 3]));
      await layer.backward(tensor([5, 3], 2));
      return [...y.data];
    },
  },
  {
    name: 'y longer than x',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'a new y has as many elements as whole vectors of four',
    spoil: (right) =>
      onHost(right, ({ dtype }) => ({
        forward(input, next) {
          const output = next(input);
          if (input.y) return output;
          const y = allocate(dtype, Math.ceil(output.y.length / 4) * 4);
          y.set(output.y);
          return { ...output, y };
        },
      })),
    program: async (backend) => (await layerOf(backend, 3).forward(tensor([5, 3]))).data.length,
  },
  {
    name: 'x is centred where it lies',
    caughtBy: 'inputs are never written [host, rows, small]',
    why: 'a training forward leaves x − mean in x',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        training(input, next) {
          const output = next({ ...input, x: input.x.slice() });
          input.x.set(input.x.map((value, k) => value - output.moments.mean[Math.floor(k / inner) % channels]!));
          return output;
        },
      })),
    program: inputsAfter,
  },
  {
    name: 'x is rounded on its way',
    caughtBy: 'inputs are never written [host, rows, small]',
    why: 'subtracts the mean from x and adds it again: most elements come back, some do not',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        training(input, next) {
          const output = next({ ...input, x: input.x.slice() });
          const mean = (k: number) => output.moments.mean[Math.floor(k / inner) % channels]! * 1024;
          input.x.set(input.x.map((value, k) => value - mean(k)).map((value, k) => value + mean(k)));
          return output;
        },
      })),
    program: inputsAfter,
    tolerance: 0,
  },
  {
    name: 'inference where x lies',
    caughtBy: 'inputs are never written [host, rows, small]',
    why: 'without a buffer for y, inference writes over x and answers a copy',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next({ ...input, x: input.x.slice() });
          input.x.set(output.y);
          return output;
        },
      })),
    program: inputsAfter,
  },
  {
    name: 'dy as scratch memory',
    caughtBy: 'inputs are never written [host, rows, small]',
    why: 'backward leaves zeros in dy',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next({ ...input, dy: input.dy.slice() });
          if (input.dx?.buffer !== input.dy.buffer) input.dy.fill(0);
          return output;
        },
      })),
    program: inputsAfter,
  },
  {
    name: 'gamma as scratch memory',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: "inference multiplies the layer's own gamma by invStd",
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next({ ...input, gamma: input.gamma.slice() });
          const { invStd } = output.saved as RightSaved;
          input.gamma.set(input.gamma.map((value, c) => value * invStd[c]!));
          return output;
        },
      })),
    program: inputsAfter,
  },
  {
    name: 'epsilon goes into the running variance',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: "inference adds epsilon to the layer's own running variance",
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next({ ...input, variance: input.variance.slice() });
          input.variance.set(input.variance.map((value) => value + input.epsilon));
          return output;
        },
      })),
    program: inputsAfter,
    tolerance: 1e-7,
  },
  {
    name: 'out is ignored from the second time on',
    caughtBy: 'host arrays, every call awaited',
    why: 'the second y into the same buffer goes into a new array',
    spoil: (right) =>
      onHost(right, () => {
        const seen = new WeakSet<FloatArray>();
        return {
          forward(input, next) {
            const again = input.y && seen.has(input.y);
            if (input.y) seen.add(input.y);
            return next({ ...input, y: again ? undefined : input.y });
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const out = buffer(shape);
      await layer.forward(x, { out });
      await layer.forward(dy, { out });
      return out;
    },
  },
  {
    name: 'dgamma in the buffer alone',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'with a buffer for dgamma, the dgamma that is answered is an array of zeros',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          return input.dgamma ? { ...output, dgamma: new Float64Array(output.dgamma.length) } : output;
        },
      })),
    program: intoBuffers,
  },
  {
    name: 'dbeta beside dgamma alone',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'a buffer for dbeta is written only if there is one for dgamma',
    spoil: (right) =>
      onHost(right, () => ({
        backward: (input, next) => next({ ...input, dbeta: input.dgamma && input.dbeta }),
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const dbeta = new Float64Array(4);
      await layer.forward(x);
      await layer.backward(dy, { out: { dbeta } });
      return dbeta;
    },
  },
  {
    name: 'dgamma is added to',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'a buffer for dgamma keeps what it held, plus dgamma',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const { dgamma } = input;
          if (!dgamma) return next(input);
          const before = dgamma.slice();
          const output = next(input);
          dgamma.set(dgamma.map((value, c) => value + before[c]!));
          return output;
        },
      })),
    program: intoBuffers,
  },
  {
    name: 'zeros of dx are not written',
    caughtBy: 'host arrays, every call awaited',
    why: 'where dy is 0 in a whole row, the row of dx stays as it was in the buffer',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        backward(input, next) {
          const { dx, dy } = input;
          if (!dx || dx === dy) return next(input);
          const before = dx.slice();
          const size = channels * inner;
          const zero = (row: number) => dy.subarray(row * size, (row + 1) * size).every((value) => value === 0);
          const rows = Array.from({ length: dy.length / size }, (_, row) => row).filter(zero);
          const output = next(input);
          for (const row of rows) dx.set(before.subarray(row * size, (row + 1) * size), row * size);
          return output;
        },
      })),
    program: intoBuffers,
  },
  {
    name: 'NaN in the buffer',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'y = 0 · out + …: NaN that the buffer held before stays',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const before = input.y?.slice();
          const output = next(input);
          before?.forEach((value, k) => {
            output.y[k]! += 0 * value;
          });
          return output;
        },
      })),
    async program(backend) {
      const out = buffer(shape);
      out.data[3] = Number.NaN;
      return layerOf(backend, 4).forward(x, { out });
    },
  },
  {
    name: 'a buffer of zeros is new',
    caughtBy: 'host arrays, every call awaited',
    why: 'y into a buffer whose first element is 0 goes elsewhere',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) => next(input.y?.[0] === 0 ? { ...input, y: undefined } : input),
      })),
    async program(backend) {
      const out = buffer(shape);
      out.data.fill(0);
      return layerOf(backend, 4).forward(x, { out });
    },
  },
  {
    name: 'dx over dy, row by row',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'with dx over dy, a row reads the row before it, which is dx by now',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        backward(input, next) {
          if (input.dx?.buffer !== input.dy.buffer || input.dx.byteOffset !== input.dy.byteOffset) return next(input);
          const output = next(input);
          output.dx.copyWithin(channels * inner, 0, channels * inner);
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      const gradient = copy(dy);
      return (await layer.backward(gradient, { out: { dx: gradient } })).dx;
    },
  },
  {
    name: 'dx over dy before dbeta',
    caughtBy: 'works in place [host, rows, small]',
    why: 'with dx over dy, dbeta is the sum of dx',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        backward(input, next) {
          const inPlace = input.dx?.buffer === input.dy.buffer && input.dx.byteOffset === input.dy.byteOffset;
          const output = next(input);
          if (!inPlace) return output;
          output.dbeta.fill(0);
          output.dx.forEach((value, k) => {
            output.dbeta[Math.floor(k / inner) % channels]! += value;
          });
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      const gradient = copy(dy);
      return (await layer.backward(gradient, { out: { dx: gradient } })).dbeta;
    },
  },
  {
    name: 'in place, inner by inner',
    caughtBy: 'results are within their bounds [host, runs, small]',
    why: 'inference in place is wrong from the second element of a run on',
    spoil: (right) =>
      onHost(right, ({ extent: { inner } }) => ({
        inference(input, next) {
          const inPlace = input.y?.buffer === input.x.buffer && input.y.byteOffset === input.x.byteOffset;
          const output = next(input);
          if (inPlace && inner > 1) output.y[1] = output.y[0]!;
          return output;
        },
      })),
    async program(backend) {
      const z = tensor([2, 3, 4]);
      await layerOf(backend, 3).forward(z, { training: false, out: z });
      return z;
    },
  },
  {
    name: 'xHat from y',
    caughtBy: 'what is saved does not change [host]',
    why: 'keeps y, not x: whoever changes y before backward, changes the gradients',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => {
        const forwards = new WeakMap<object, { y: FloatArray; beta: Float64Array }>();
        return {
          training(input, next) {
            const output = next(input);
            forwards.set(output.saved, { y: output.y, beta: input.beta.slice() });
            return output;
          },
          backwardTraining(input, next) {
            const { y, beta } = forwards.get(input.saved)!;
            const { mean, invStd, gamma, ...saved } = input.saved as RightSaved;
            const x = Float64Array.from(y, (value, k) => {
              const c = Math.floor(k / inner) % channels;
              return mean[c]! + (value - beta[c]!) / (gamma[c]! * invStd[c]!);
            });
            return next({ ...input, saved: { ...saved, mean, invStd, gamma, x } as RightSaved });
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const y = await layer.forward(x);
      y.data.set(y.data.map((value) => Math.max(0, value)));
      return layer.backward(dy);
    },
  },
  {
    name: 'the copy of x',
    caughtBy: 'host arrays, every call awaited',
    why: 'backward after a step with the same x array takes the x of the first step',
    spoil: (right) =>
      onHost(right, () => {
        const copies = new WeakMap<FloatArray, FloatArray>();
        return {
          training(input, next) {
            const x = copies.get(input.x) ?? input.x.slice();
            copies.set(input.x, x);
            const output = next(input);
            (output.saved as RightSaved).x = x;
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const z = copy(x);
      await step(layer, z);
      z.data.set(dy.data);
      return step(layer, z);
    },
  },
];
