// Wrong only where two things meet, each of which is right by itself.
import { type Backend, type FloatArray, statisticsOf } from '@batchnorm/core-api';
import { buffer, embedded, layerOf, read, step, tensor, upload } from './programs.js';
import { contentsOf } from './right-backend.js';
import { onDevice, onHost, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];
const copy = (source: typeof x) => ({ data: source.data.slice(), shape: source.shape });

const lastIsZero = (array: FloatArray) => {
  array[array.length - 1] = 0;
};

/** A step whose y and x are looked at when its backward is done. */
async function afterBackward(backend: Backend): Promise<unknown> {
  const [layer, given] = [layerOf(backend, 4), copy(x)];
  const y = await layer.forward(given);
  await layer.backward(dy);
  return { x: given, y };
}

export const combinations: readonly WrongBackend[] = [
  {
    name: 'the buffer of the call before',
    caughtBy: 'host arrays, every call awaited',
    why: 'a forward without a buffer writes to the one that was given to the forward before',
    spoil: (right) =>
      onHost(right, () => {
        let last: FloatArray | undefined;
        return {
          training(input, next) {
            const y = input.y ?? last;
            last = input.y;
            return next({ ...input, y });
          },
        };
      }),
    async program(backend) {
      const [layer, out] = [layerOf(backend, 4), buffer(shape)];
      await layer.forward(x, { out });
      await layer.forward(dy);
      return out;
    },
  },
  {
    name: 'the dx of the call before',
    caughtBy: 'host arrays, every call awaited',
    why: 'a backward without a buffer writes to the one that was given to the backward before',
    spoil: (right) =>
      onHost(right, () => {
        let last: FloatArray | undefined;
        return {
          backward(input, next) {
            const dx = input.dx ?? last;
            last = input.dx === input.dy ? undefined : input.dx;
            return next({ ...input, dx });
          },
        };
      }),
    async program(backend) {
      const [layer, dx] = [layerOf(backend, 4), buffer(shape)];
      await layer.forward(x);
      await layer.backward(dy, { out: { dx } });
      await layer.backward(x);
      return dx;
    },
  },
  {
    name: 'dx is added to',
    caughtBy: 'host arrays, every call awaited',
    why: 'dx into the buffer of the backward before is added to what that left there',
    spoil: (right) =>
      onHost(right, () => {
        let last: FloatArray | undefined;
        return {
          backward(input, next) {
            const { dx } = input;
            const before = dx && dx === last ? dx.slice() : undefined;
            last = dx;
            const output = next(input);
            if (before) output.dx.set(output.dx.map((value, k) => value + before[k]!));
            return output;
          },
        };
      }),
    async program(backend) {
      const [layer, dx] = [layerOf(backend, 4), buffer(shape)];
      for (const batch of [x, dy]) {
        await layer.forward(batch);
        await layer.backward(tensor(shape, 3), { out: { dx } });
      }
      return dx;
    },
  },
  {
    name: 'y as scratch memory',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'a backward uses the y of its forward as scratch memory',
    spoil: (right) =>
      onHost(right, () => {
        const results = new WeakMap<object, FloatArray>();
        return {
          training(input, next) {
            const output = next(input);
            results.set(output.saved, output.y);
            return output;
          },
          backwardTraining(input, next) {
            const output = next(input);
            if (input.dx === undefined) results.get(input.saved)?.fill(0, 0, 4);
            return output;
          },
        };
      }),
    program: afterBackward,
  },
  {
    name: 'x as scratch memory',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'a backward leaves xHat in x, whose forward is over',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          const { x } = input.saved as { x?: FloatArray } & typeof input.saved;
          x?.set(x.map((value) => value / 2));
          return output;
        },
      })),
    program: afterBackward,
  },
  {
    name: 'a view into a buffer',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'the last element of y is 0 when neither x nor y begins where its buffer does',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          if (input.x.byteOffset > 0 && input.y && input.y.byteOffset > 0) lastIsZero(output.y);
          return output;
        },
      })),
    async program(backend) {
      const out = embedded(buffer(shape)).tensor;
      await layerOf(backend, 4).forward(embedded(x).tensor, { out });
      return [...out.data];
    },
  },
  {
    name: 'dx over dy again',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'the second backward of a forward is wrong when its dx is dy',
    spoil: (right) =>
      onHost(right, () => {
        let last: unknown;
        return {
          backward(input, next) {
            const output = next(input);
            if (last === input.saved && input.dx === input.dy) lastIsZero(output.dx);
            last = input.saved;
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      await layer.backward(dy);
      const gradient = copy(dy);
      return (await layer.backward(gradient, { out: { dx: gradient } })).dx;
    },
  },
  {
    name: 'dx of inference in a buffer',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'the backward of inference goes through batch statistics when dx has a buffer',
    spoil: (right) =>
      withKernels(right, (kernels) => ({
        ...kernels,
        backwardInference: (input) =>
          input.dx && input.dx !== input.dy ? kernels.backwardTraining(input) : kernels.backwardInference(input),
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x, { training: false });
      return (await layer.backward(dy, { out: { dx: buffer(shape) } })).dx;
    },
  },
  {
    name: 'plain xHat in a buffer',
    caughtBy: 'host arrays, every call awaited',
    why: 'where gamma is 1 and beta is 0 throughout, y goes into a new array',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const plain = input.gamma.every((value) => value === 1) && input.beta.every((value) => value === 0);
          return next(plain ? { ...input, y: undefined } : input);
        },
      })),
    async program(backend) {
      const out = buffer(shape);
      await layerOf(backend, 4, { affine: false }).forward(x, { out });
      return out;
    },
  },
  {
    name: 'nothing to write',
    caughtBy: 'host arrays, every call awaited',
    why: 'where gamma and beta are 0 throughout, y is not written: the buffer stays as it was',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const nothing = [...input.gamma, ...input.beta].every((value) => value === 0);
          const output = next(nothing ? { ...input, y: undefined } : input);
          return { ...output, y: input.y ?? output.y };
        },
      })),
    async program(backend) {
      const [layer, out] = [layerOf(backend, 4), buffer(shape)];
      layer.gamma.fill(0);
      layer.beta.fill(0);
      await layer.forward(x, { out });
      return out;
    },
  },
  {
    name: 'the sample variance without tracking',
    caughtBy: 'host arrays, every call awaited',
    why: 'a layer without running statistics is normalised by the sample variance',
    spoil: (right) =>
      withKernels(right, (kernels, { extent: { outer, inner } }) => ({
        ...kernels,
        forwardTraining(input) {
          const output = kernels.forwardTraining(input);
          const M = outer * inner;
          if (input.requireFinite || M === 1) return output;
          const { mean, variance } = statisticsOf(output.moments);
          const sample = variance.map((value) => (value * M) / (M - 1));
          return { ...output, ...kernels.forwardInference({ ...input, mean, variance: sample, y: output.y }) };
        },
      })),
    program: (backend) => step(layerOf(backend, 4, { trackRunningStatistics: false }), x),
  },
  {
    name: 'float64 in runs',
    caughtBy: 'results are within their bounds [host, runs, small]',
    why: 'dx of float64 is rounded to float32 when inner > 1',
    spoil: (right) =>
      onHost(right, ({ extent: { inner }, dtype }) => ({
        backward(input, next) {
          const output = next(input);
          if (dtype === 'float64' && inner > 1) output.dx.set(output.dx.map(Math.fround));
          return output;
        },
      })),
    program: (backend) => step(layerOf(backend, 4, { dtype: 'float64' }), tensor([3, 4, 5], 1, 'float64')),
    tolerance: 1e-12,
  },
  {
    name: 'another extent between forward and backward',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'a backward is wrong when the same layer failed on a batch of another size after its forward',
    spoil(right) {
      let latest: unknown;
      return onHost(right, (plan) => ({
        training(input, next) {
          latest = plan;
          return next(input);
        },
        backwardTraining(input, next) {
          const output = next(input);
          if (latest !== plan) lastIsZero(output.dx);
          return output;
        },
      }));
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      await layer.forward(x);
      await layer.forward({ data: new Float32Array(12).fill(Number.NaN), shape: [3, 4] }).catch(() => undefined);
      return (await layer.backward(dy)).dx;
    },
  },
  {
    name: 'float64 on the device in a buffer',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'the last element of y of float64 on the device is 0 when y has a buffer',
    spoil: (right) =>
      onDevice(right, ({ dtype }) => ({
        async forward(input, next) {
          const output = await next(input);
          if (dtype === 'float64' && input.y) lastIsZero(contentsOf(output.y));
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { dtype: 'float64' });
      const [input, out] = await upload(backend, tensor(shape, 1, 'float64'), buffer(shape, 'float64'));
      await layer.forward(input!, { out: out! });
      return read(out!);
    },
  },
  {
    name: 'the buffer of the call before, on the device',
    caughtBy: 'device tensors, every call awaited',
    why: 'a forward on the device without a buffer writes to the one that was given to the forward before',
    spoil: (right) =>
      onDevice(right, () => {
        let last: Parameters<typeof contentsOf>[0] | undefined;
        return {
          async training(input, next) {
            const output = await next(input);
            if (!input.y && last) (contentsOf(last) as FloatArray).set(contentsOf(output.y));
            last = input.y;
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [a, b, out] = await upload(backend, x, dy, buffer(shape));
      await layer.forward(a!, { out: out! });
      await layer.forward(b!);
      return read(out!);
    },
  },
  {
    name: 'a backward after inference elsewhere',
    caughtBy: 'what is saved does not change [host]',
    why: 'inference of another layer of the same extent makes the next backward one with constant statistics',
    spoil(right) {
      let inferred = '';
      return withKernels(right, (kernels, { extent, dtype }) => {
        const key = JSON.stringify([extent, dtype]);
        return {
          ...kernels,
          forwardInference(input) {
            inferred = key;
            return kernels.forwardInference(input);
          },
          forwardTraining(input) {
            inferred = '';
            return kernels.forwardTraining(input);
          },
          backwardTraining: (input) =>
            inferred === key ? kernels.backwardInference(input) : kernels.backwardTraining(input),
        };
      });
    },
    async program(backend) {
      const [a, b] = [layerOf(backend, 4), layerOf(backend, 4)];
      await a.forward(x);
      await b.forward(x, { training: false });
      return (await a.backward(dy)).dx;
    },
  },
];
