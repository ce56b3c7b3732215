// Wrong about memory: something stays behind, on the host, as plain objects or on the device.
import type { Backend, DeviceTensor, Moments } from '@batchnorm/core-api';
import { codeOf, deviceStep, layerOf, leaks, step, tensor, upload } from './programs.js';
import type { RightSaved, Stored } from './right-backend.js';
import { adapt, onDevice, onHost, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

/** 32 KB in float32. */
const shape = [64, 128];
const x = tensor(shape);

/** Whether memory grows by training. */
const training = (backend: Backend) => {
  const layer = layerOf(backend, 128);
  return leaks(200, () => step(layer, x));
};

/** Whether memory grows by layers that are made and disposed. */
const layers = (backend: Backend) =>
  leaks(200, async () => {
    const layer = layerOf(backend, 128);
    await step(layer, x);
    await layer.dispose();
  });

const inference = (backend: Backend) => {
  const layer = layerOf(backend, 128);
  return leaks(200, () => layer.forward(x, { training: false }));
};

const trainingOnDevice = (backend: Backend) => {
  const layer = layerOf(backend, 128);
  return leaks(200, async () => {
    await deviceStep(layer, x);
    await layer.settle();
  });
};

export const memory: readonly WrongBackend[] = [
  {
    name: 'every y is remembered',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'each training forward leaves its y behind',
    spoil(right) {
      const kept: unknown[] = [];
      return onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          kept.push(output.y.slice());
          return output;
        },
      }));
    },
    program: training,
  },
  {
    name: 'every tenth x is remembered',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'every tenth training forward leaves a copy of x behind',
    spoil(right) {
      const kept: unknown[] = [];
      let calls = 0;
      return onHost(right, () => ({
        training(input, next) {
          if (++calls % 10 === 0) kept.push(input.x.slice());
          return next(input);
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 128);
      return leaks(800, () => step(layer, x));
    },
  },
  {
    name: 'a record of each step',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'each training forward leaves a plain object with its mean behind',
    spoil(right) {
      const records: unknown[] = [];
      return onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          records.push({ mean: [...output.moments.mean], m2: [...output.moments.m2] });
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 512);
      return leaks(500, () => step(layer, tensor([2, 512])));
    },
  },
  {
    name: 'a line for each backward',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'each backward leaves a line of text behind',
    spoil(right) {
      const lines: string[] = [];
      return onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          lines.push(`backward ${lines.length}: ${output.dgamma.join(' ')}`);
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 512);
      return leaks(500, () => step(layer, tensor([2, 512])));
    },
  },
  {
    name: 'saved forwards are never let go',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'dispose() of a saved forward does nothing, and the kernels hold all of them',
    spoil: (right) =>
      onHost(right, () => {
        const all: unknown[] = [];
        return {
          forward(input, next) {
            const output = next({ ...input, x: input.x.slice() });
            all.push(output.saved);
            return { ...output, saved: Object.assign(output.saved, { dispose() {} }) };
          },
        };
      }),
    program: training,
  },
  {
    name: 'saved forwards of inference are never let go',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'what inference keeps for a backward that never comes stays',
    spoil: (right) =>
      onHost(right, () => {
        const all: unknown[] = [];
        return {
          inference(input, next) {
            const output = next({ ...input, x: input.x.slice() });
            all.push(output.saved);
            return { ...output, saved: Object.assign(output.saved, { dispose() {} }) };
          },
        };
      }),
    program: inference,
  },
  {
    name: 'saved forwards are let go by backward alone',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'a forward without a backward leaves what it kept behind',
    spoil: (right) =>
      onHost(right, () => {
        const pending = new Set<unknown>();
        return {
          forward(input, next) {
            const output = next(input);
            pending.add({ saved: output.saved, x: input.x.slice() });
            return output;
          },
          backward(input, next) {
            for (const one of pending) pending.delete(one);
            return next(input);
          },
        };
      }),
    program: inference,
  },
  {
    name: 'x after dispose',
    beyond: 'at most 256 batches stay, which no count of steps shows',
    why: 'a disposed saved forward keeps its x, in a pool of 256',
    spoil: (right) =>
      onHost(right, () => {
        const pool: unknown[] = [];
        return {
          forward(input, next) {
            const output = next(input);
            pool.push(input.x);
            if (pool.length > 256) pool.shift();
            return output;
          },
        };
      }),
    program: (backend) => {
      const layer = layerOf(backend, 128);
      return leaks(260, () => step(layer, { data: x.data.slice(), shape }));
    },
  },
  {
    name: 'kernels are never let go',
    caughtBy: 'kernels and layers leave nothing behind [host, rows, small]',
    why: 'the backend holds the scratch memory of all kernels, disposed or not',
    spoil(right) {
      const all: unknown[] = [];
      return withKernels(right, (kernels, { extent: { outer, channels, inner } }) => {
        all.push(new Float32Array(outer * channels * inner));
        return kernels;
      });
    },
    program: layers,
  },
  {
    name: 'plain objects of disposed kernels',
    caughtBy: 'kernels and layers leave nothing behind [host, rows, small]',
    why: 'the backend keeps a list of the plans that were prepared, with the sizes of each channel',
    spoil(right) {
      const plans: unknown[] = [];
      return withKernels(right, (kernels, plan) => {
        plans.push({ plan, offsets: Array.from({ length: plan.extent.channels }, (_, c) => c + 0.5) });
        return kernels;
      });
    },
    program: (backend) =>
      leaks(1000, async () => {
        const layer = layerOf(backend, 512);
        await layer.forward(tensor([2, 512]));
        await layer.dispose();
      }),
  },
  {
    name: 'evicted kernels',
    caughtBy: 'kernels and layers leave nothing behind [host, rows, small]',
    why: 'memory of kernels goes when their layer is disposed, not when their extent is evicted',
    spoil(right) {
      const byChannels = new Map<number, unknown[]>();
      return withKernels(right, (kernels, { extent: { outer, channels, inner } }) => {
        const all = byChannels.get(channels) ?? [];
        byChannels.set(channels, all);
        all.push(new Float32Array(outer * channels * inner));
        let gone = 0;
        return {
          ...kernels,
          dispose() {
            kernels.dispose();
            if (++gone === all.length) all.length = 0;
          },
        };
      });
    },
    program: (backend) => {
      const layer = layerOf(backend, 128);
      let N = 2;
      return leaks(200, () => step(layer, tensor([N++, 128])));
    },
  },
  {
    name: 'a backward leaves dx',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'each backward without a buffer for dx leaves dx behind',
    spoil(right) {
      const kept: unknown[] = [];
      return onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          if (!input.dx) kept.push(output.dx);
          return output;
        },
      }));
    },
    program: training,
  },
  {
    name: 'buffers are remembered',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'every buffer for y stays in a map of those that were given',
    spoil(right) {
      const known = new Map<unknown, number>();
      return onHost(right, () => ({
        forward(input, next) {
          if (input.y) known.set(input.y, (known.get(input.y) ?? 0) + 1);
          return next(input);
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 128);
      return leaks(200, () => layer.forward(x, { out: { data: new Float32Array(x.data.length), shape } }));
    },
  },
  {
    name: 'failures leave something',
    caughtBy: '1,000 steps leave nothing behind [host, rows, small]',
    why: 'a training forward that fails leaves the y that it had begun behind',
    spoil(right) {
      const begun = new Set<unknown>();
      return onHost(right, () => ({
        training(input, next) {
          const y = new Float32Array(input.x.length);
          begun.add(y);
          const output = next(input);
          begun.delete(y);
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 128);
      const wrong = { data: x.data.slice().fill(Number.NaN, 0, 1), shape };
      return leaks(200, () => codeOf(() => layer.forward(wrong)));
    },
  },
  {
    name: 'tensors on the device are never let go',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'dispose() of an uploaded tensor does not free its memory',
    spoil(right) {
      const { upload } = right;
      const all: unknown[] = [];
      return adapt(right, {
        async upload(given) {
          const stored = await upload(given);
          all.push(stored.value);
          return stored;
        },
      });
    },
    program: (backend) =>
      leaks(200, async () => {
        for (const one of await upload(backend, x)) one.dispose();
      }),
  },
  {
    name: 'results on the device are never let go',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'dispose() of y on the device does not free its memory',
    spoil(right) {
      const all: unknown[] = [];
      return onDevice(right, () => ({
        async forward(input, next) {
          const output = await next(input);
          if (!input.y) all.push((output.y as DeviceTensor & Stored<unknown>).value);
          return output;
        },
      }));
    },
    program: trainingOnDevice,
  },
  {
    name: 'gradients on the device are never let go',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'dispose() of dgamma on the device does not free its memory',
    spoil(right) {
      const all: unknown[] = [];
      return onDevice(right, () => ({
        async backward(input, next) {
          const output = await next(input);
          all.push((output.dgamma as Stored<unknown>).value);
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 4096);
      return leaks(200, () => deviceStep(layer, tensor([1, 4096])));
    },
  },
  {
    name: 'statistics on the device are never let go',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'batch statistics stay on the device when they have been read and disposed',
    spoil(right) {
      const all: unknown[] = [];
      return onDevice(right, () => ({
        async training(input, next) {
          const output = await next(input);
          all.push((output.moments as Stored<unknown>).value);
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 4096);
      return leaks(200, async () => {
        await deviceStep(layer, tensor([1, 4096]));
        await layer.settle();
      });
    },
  },
  {
    name: 'statistics that nobody reads',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'batch statistics on the device are freed when they are read, not when they are disposed',
    spoil(right) {
      const unread = new Set<unknown>();
      return onDevice(right, () => ({
        async training(input, next) {
          const output = await next(input);
          const moments = output.moments as Stored<Moments>;
          const { value } = moments;
          unread.add(value);
          const readThen = moments.read.bind(moments);
          return {
            ...output,
            moments: Object.assign(moments, {
              read() {
                unread.delete(value);
                return readThen();
              },
            }),
          };
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 4096, { trackRunningStatistics: false });
      return leaks(200, () => deviceStep(layer, tensor([1, 4096])));
    },
  },
  {
    name: 'saved forwards on the device are never let go',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'dispose() of a saved forward on the device does not free its copies',
    spoil(right) {
      const all: unknown[] = [];
      return onDevice(right, () => ({
        async forward(input, next) {
          const output = await next(input);
          const { mean, invStd } = output.saved as RightSaved;
          all.push([mean, invStd]);
          return output;
        },
      }));
    },
    program: (backend) => {
      const layer = layerOf(backend, 4096);
      return leaks(200, () => deviceStep(layer, tensor([1, 4096])));
    },
  },
  {
    name: 'staging of uploads',
    caughtBy: '1,000 steps leave nothing behind [device, rows, small]',
    why: 'every upload leaves a plain array behind',
    spoil(right) {
      const { upload } = right;
      const all: unknown[] = [];
      return adapt(right, {
        upload(given) {
          all.push(Array.from(given.data.subarray(0, 1024)));
          return upload(given);
        },
      });
    },
    program: trainingOnDevice,
  },
];
