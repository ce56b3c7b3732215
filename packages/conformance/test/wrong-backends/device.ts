// Wrong on the device: about tensors, their memory, what is read of them and when.
import {
  type Backend,
  BatchNormError,
  type DeviceTensor,
  type FloatArray,
  type Moments,
  type OnDevice,
} from '@batchnorm/core-api';
import { buffer, codeOf, deviceStep, embedded, layerOf, read, running, step, tensor, upload } from './programs.js';
import {
  contentsOf,
  copyOfMoments,
  createRightBackend,
  type RightBackend,
  type RightSaved,
  Stored,
  type StoredTensor,
} from './right-backend.js';
import { adapt, changed, everyTensor, onDevice, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const [x, dy] = [tensor(shape), tensor(shape, 2)];

/** Everything that a call into given device memory leaves behind. */
async function intoBuffers(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const [input, gradient, y, dx, z] = (await upload(backend, x, dy, buffer(shape), buffer(shape), x)) as DeviceTensor[];
  await layer.forward(input!, { out: y! });
  const first = await layer.backward(gradient!, { out: { dx: dx! } });
  const seen = await read(y!, dx!, first.dgamma, first.dbeta);
  await layer.forward(z!, { training: false, out: z! });
  await layer.forward(input!, { training: false, out: y! });
  const second = await layer.backward(gradient!, { out: { dx: gradient! } });
  return [...seen, ...(await read(z!, y!, gradient!, input!, second.dgamma))];
}

/** A step, at the end of which x, y and the gradients are read. */
async function training(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const seen = [await deviceStep(layer, x), await deviceStep(layer, dy)];
  await layer.settle();
  return [...seen, running(layer)];
}

/** Every y on the device that is new is changed. */
const everyY = (right: RightBackend, change: (y: StoredTensor, x: StoredTensor) => object): Backend =>
  onDevice(right, () => ({
    async forward(input, next) {
      const output = await next(input);
      return input.y
        ? output
        : { ...output, y: changed(output.y, change(output.y as StoredTensor, input.x as StoredTensor)) };
    },
  }));

/** Moments of a batch on the device are changed. */
const everyBatch = (right: RightBackend, change: (moments: Stored<Moments>, x: StoredTensor) => object): Backend =>
  onDevice(right, () => ({
    async training(input, next) {
      const output = await next(input);
      const moments = output.moments as Stored<Moments>;
      return { ...output, moments: changed(moments, change(moments, input.x as StoredTensor)) };
    },
  }));

export const device: readonly WrongBackend[] = [
  {
    name: 'out on the device is ignored',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'y on the device is always a new tensor',
    spoil: (right) => onDevice(right, () => ({ forward: (input, next) => next({ ...input, y: undefined }) })),
    program: intoBuffers,
  },
  {
    name: 'out of inference on the device is ignored',
    caughtBy: 'out receives the results [device, rows, small]',
    why: 'y of inference on the device is a new tensor, unless it is x',
    spoil: (right) =>
      onDevice(right, () => ({
        inference: (input, next) => next(input.y === input.x ? input : { ...input, y: undefined }),
      })),
    program: intoBuffers,
  },
  {
    name: 'dx on the device is ignored',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'dx on the device is always a new tensor',
    spoil: (right) => onDevice(right, () => ({ backward: (input, next) => next({ ...input, dx: undefined }) })),
    program: intoBuffers,
  },
  {
    name: 'dx over dy on the device',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'the last row of dx is 0 on the device when dx is dy',
    spoil: (right) =>
      onDevice(right, ({ extent: { channels } }) => ({
        async backward(input, next) {
          const output = await next(input);
          if (input.dx === input.dy) contentsOf(output.dx).fill(0, contentsOf(output.dx).length - channels);
          return output;
        },
      })),
    program: intoBuffers,
  },
  {
    name: 'in place on the device',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'inference in place on the device leaves the first element of x',
    spoil: (right) =>
      onDevice(right, () => ({
        async inference(input, next) {
          const first = contentsOf(input.x)[0]!;
          const output = await next(input);
          if (input.y === input.x) contentsOf(output.y)[0] = first;
          return output;
        },
      })),
    program: intoBuffers,
  },
  {
    name: 'the device from 65,536 elements on',
    caughtBy: '100,000 rows',
    why: 'elements of y from 65,536 on are 0 on the device',
    spoil: (right) =>
      onDevice(right, () => ({
        async forward(input, next) {
          const output = await next(input);
          contentsOf(output.y).fill(0, 65536);
          return output;
        },
      })),
    program: (backend) => deviceStep(layerOf(backend, 4), tensor([16385, 4])),
  },
  {
    name: 'dx on the device from 2^18 elements on',
    caughtBy: 'results are within their bounds [device, runs, elements]',
    why: 'elements of dx from 262,144 on are 0 on the device, where runs are at least two long',
    spoil: (right) =>
      onDevice(right, ({ extent: { inner } }) => ({
        async backward(input, next) {
          const output = await next(input);
          if (inner > 1) contentsOf(output.dx).fill(0, 2 ** 18);
          return output;
        },
      })),
    program: (backend) => deviceStep(layerOf(backend, 4), tensor([8193, 4, 8])),
  },
  {
    name: 'gamma of the first forward on the device',
    caughtBy: 'several saved forwards are alive at once [device]',
    why: 'gamma and beta are uploaded once',
    spoil: (right) =>
      onDevice(right, () => {
        let first: { gamma: Float64Array; beta: Float64Array } | undefined;
        return {
          forward(input, next) {
            first ??= { gamma: input.gamma.slice(), beta: input.beta.slice() };
            return next({ ...input, ...first });
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [await deviceStep(layer, x)];
      layer.gamma.fill(0.5);
      return [...seen, await deviceStep(layer, x)];
    },
  },
  {
    name: 'gamma when backward comes, on the device',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'keeps gamma by reference on the device',
    spoil: (right) =>
      onDevice(right, () => ({
        async training(input, next) {
          const output = await next(input);
          return { ...output, saved: Object.assign(output.saved, { gamma: input.gamma }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      layer.gamma.fill(0.5);
      return (await layer.backward(gradient!)).dx.read();
    },
  },
  {
    name: 'a batch that is not finite passes',
    caughtBy: 'a batch that is not finite changes nothing [device, rows, small]',
    why: 'statistics that are read from the device have 0 in the place of NaN: such a batch is folded in, and nobody knows',
    spoil: (right) =>
      everyBatch(right, (moments) => {
        const finite = (values: Float64Array) => values.map((value) => (Number.isFinite(value) ? value : 0));
        return {
          async read() {
            const { count, mean, m2 } = contentsOf(moments);
            return { count, mean: finite(mean), m2: finite(m2) };
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input] = await upload(backend, { data: x.data.slice().fill(Number.NaN, 0, 1), shape });
      await layer.forward(input!);
      return [await codeOf(() => layer.settle()), running(layer), layer.batchesTracked];
    },
  },
  {
    name: 'a batch that is not finite ends it',
    caughtBy: 'NaN stays in its channel [device, rows, small]',
    why: 'a training forward on the device fails when its batch is not finite, which only settle() may say',
    spoil: (right) =>
      onDevice(right, () => ({
        async training(input, next) {
          if (!contentsOf(input.x).every(Number.isFinite)) {
            throw new BatchNormError('NON_FINITE_STATISTICS', 'received NaN, expected none');
          }
          return next(input);
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { trackRunningStatistics: false });
      const [input] = await upload(backend, { data: x.data.slice().fill(Number.NaN, 0, 1), shape });
      return (await layer.forward(input!)).read();
    },
  },
  {
    name: 'disposed tensors are readable',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'read() of a disposed tensor answers what was in it',
    spoil: (right) =>
      everyTensor(right, (one) => {
        const elements = contentsOf(one);
        return changed(one, { read: async () => elements.slice() });
      }),
    async program(backend) {
      const [input] = await upload(backend, x);
      input!.dispose();
      return codeOf(() => input!.read());
    },
  },
  {
    name: 'a disposed dgamma is readable',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'read() of a disposed gradient answers what was in it',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          const value = contentsOf(output.dgamma);
          return { ...output, dgamma: changed(output.dgamma, { read: async () => value.slice() }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      const { dgamma } = await layer.backward(gradient!);
      dgamma.dispose();
      return codeOf(() => dgamma.read());
    },
  },
  {
    name: 'disposed is not said',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'disposed stays false, so that a disposed x is taken and fails elsewhere',
    spoil: (right) => everyTensor(right, (one) => changed(one, { disposed: false })),
    async program(backend) {
      const [input] = await upload(backend, x);
      input!.dispose();
      return [input!.disposed, await codeOf(() => layerOf(backend, 4).forward(input!))];
    },
  },
  {
    name: 'read() without a copy',
    caughtBy: 'results are the caller’s [device, rows, small]',
    why: 'read() answers the memory of the tensor: who writes to it, changes the tensor',
    spoil: (right) => everyTensor(right, (one) => changed(one, { read: async () => contentsOf(one) })),
    async program(backend) {
      const [input] = await upload(backend, x);
      (await input!.read()).fill(0);
      return input!.read();
    },
  },
  {
    name: 'read() of dgamma without a copy',
    caughtBy: 'results are the caller’s [device, rows, small]',
    why: 'read() of a gradient answers its memory: the next backward into it changes what was read',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          return { ...output, dgamma: changed(output.dgamma, { read: async () => contentsOf(output.dgamma) }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      const { dgamma } = await layer.backward(gradient!);
      (await dgamma.read()).fill(0);
      return dgamma.read();
    },
  },
  {
    name: 'one staging buffer',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'read() answers a staging buffer that the next read() of as many elements overwrites',
    spoil(right) {
      const staging = new Map<string, FloatArray>();
      return everyTensor(right, (one) =>
        changed(one, {
          async read() {
            const elements = contentsOf(one);
            const key = one.dtype + elements.length;
            const staged = staging.get(key) ?? elements.slice();
            staging.set(key, staged);
            staged.set(elements);
            return staged;
          },
        }),
      );
    },
    async program(backend) {
      const seen = [];
      for (const one of await upload(backend, x, dy)) seen.push(await one.read());
      return seen;
    },
  },
  {
    name: 'read() once',
    caughtBy: 'results are the caller’s [device, rows, small]',
    why: 'the second read() of a tensor answers zeros',
    spoil: (right) =>
      everyTensor(right, (one) => {
        let times = 0;
        return changed(one, {
          read: async () => (times++ === 0 ? contentsOf(one).slice() : contentsOf(one).map(() => 0)),
        });
      }),
    async program(backend) {
      const [input] = await upload(backend, x);
      return [await input!.read(), await input!.read()];
    },
  },
  {
    name: 'two reads at a time',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'of two reads that overlap, the first is answered with what the second is of',
    spoil(right) {
      let latest: FloatArray;
      return everyTensor(right, (one) =>
        changed(one, {
          async read() {
            latest = contentsOf(one).slice();
            const { length } = latest;
            await new Promise((resolve) => setTimeout(resolve));
            return latest.length === length ? latest.slice() : contentsOf(one).slice();
          },
        }),
      );
    },
    program: async (backend) => read(...(await upload(backend, x, dy))),
  },
  {
    name: 'y is flat',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'the shape of y is [elements]',
    spoil: (right) => everyY(right, (y) => ({ shape: [contentsOf(y).length] })),
    async program(backend) {
      const [input] = await upload(backend, x);
      return (await layerOf(backend, 4).forward(input!)).shape;
    },
  },
  {
    name: 'y has the shape of the first x of its extent',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'the shape of y is that of the first x of the kernels: [2, 4, 6] for [2, 4, 3, 2]',
    spoil: (right) =>
      onDevice(right, () => {
        let first: readonly number[] | undefined;
        return {
          async forward(input, next) {
            const output = await next(input);
            first ??= [...input.x.shape];
            return input.y ? output : { ...output, y: changed(output.y, { shape: first }) };
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [];
      for (const one of await upload(backend, tensor([2, 4, 6]), tensor([2, 4, 3, 2]))) {
        seen.push((await layer.forward(one)).shape);
      }
      return seen;
    },
  },
  {
    name: 'dx has the shape of the extent',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'the shape of dx is [outer, channels, inner]',
    spoil: (right) =>
      onDevice(right, ({ extent: { outer, channels, inner } }) => ({
        async backward(input, next) {
          const output = await next(input);
          return input.dx ? output : { ...output, dx: changed(output.dx, { shape: [outer, channels, inner] }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      return (await layer.backward(gradient!)).dx.shape;
    },
  },
  {
    name: 'all is float32',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'the dtype of y is float32 in float64 layers, too',
    spoil: (right) => everyY(right, () => ({ dtype: 'float32' })),
    async program(backend) {
      const layer = layerOf(backend, 4, { dtype: 'float64' });
      const [input] = await upload(backend, tensor(shape, 1, 'float64'));
      return (await layer.forward(input!)).dtype;
    },
  },
  {
    name: 'float64 is uploaded as float32',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'elements of a float64 tensor are rounded to float32 when they are uploaded',
    spoil: (right) =>
      everyTensor(right, (one) => {
        const elements = contentsOf(one);
        elements.set(elements.map(Math.fround));
        return one;
      }),
    async program(backend) {
      const [input] = await upload(backend, { data: Float64Array.from({ length: 24 }, (_, k) => k / 3), shape });
      return input!.read();
    },
    tolerance: 1e-12,
  },
  {
    name: "y is another backend's",
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'y says that another object made it: the next layer refuses it',
    spoil: (right) => everyY(right, () => ({ backend: { ...right } })),
    async program(backend) {
      const layers = [layerOf(backend, 4), layerOf(backend, 4)];
      const [input] = await upload(backend, x);
      const y = await layers[0]!.forward(input!);
      return (await layers[1]!.forward(y)).read();
    },
  },
  {
    name: 'dispose of y frees x',
    caughtBy: 'backward takes gamma as its forward had it [device, rows, small]',
    why: 'whoever disposes y has no x any more',
    spoil: (right) =>
      everyY(right, (y, input) => ({
        dispose() {
          Stored.prototype.dispose.call(y);
          input.dispose();
        },
      })),
    async program(backend) {
      const [input] = await upload(backend, x);
      (await layerOf(backend, 4).forward(input!)).dispose();
      return input!.read();
    },
  },
  {
    name: 'dispose of x frees y',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'y of inference is gone when x is disposed',
    spoil: (right) =>
      onDevice(right, () => ({
        async inference(input, next) {
          const output = await next(input);
          const { x, y } = input;
          if (y) return output;
          changed(x, {
            dispose() {
              Stored.prototype.dispose.call(x);
              output.y.dispose();
            },
          });
          return output;
        },
      })),
    async program(backend) {
      const [input] = await upload(backend, x);
      const y = await layerOf(backend, 4).forward(input!, { training: false });
      input!.dispose();
      return y.read();
    },
  },
  {
    name: 'a saved forward frees x',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: "the next forward disposes the x of the forward before, which is the user's",
    spoil: (right) =>
      onDevice(right, () => ({
        async forward(input, next) {
          const output = await next(input);
          const { saved } = output;
          const { dispose } = saved;
          return {
            ...output,
            saved: Object.assign(saved, {
              dispose(this: RightSaved) {
                dispose.call(this);
                input.x.dispose();
              },
            }),
          };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [a, b] = await upload(backend, x, dy);
      for (const one of [a!, b!]) await layer.forward(one);
      return read(a!, b!);
    },
  },
  {
    name: 'backward frees dy',
    caughtBy: 'inputs are never written [device, rows, small]',
    why: "a backward disposes its dy, which is the user's",
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          if (input.dx !== input.dy) input.dy.dispose();
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      await layer.backward(gradient!);
      return gradient!.read();
    },
  },
  {
    name: 'results die with their layer',
    caughtBy: 'results are the caller’s [device, rows, small]',
    why: 'when a layer is disposed, its y and gradients are',
    spoil: (right) =>
      withKernels(right, (kernels) => {
        const made: OnDevice<unknown>[] = [];
        return {
          ...kernels,
          device: {
            ...kernels.device,
            async forwardTraining(input) {
              const output = await kernels.device.forwardTraining(input);
              if (!input.y) made.push(output.y);
              return output;
            },
          },
          dispose: () => {
            for (const one of made) one.dispose();
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input] = await upload(backend, x);
      const y = await layer.forward(input!);
      await layer.dispose();
      return y.read();
    },
  },
  {
    name: 'statistics die with their kernels',
    caughtBy: 'more batch sizes than a layer keeps kernels for [device, rows, small]',
    why: 'batch statistics that wait on the device are zeros when their extent has been evicted meanwhile',
    spoil: (right) =>
      withKernels(right, (kernels) => {
        const made: Stored<Moments>[] = [];
        return {
          ...kernels,
          device: {
            ...kernels.device,
            async forwardTraining(input) {
              const output = await kernels.device.forwardTraining(input);
              made.push(output.moments as Stored<Moments>);
              return output;
            },
          },
          dispose() {
            for (const { value } of made) value?.mean.fill(0);
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (let N = 2; N < 14; N++) await layer.forward((await upload(backend, tensor([N, 4], N)))[0]!);
      await layer.settle();
      return running(layer);
    },
  },
  {
    name: 'upload by reference',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: "the device has the caller's array: who changes it after upload, changes the tensor",
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          const stored = await upload(given);
          stored.value = given.data;
          return stored;
        },
      });
    },
    async program(backend) {
      const data = x.data.slice();
      const [input] = await upload(backend, { data, shape });
      data.fill(0);
      return input!.read();
    },
  },
  {
    name: 'upload after a suspension',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'copies the elements in a later turn: who writes to the array at once, changes the tensor',
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          await null;
          return upload(given);
        },
      });
    },
    async program(backend) {
      const data = x.data.slice();
      const uploading = backend.upload({ data, shape });
      data.fill(0);
      return (await uploading).read();
    },
  },
  {
    name: 'byteOffset of an upload ignored',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'uploads from the beginning of the buffer',
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        upload({ data, shape }) {
          const Class = data.constructor as Float32ArrayConstructor;
          return upload({ data: new Class(data.buffer as ArrayBuffer, 0, data.length), shape });
        },
      });
    },
    async program(backend) {
      const [input] = await upload(backend, embedded(x).tensor);
      return input!.read();
    },
  },
  {
    name: 'all of the buffer is uploaded',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'read() answers as many elements as the buffer of the uploaded array had',
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          const stored = await upload(given);
          const { data } = given;
          if (data.byteOffset === 0)
            stored.value = new (data.constructor as Float32ArrayConstructor)(data.buffer.slice(0) as ArrayBuffer);
          return stored;
        },
      });
    },
    async program(backend) {
      const data = new Float32Array(40).subarray(0, 24);
      const [input] = await upload(backend, { data, shape });
      return (await input!.read()).length;
    },
  },
  {
    name: 'shape by reference',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: "a tensor has the caller's shape array: who changes it after upload, changes the tensor",
    spoil(right) {
      const { upload } = right;
      return adapt(right, { upload: async (given) => changed(await upload(given), { shape: given.shape }) });
    },
    async program(backend) {
      const own = [...shape];
      const [input] = await upload(backend, { data: x.data, shape: own });
      own.reverse();
      return [...input!.shape];
    },
  },
  {
    name: 'tensors of the pool have their old shape',
    caughtBy: 'device tensors, overlapping calls',
    why: 'a new tensor takes the place, and the shape, of a disposed one with as many elements',
    spoil(right) {
      const pool = new Map<number, readonly number[]>();
      return everyTensor(right, (one) => {
        const { length } = contentsOf(one);
        const shape = pool.get(length) ?? one.shape;
        pool.delete(length);
        return changed(one, {
          shape,
          dispose() {
            Stored.prototype.dispose.call(one);
            pool.set(length, shape);
          },
        });
      });
    },
    async program(backend) {
      const [first] = await upload(backend, x);
      first!.dispose();
      const [second] = await upload(backend, tensor([4, 6]));
      return [...second!.shape];
    },
  },
  {
    name: 'dispose twice',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'a tensor that is disposed twice leaves its memory to two others',
    spoil(right) {
      const pool = new Map<string, FloatArray[]>();
      return everyTensor(right, (one) => {
        const elements = contentsOf(one);
        const free = pool.get(one.dtype + elements.length) ?? [];
        pool.set(one.dtype + elements.length, free);
        const memory = free.pop() ?? elements;
        memory.set(elements);
        one.value = memory;
        return changed(one, {
          dispose() {
            Stored.prototype.dispose.call(one);
            free.push(memory);
          },
        });
      });
    },
    async program(backend) {
      const [first] = await upload(backend, x);
      first!.dispose();
      first!.dispose();
      const [a, b] = [...(await upload(backend, x)), ...(await upload(backend, dy))];
      return read(a!, b!);
    },
  },
  {
    name: 'dispose twice fails',
    caughtBy: 'what is saved does not change [device]',
    why: 'the second dispose() of a tensor throws',
    spoil: (right) =>
      everyTensor(right, (one) =>
        changed(one, {
          dispose() {
            contentsOf(one);
            Stored.prototype.dispose.call(one);
          },
        }),
      ),
    async program(backend) {
      const [input] = await upload(backend, x);
      input!.dispose();
      return codeOf(() => input!.dispose());
    },
  },
  {
    name: 'dispose of dbeta twice fails',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'the second dispose() of a gradient throws',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          const dbeta = output.dbeta as Stored<Float64Array>;
          return {
            ...output,
            dbeta: changed(dbeta, {
              dispose() {
                contentsOf(dbeta);
                Stored.prototype.dispose.call(dbeta);
              },
            }),
          };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      const { dbeta } = await layer.backward(gradient!);
      dbeta.dispose();
      return codeOf(() => dbeta.dispose());
    },
  },
  {
    name: 'y when it is read',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'y of inference is computed at its first read(), of what x holds then',
    spoil: (right) =>
      onDevice(right, () => ({
        async inference(input, next) {
          if (input.y) return next(input);
          const output = await next(input);
          const own = {
            ...input,
            gamma: input.gamma.slice(),
            beta: input.beta.slice(),
            mean: input.mean.slice(),
            variance: input.variance.slice(),
          };
          return {
            ...output,
            y: changed(output.y, {
              async read() {
                return contentsOf((await next(own)).y).slice();
              },
            }),
          };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input] = await upload(backend, x);
      const y = await layer.forward(input!, { training: false });
      await layer.forward(input!, { training: false, out: input! });
      return y.read();
    },
  },
  {
    name: 'statistics when they are read',
    caughtBy: 'statistics that wait on the device settle in order [device, rows, small]',
    why: 'batch statistics are computed when they are read, of what x holds then',
    spoil: (right) =>
      everyBatch(right, (moments, input) => ({
        async read() {
          const { count, mean, m2 } = contentsOf(moments);
          const scale = input.disposed ? 0 : 1;
          return { count, mean: mean.map((value) => value * scale), m2: m2.map((value) => value * scale) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input] = await upload(backend, x);
      await layer.forward(input!);
      input!.dispose();
      await layer.settle();
      return running(layer);
    },
  },
  {
    name: 'dbeta when it is read',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'dbeta is computed when it is read, of what dy holds then',
    spoil: (right) =>
      onDevice(right, ({ extent: { channels, inner } }) => ({
        async backward(input, next) {
          const output = await next(input);
          const { dy } = input;
          if (input.dx === dy || input.dbeta) return output;
          return {
            ...output,
            dbeta: changed(output.dbeta, {
              async read() {
                const sums = new Float64Array(channels);
                contentsOf(dy).forEach((value, k) => {
                  sums[Math.floor(k / inner) % channels]! += value;
                });
                return sums;
              },
            }),
          };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      const { dbeta } = await layer.backward(gradient!);
      await layer.forward(input!, { out: gradient! });
      return dbeta.read();
    },
  },
  {
    name: 'statistics of 32 batches',
    caughtBy: 'more batch sizes than a layer keeps kernels for [device, rows, small]',
    why: 'batch statistics lie in a ring of 32: of more that wait, the first are those of others',
    spoil(right) {
      const ring: Moments[] = [];
      let next = 0;
      return everyBatch(right, (moments) => {
        const place = next++ % 32;
        ring[place] = contentsOf(moments);
        return { read: async () => copyOfMoments(ring[place]!) };
      });
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      const inputs = await upload(backend, ...[1, 2, 3].map((seed) => tensor(shape, seed)));
      for (let n = 0; n < 40; n++) await layer.forward(inputs[n % 3]!);
      await layer.settle();
      return running(layer);
    },
  },
  {
    name: 'statistics of the latest batch',
    caughtBy: 'moments are those of the batch [device]',
    why: 'read() of batch statistics answers those of the latest forward of the backend',
    spoil(right) {
      let latest: Moments;
      return everyBatch(right, (moments) => {
        latest = contentsOf(moments);
        return {
          read: async () => (latest.mean.length === contentsOf(moments).mean.length ? latest : contentsOf(moments)),
        };
      });
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (const one of await upload(backend, x, dy)) await layer.forward(one);
      await layer.settle();
      return running(layer);
    },
  },
  {
    name: 'the host after the device',
    caughtBy: 'both kinds of memory',
    why: 'once kernels have trained on the device, y on the host is that of the device',
    spoil(right) {
      let y: FloatArray | undefined;
      onDevice(right, () => ({
        async training(input, next) {
          const output = await next(input);
          y = contentsOf(output.y).slice();
          return output;
        },
      }));
      return withKernels(right, (kernels) => ({
        ...kernels,
        forwardTraining(input) {
          const output = kernels.forwardTraining(input);
          if (y?.length === output.y.length) output.y.set(y);
          return output;
        },
      }));
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input] = await upload(backend, x);
      await layer.forward(input!);
      return step(layer, dy);
    },
  },
  {
    name: 'a backward on the device once',
    caughtBy: 'several saved forwards are alive at once [device]',
    why: 'the second backward of a forward on the device has lost its mean',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          (input.saved as RightSaved).mean.fill(0);
          return output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const [input, gradient] = await upload(backend, x, dy);
      await layer.forward(input!);
      await layer.backward(gradient!);
      return (await layer.backward(gradient!)).dx.read();
    },
  },
  {
    name: 'one saved forward on the device',
    caughtBy: 'what is saved does not change [device]',
    why: 'a backward on the device differentiates the latest forward of any layer with as many elements',
    spoil(right) {
      const latest = new Map<number, unknown>();
      return onDevice(right, ({ extent: { outer, channels, inner } }) => ({
        async forward(input, next) {
          const output = await next(input);
          latest.set(outer * channels * inner, output.saved);
          return output;
        },
        backward: (input, next) =>
          next({ ...input, saved: latest.get(outer * channels * inner) as typeof input.saved }),
      }));
    },
    async program(backend) {
      const layers = [layerOf(backend, 4), layerOf(backend, 4)];
      const inputs = await upload(backend, x, dy);
      for (const [n, layer] of layers.entries()) await layer.forward(inputs[n]!);
      return (await layers[0]!.backward(inputs[1]!)).dx.read();
    },
  },
  {
    name: 'dgamma in float32',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'read() of dgamma answers a Float32Array',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          return {
            ...output,
            dgamma: changed(output.dgamma, { read: async () => Float32Array.from(contentsOf(output.dgamma)) }),
          };
        },
      })),
    program: training,
  },
  {
    name: 'dgamma without affine parameters',
    caughtBy: 'device tensors, every call awaited',
    why: 'a layer without affine parameters fails on the device: its dgamma is an array',
    spoil: (right) =>
      onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          const ones = (input.saved as RightSaved).gamma.every((value) => value === 1);
          return ones ? { ...output, dbeta: { read: output.dbeta.read, dispose: undefined as never } } : output;
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4, { affine: false });
      return deviceStep(layer, x);
    },
  },
  {
    name: 'view() is a copy',
    caughtBy: 'a device tensor is a copy with a shape and a dtype [device, rows, small]',
    why: 'what is written to view() does not reach the tensor',
    right: () => createRightBackend({ views: true }),
    spoil: (right) => everyTensor(right, (one) => changed(one, { view: () => contentsOf(one).slice() })),
    async program(backend) {
      const [input] = await upload(backend, x);
      input!.view?.().fill(1);
      return input!.read();
    },
  },
  {
    name: 'view() of a disposed tensor',
    caughtBy: 'a tensor lives until it is disposed, and no other with it [device, rows, small]',
    why: 'view() of a disposed tensor answers what was in it',
    right: () => createRightBackend({ views: true }),
    spoil: (right) =>
      everyTensor(right, (one) => {
        const elements = contentsOf(one);
        return changed(one, { view: () => elements });
      }),
    async program(backend) {
      const [input] = await upload(backend, x);
      input!.dispose();
      return codeOf(() => input!.view?.());
    },
  },
  {
    name: 'what looks like a tensor is one',
    caughtBy: 'what only looks like a device tensor is refused [device, rows, small]',
    why: 'x on the device is whatever can be read',
    spoil: (right) =>
      onDevice(right, () => ({
        async forward(input, next) {
          if (Stored.isStored(input.x)) return next(input);
          return next({ ...input, x: await right.upload({ data: await input.x.read(), shape: input.x.shape }) });
        },
      })),
    async program(backend) {
      const { dtype, shape } = await backend.upload(x);
      const forged = { backend, dtype, shape, disposed: false, read: () => x.data, dispose: () => undefined };
      return codeOf(() => layerOf(backend, 4).forward(forged));
    },
  },
  {
    name: 'a tensor of no elements has one',
    caughtBy: 'a batch without values may pass [device, rows, small]',
    why: 'what is uploaded without elements is read as one zero: no texture is empty',
    spoil: (right) =>
      everyTensor(right, (one) =>
        contentsOf(one).length > 0 ? one : changed(one, { read: async () => Float32Array.of(0) }),
      ),
    program: async (backend) => (await backend.upload({ data: new Float32Array(0), shape: [0, 4] })).read(),
  },
  {
    name: 'statistics are read once',
    caughtBy: 'a pass tells the statistics of its batch [device, rows, small]',
    why: 'batch statistics are zeros for who reads them after somebody else: their staging buffer is handed out',
    spoil: (right) =>
      onDevice(right, () => ({
        async training(input, next) {
          const output = await next(input);
          let isRead = false;
          const read = async (): Promise<Moments> => {
            const { count, mean, m2 } = copyOfMoments(contentsOf(output.moments));
            if (isRead) for (const vector of [mean, m2]) vector.fill(0);
            isRead = true;
            return { count, mean, m2 };
          };
          return { ...output, moments: changed(output.moments, { read }) };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const pass = await layer.forwardPass(await backend.upload(x));
      await layer.settle();
      return pass.statistics();
    },
  },
];
