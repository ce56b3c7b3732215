// Wrong about refusals and about what a backend says of itself.
import { type Backend, BatchNormError, type ErrorCode } from '@batchnorm/core-api';
import { codeOf, layerOf, step, tensor, upload } from './programs.js';
import { createRightBackend, type RightBackend } from './right-backend.js';
import { adapt, onDevice, onHost, wholeKernels, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [8, 4];
const x = tensor(shape);
const extent = { outer: 8, channels: 4, inner: 1 };
const notFinite = { data: x.data.slice().fill(Number.NaN, 5, 6), shape };
const small = () => createRightBackend({ limit: 1000 });

/** What each call of a disposed backend fails with. */
async function disposed(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  await layer.forward(x);
  const [input] = backend.capabilities.deviceTensors ? await upload(backend, x) : [];
  if (input) await layer.forward(input);
  await layer.forward(x);
  await backend.dispose();
  return {
    prepare: await codeOf(() => backend.prepare({ extent, dtype: 'float32' })),
    upload: await codeOf(() => backend.upload(x)),
    backward: await codeOf(() => layer.backward(x)),
    training: await codeOf(() => layer.forward(x)),
    inference: await codeOf(() => layer.forward(x, { training: false })),
    device: input && (await codeOf(() => layer.forward(input))),
    again: await codeOf(() => backend.dispose()),
  };
}

async function refused(backend: Backend): Promise<unknown> {
  const layer = layerOf(backend, 4);
  const out = { data: x.data.slice().fill(7), shape };
  return [await codeOf(() => layer.forward(notFinite, { out })), out];
}

/** What is answered at the limit, and what beyond it. */
async function limits(backend: Backend): Promise<unknown> {
  const { elements } = backend.capabilities.limits;
  const codes = [];
  for (const n of [elements, elements + 1]) {
    codes.push(await codeOf(() => backend.prepare({ extent: { outer: n, channels: 1, inner: 1 }, dtype: 'float32' })));
    codes.push(await codeOf(() => layerOf(backend, 1).forward(tensor([n, 1]))));
    codes.push(await codeOf(() => backend.upload(tensor([n, 1]))));
  }
  return codes;
}

const says = (right: RightBackend, capabilities: Partial<Backend['capabilities']>): Backend =>
  adapt(right, { capabilities: { ...right.capabilities, ...capabilities } });

/** After dispose, `call` works as before. */
const survives =
  (call: 'prepare' | 'upload'): WrongBackend['spoil'] =>
  (right) => {
    const other = createRightBackend();
    return adapt(right, { [call]: (given: never) => other[call](given) });
  };

export const errors: readonly WrongBackend[] = [
  {
    name: 'prepare after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'a disposed backend goes on preparing kernels',
    spoil: survives('prepare'),
    program: disposed,
  },
  {
    name: 'upload after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'a disposed backend goes on uploading',
    spoil(right) {
      const { dispose, upload } = right;
      let gone = false;
      return adapt(right, {
        upload: (given) => (gone ? createRightBackend().upload(given) : upload(given)),
        dispose() {
          gone = true;
          dispose();
        },
      });
    },
    program: disposed,
  },
  {
    name: 'kernels after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'kernels that are there go on when their backend has been disposed',
    spoil(right) {
      const { prepare, upload } = right;
      let gone = false;
      const refuse = <T>(call: () => T): T => {
        if (gone) throw new BatchNormError('DISPOSED', 'received a call after dispose(), expected none');
        return call();
      };
      return adapt(right, {
        prepare: (plan) => refuse(() => prepare(plan)),
        upload: (given) => refuse(() => upload(given)),
        dispose() {
          gone = true;
        },
      });
    },
    program: disposed,
  },
  {
    name: 'backward after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'kernels refuse forwards of a disposed backend, but not backwards',
    spoil(right) {
      return withKernels(right, (kernels, plan) => {
        const { backwardTraining, backwardInference } = wholeKernels(createRightBackend().prepare(plan));
        return { ...kernels, backwardTraining, backwardInference };
      });
    },
    program: disposed,
  },
  {
    name: 'inference after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'kernels refuse training of a disposed backend, but not inference',
    spoil(right) {
      return withKernels(right, (kernels, plan) => {
        const { forwardInference } = wholeKernels(createRightBackend().prepare(plan));
        return { ...kernels, forwardInference };
      });
    },
    program: disposed,
  },
  {
    name: 'dispose without a code',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'a disposed backend fails with errors that have no code',
    spoil(right) {
      const { prepare, dispose } = right;
      let gone = false;
      return adapt(right, {
        prepare(plan) {
          if (gone) throw new Error('disposed');
          return prepare(plan);
        },
        dispose() {
          gone = true;
          dispose();
        },
      });
    },
    program: disposed,
  },
  {
    name: 'UNSUPPORTED after dispose',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'upload of a disposed backend fails with UNSUPPORTED',
    spoil(right) {
      const { upload, dispose } = right;
      let gone = false;
      return adapt(right, {
        async upload(given) {
          if (gone) throw new BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors');
          return upload(given);
        },
        dispose() {
          gone = true;
          dispose();
        },
      });
    },
    program: disposed,
  },
  {
    name: 'dispose once',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'the second dispose fails with DISPOSED',
    spoil(right) {
      const { prepare, dispose } = right;
      return adapt(right, {
        dispose() {
          prepare({ extent, dtype: 'float32' });
          dispose();
        },
      });
    },
    program: disposed,
  },
  {
    name: 'not finite without a code',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'a batch that is not finite is refused with an error without a code',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          try {
            return next(input);
          } catch (error) {
            throw new RangeError(`${error}`);
          }
        },
      })),
    program: refused,
  },
  {
    name: 'not finite with another code',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'a batch that is not finite is refused with INVALID_TENSOR',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          try {
            return next(input);
          } catch (error) {
            throw new BatchNormError('INVALID_TENSOR' satisfies ErrorCode, `${error}`);
          }
        },
      })),
    program: refused,
  },
  {
    name: 'a failure that has written',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'a batch that is not finite is refused when y has been written',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          if (input.y) next({ ...input, requireFinite: false });
          return next(input);
        },
      })),
    program: refused,
  },
  {
    name: 'a failure that has begun',
    caughtBy: 'a batch that is not finite changes nothing [host, rows, small]',
    why: 'before a batch is refused, the last element of y has been set to 0',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          if (input.y) input.y[input.y.length - 1] = 0;
          return next(input);
        },
      })),
    program: refused,
  },
  {
    name: 'not finite is always refused',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'requireFinite counts as true: a layer without running statistics refuses NaN',
    spoil: (right) => onHost(right, () => ({ training: (input, next) => next({ ...input, requireFinite: true }) })),
    program: async (backend) => {
      const layer = layerOf(backend, 4, { trackRunningStatistics: false });
      return codeOf(() => layer.forward(notFinite));
    },
  },
  {
    name: 'inference refuses NaN',
    caughtBy: 'NaN stays in its channel [host, rows, small]',
    why: 'inference fails when x is not finite',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          if (!input.x.every(Number.isFinite)) throw new BatchNormError('NON_FINITE_STATISTICS', 'received NaN');
          return next(input);
        },
      })),
    program: (backend) => codeOf(() => layerOf(backend, 4).forward(notFinite, { training: false })),
  },
  {
    name: 'more than the limit is uploaded',
    caughtBy: 'limits.elements [host, rows, small]',
    why: 'upload does not refuse more elements than the limit',
    right: small,
    spoil(right) {
      const other = createRightBackend();
      const { upload } = right;
      return adapt(right, {
        upload: (given) => (given.data.length > 1000 ? other.upload(given) : upload(given)),
      });
    },
    program: limits,
  },
  {
    name: 'more than the limit is prepared',
    caughtBy: 'a disposed backend [host, rows, small]',
    why: 'prepare does not refuse an extent beyond the limit',
    right: small,
    spoil: survives('prepare'),
    program: limits,
  },
  {
    name: 'the limit is refused',
    caughtBy: 'limits.elements [host, rows, small]',
    why: 'as many elements as the limit says are refused, too',
    right: small,
    spoil(right) {
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          const { outer, channels, inner } = plan.extent;
          if (outer * channels * inner >= 1000) throw new BatchNormError('LIMIT_EXCEEDED', 'received too much');
          return prepare(plan);
        },
      });
    },
    program: limits,
  },
  {
    name: 'less than the limit is refused',
    caughtBy: '100,000 rows',
    why: 'says 2^28 elements, and refuses more than 65,536',
    spoil(right) {
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          const { outer, channels, inner } = plan.extent;
          if (outer * channels * inner > 65536) throw new BatchNormError('LIMIT_EXCEEDED', 'received too much');
          return prepare(plan);
        },
      });
    },
    program: (backend) => codeOf(() => layerOf(backend, 4).forward(tensor([16385, 4]))),
  },
  {
    name: 'a large limit is refused',
    caughtBy: 'limits.elements [host, rows, small]',
    why: 'says 300,000 elements, and refuses exactly as many',
    right: () => createRightBackend({ limit: 300_000 }),
    spoil(right) {
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          const { outer, channels, inner } = plan.extent;
          if (outer * channels * inner >= 300_000) throw new BatchNormError('LIMIT_EXCEEDED', 'received too much');
          return prepare(plan);
        },
      });
    },
    program: (backend) => codeOf(() => layerOf(backend, 4).forward(tensor([75_000, 4]))),
  },
  {
    name: 'the limit without a code',
    caughtBy: 'limits.elements [host, rows, small]',
    why: 'an upload beyond the limit fails with a RangeError',
    right: small,
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          if (given.data.length > 1000) throw new RangeError('too many elements');
          return upload(given);
        },
      });
    },
    program: limits,
  },
  {
    name: 'other bits each time',
    caughtBy: 'kernels know their own plan alone [host]',
    why: 'says that it is deterministic, but y differs in its last place from call to call',
    spoil: (right) =>
      onHost(right, () => {
        let calls = 0;
        return {
          training(input, next) {
            const output = next(input);
            if (calls++ % 2 === 1) output.y.set(output.y.map((value) => value * (1 + 2 ** -23)));
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [];
      for (let n = 0; n < 2; n++) seen.push((await layer.forward(x)).data.join());
      return seen[0] === seen[1];
    },
  },
  {
    name: 'other bits of dgamma each time',
    caughtBy: 'several saved forwards are alive at once [host]',
    why: 'says that it is deterministic, but dgamma differs in its last place from call to call',
    spoil: (right) =>
      onHost(right, () => {
        let calls = 0;
        return {
          backward(input, next) {
            const output = next(input);
            if (calls++ % 2 === 1) output.dgamma.set(output.dgamma.map((value) => value * (1 + 2 ** -52)));
            return output;
          },
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [];
      for (let n = 0; n < 2; n++) {
        await layer.forward(x);
        seen.push((await layer.backward(x)).dgamma.join());
      }
      return seen[0] === seen[1];
    },
  },
  {
    name: 'other bits on the device each time',
    caughtBy: 'several saved forwards are alive at once [device]',
    why: 'says that it is deterministic, but y on the device differs in its last place from call to call',
    spoil: (right) =>
      onDevice(right, () => {
        let calls = 0;
        return {
          forward: (input, next) =>
            next(calls++ % 2 === 1 ? { ...input, epsilon: input.epsilon * (1 + 2 ** -6) } : input),
        };
      }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const seen = [];
      for (const one of await upload(backend, x, x)) seen.push((await (await layer.forward(one)).read()).join());
      return seen[0] === seen[1];
    },
  },
  {
    name: 'float64 in name alone',
    caughtBy: 'vectors are read before the first suspension [host]',
    why: 'says that it has float64, and refuses it when kernels are prepared',
    spoil(right) {
      const { prepare } = right;
      return adapt(right, {
        prepare(plan) {
          if (plan.dtype === 'float64') throw new BatchNormError('DTYPE_MISMATCH', 'received float64');
          return prepare(plan);
        },
      });
    },
    program: (backend) => codeOf(() => layerOf(backend, 4, { dtype: 'float64' }).forward(tensor(shape, 1, 'float64'))),
  },
  {
    name: 'float64 on the host alone',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'says that it has float64 and device tensors, and refuses to upload float64',
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          if (given.data instanceof Float64Array) throw new BatchNormError('DTYPE_MISMATCH', 'received float64');
          return upload(given);
        },
      });
    },
    program: (backend) => codeOf(() => backend.upload(tensor(shape, 1, 'float64'))),
  },
  {
    name: 'device tensors without kernels',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'says that it has device tensors, but its kernels have no device form',
    spoil: (right) => withKernels(right, ({ device: _, ...kernels }) => kernels),
    async program(backend) {
      const [input] = await upload(backend, x);
      return codeOf(() => layerOf(backend, 4).forward(input!));
    },
  },
  {
    name: 'no device tensors, yet upload',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'says that it has no device tensors, and uploads all the same',
    right: () => withoutDevice(createRightBackend()),
    spoil: (right) => adapt(right, { upload: createRightBackend().upload }),
    program: (backend) => codeOf(() => backend.upload(x)),
  },
  {
    name: 'no device tensors, without a code',
    caughtBy: 'vectors are read before the first suspension [device]',
    why: 'says that it has no device tensors, and refuses to upload without a code',
    right: () => withoutDevice(createRightBackend()),
    spoil: (right) =>
      adapt(right, {
        upload() {
          throw new TypeError('no device');
        },
      }),
    program: (backend) => codeOf(() => backend.upload(x)),
  },
  {
    name: 'an array that is too short is uploaded',
    caughtBy: 'results are within their bounds [device, rows, small]',
    why: 'upload takes a tensor whose data do not fill its shape',
    spoil(right) {
      const { upload } = right;
      return adapt(right, {
        async upload(given) {
          const stored = await upload({ data: given.data, shape: [given.data.length] });
          return Object.assign(stored, { shape: [...given.shape] });
        },
      });
    },
    program: (backend) => codeOf(() => backend.upload({ data: new Float32Array(5), shape })),
  },
  {
    name: 'the second layer',
    caughtBy: 'three dozen layers on one backend [host, rows, small]',
    why: 'serves one layer: kernels that are prepared while others are there fail',
    spoil(right) {
      let alive = 0;
      return withKernels(right, (kernels) => {
        if (alive++ > 8) throw new BatchNormError('LIMIT_EXCEEDED', 'received a tenth set of kernels');
        return {
          ...kernels,
          dispose() {
            alive--;
            kernels.dispose();
          },
        };
      });
    },
    async program(backend) {
      const layers = Array.from({ length: 12 }, () => layerOf(backend, 4));
      return Promise.all(layers.map((layer) => codeOf(() => step(layer, x))));
    },
  },
  {
    name: 'the eleventh forward that is alive',
    caughtBy: 'three dozen layers on one backend [host, rows, small]',
    why: 'there is room for ten forwards: y of the eleventh in inference, of as many layers, is that of the tenth',
    spoil(right) {
      let alive = 0;
      return onHost(right, () => ({
        async inference(input, next) {
          const output = await next(input);
          if (++alive > 10) output.y.fill(0);
          const { saved } = output;
          return {
            ...output,
            saved: Object.assign(Object.create(saved), {
              dispose() {
                alive--;
                saved.dispose();
              },
            }),
          };
        },
      }));
    },
    async program(backend) {
      const layers = Array.from({ length: 12 }, () => layerOf(backend, 4));
      const seen = [];
      for (const layer of layers) seen.push(await layer.forward(x, { training: false }));
      return seen;
    },
  },
  {
    name: 'other capabilities each time',
    beyond: 'what a backend says of itself is read once',
    why: 'the limit that it says shrinks as it is asked',
    spoil(right) {
      let elements = 2 ** 28;
      const { capabilities } = right;
      return Object.defineProperty(right, 'capabilities', {
        get() {
          elements = Math.max(16, elements / 2);
          return { ...capabilities, limits: { elements } };
        },
      });
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      for (let n = 0; n < 30; n++) await step(layer, x);
      return 'all steps';
    },
  },
];

/** The right backend, on the host alone. */
function withoutDevice(right: RightBackend): RightBackend {
  says(right, { deviceTensors: false });
  return Object.assign(right, {
    upload() {
      throw new BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors');
    },
  }) as RightBackend;
}
