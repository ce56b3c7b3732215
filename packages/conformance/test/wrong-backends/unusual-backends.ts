// Right backends that do things in unusual ways, all of which the contract allows: the kit must pass them.
import {
  allocate,
  assertDtype,
  type Backend,
  BatchNormError,
  type DeviceMemory,
  type Dtype,
  dtypeOf,
  type FloatArray,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type Kernels,
  type Memory,
  type MomentsInput,
  type NormalizeInput,
  type Plan,
  type Saved,
  type Stages,
  type Tensor,
} from '@batchnorm/core-api';
import {
  contentsOf,
  copyOfMoments,
  createRightBackend,
  deviceStages,
  type RightBackend,
  type RightKernels,
  Stored,
  StoredTensor,
} from './right-backend.js';
import { adapt, changed, everyTensor, onDevice, onHost, withKernels } from './wrap.js';

export interface UnusualBackend {
  readonly name: string;
  readonly why: string;
  readonly create: () => Backend;
  /** Whether golden files and adversarial inputs could tell it from the others. Default false. */
  readonly inValues?: boolean;
  /** Whether large activations could. Default false. */
  readonly atAnySize?: boolean;
}

/** Resolves in the next microtask, in the next turn, or a millisecond later. */
function delays(): () => Promise<void> {
  const random = generator();
  return () => {
    const kind = random();
    if (kind > 0.98) return new Promise((resolve) => setTimeout(resolve, 1));
    return kind > 0.5 ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve));
  };
}

/** Uniform in [0, 1), by a linear congruential generator. */
function generator(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

const keyOf = ({ extent: { outer, channels, inner }, dtype, activation = 'none' }: Plan) =>
  [outer, channels, inner, dtype, activation].join();

/** Kernels or stages on the device as an instance whose methods need `this`. */
class PrivateStages<M extends Memory> implements Stages<M> {
  readonly #stages: Stages<M>;

  constructor(stages: Stages<M>) {
    this.#stages = stages;
  }

  moments(input: MomentsInput<M>) {
    return this.#stages.moments(input);
  }

  normalize(input: NormalizeInput<M>) {
    return this.#stages.normalize(input);
  }

  gradientSums(input: GradientSumsInput<M>) {
    return this.#stages.gradientSums(input);
  }

  inputGradient(input: InputGradientInput<M>) {
    return this.#stages.inputGradient(input);
  }
}

class PrivateKernels extends PrivateStages<HostMemory> implements Kernels {
  readonly #device: Stages<DeviceMemory>;

  constructor(kernels: RightKernels) {
    super(kernels);
    this.#device = new PrivateStages(kernels.device);
  }

  get device() {
    return this.#device;
  }

  dispose() {}
}

class PrivateBackend implements Backend {
  readonly #right: RightBackend;

  constructor() {
    this.#right = createRightBackend();
    everyTensor(this.#right, (one) => changed(one, { backend: this }));
  }

  get contractVersion() {
    return 2 as const;
  }

  get name() {
    return 'private';
  }

  get capabilities() {
    return this.#right.capabilities;
  }

  get execution() {
    return this.#right.execution;
  }

  prepare(plan: Plan) {
    return new PrivateKernels(this.#right.prepare(plan));
  }

  upload(tensor: Tensor) {
    return this.#right.upload(tensor);
  }

  empty(shape: readonly number[], dtype: Dtype) {
    return this.#right.empty(shape, dtype);
  }

  from(tensor: Tensor) {
    return this.#right.from(tensor);
  }

  dispose() {
    this.#right.dispose();
  }
}

/** Of one dtype alone. */
function having(dtype: Dtype): Backend {
  const right = createRightBackend();
  const { upload } = right;
  return adapt(right, {
    capabilities: { ...right.capabilities, dtypes: [dtype] },
    upload(given) {
      const received = dtypeOf(given.data);
      if (received === dtype) return upload(given);
      throw new BatchNormError('DTYPE_MISMATCH', `received a tensor of ${received}, expected ${dtype}`);
    },
  });
}

export const unusualBackends: readonly UnusualBackend[] = [
  {
    name: 'answers some time later',
    why: 'every answer is there some time later, so that calls of two layers end in any order',
    create() {
      const [right, delay] = [createRightBackend(), delays()];
      const answer = async <T>(value: T): Promise<T> => {
        await delay();
        return value;
      };
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          return answer({ ...output, moments: copyOfMoments(output.moments) });
        },
        inference: (input, next) => answer(next(input)),
        backward: (input, next) => answer(next(input)),
      }));
      const { prepare, dispose } = right;
      return adapt(right, { prepare: (plan) => answer(prepare(plan)), dispose: () => answer(dispose()) });
    },
  },
  {
    name: 'computes some time later',
    why: 'copies its inputs at once, and computes with the copies in a later turn',
    create() {
      const [right, delay] = [createRightBackend(), delays()];
      return onHost(right, () => ({
        async forward(input, next) {
          const { x } = input;
          const copies = Object.fromEntries(
            Object.entries(input).map(([key, value]) => [
              key,
              ArrayBuffer.isView(value) ? (value as FloatArray).slice() : value,
            ]),
          );
          await delay();
          const output = next({ ...input, ...copies, y: input.y });
          return { ...output, saved: Object.assign(output.saved, { x }) };
        },
        async backward(input, next) {
          const dy = input.dy.slice();
          await delay();
          return next({ ...input, dy });
        },
      }));
    },
  },
  {
    name: 'thenables',
    why: 'answers are objects with a `then`, and no promises',
    create() {
      const right = createRightBackend();
      const { upload } = right;
      const thenable = <T>(value: T | Promise<T>): PromiseLike<T> => {
        const promise = Promise.resolve(value);
        // biome-ignore lint/suspicious/noThenProperty: that is what it is about
        return { then: (...to) => promise.then(...to) };
      };
      onHost(right, () => ({
        forward: (input, next) => thenable(next(input)),
        backward: (input, next) => thenable(next(input)),
      }));
      const { prepare } = right;
      return adapt(right, { prepare: (plan) => thenable(prepare(plan)), upload: (given) => thenable(upload(given)) });
    },
  },
  {
    name: 'instances with private fields',
    why: 'backend and kernels are instances whose methods need `this`, and whose descriptions are accessors',
    create: () => new PrivateBackend(),
  },
  {
    name: 'frozen objects',
    why: 'the backend, its kernels and all that they answer are frozen; saved forwards have a single member',
    create() {
      const right = createRightBackend();
      const savedOf = new WeakMap<Saved, Saved>();
      const closed = (saved: Saved): Saved => {
        const frozen = Object.freeze({ dispose: () => saved.dispose() });
        savedOf.set(frozen, saved);
        return frozen;
      };
      everyTensor(right, (one) => changed(one, { shape: Object.freeze([...one.shape]) }));
      const { prepare } = right;
      adapt(right, {
        prepare(plan) {
          const kernels = prepare(plan);
          return Object.freeze({
            moments: (input: MomentsInput<HostMemory>) => Object.freeze(kernels.moments(Object.freeze(input))),
            normalize(input: NormalizeInput<HostMemory>) {
              const { y, saved } = kernels.normalize(Object.freeze(input));
              return Object.freeze({ y, saved: closed(saved) });
            },
            gradientSums: ({ saved, dy }: GradientSumsInput<HostMemory>) =>
              Object.freeze(kernels.gradientSums({ saved: savedOf.get(saved)!, dy })),
            inputGradient: (input: InputGradientInput<HostMemory>) =>
              Object.freeze(kernels.inputGradient({ ...input, saved: savedOf.get(input.saved)! })),
            device: Object.freeze(kernels.device),
            dispose: kernels.dispose,
          });
        },
      });
      Object.freeze(right.capabilities);
      Object.freeze(right.execution);
      return Object.freeze(right);
    },
  },
  {
    name: 'results in two halves',
    why: 'writes the first half of y and of dx, lets go of the event loop, and writes the second',
    create() {
      const delay = delays();
      const write = async <A extends FloatArray>(result: A, given: A | undefined): Promise<A> => {
        if (!given) return result;
        const middle = result.length >> 1;
        given.set(result.subarray(0, middle));
        await delay();
        given.set(result.subarray(middle), middle);
        return given;
      };
      return onHost(createRightBackend(), () => ({
        async forward({ y, ...input }, next) {
          const output = next({ ...input, y: undefined });
          return { ...output, y: await write(output.y, y) };
        },
        async backward({ dx, ...input }, next) {
          const output = next({ ...input, dx: undefined });
          return { ...output, dx: await write(output.dx, dx) };
        },
      }));
    },
  },
  {
    name: 'results in parts of larger buffers',
    why: 'sixteen new results of a size share a buffer, each in a place of its own that is used once',
    create() {
      const arenas = new Map<string, { memory: FloatArray; used: number }>();
      const place = <A extends FloatArray>(result: A, dtype: Dtype): A => {
        const { length } = result;
        const pitch = length + 3;
        const key = `${dtype} ${length}`;
        let arena = arenas.get(key);
        if (!arena || arena.used === 16) {
          arena = { memory: allocate(dtype, 16 * pitch), used: 0 };
          if (length < 4096) arenas.set(key, arena);
        }
        const begin = arena.used++ * pitch + 1;
        const own = arena.memory.subarray(begin, begin + length) as A;
        own.set(result);
        return own;
      };
      return onHost(createRightBackend(), ({ dtype }) => ({
        forward(input, next) {
          const output = next(input);
          return input.y ? output : { ...output, y: place(output.y, dtype) };
        },
        backward(input, next) {
          const { dx, dresidual, dgamma, dbeta } = next(input);
          return {
            dx: input.dx ?? place(dx, dtype),
            dresidual: input.dresidual ?? (dresidual && place(dresidual, dtype)),
            dgamma: input.dgamma ?? place(dgamma, 'float64'),
            dbeta: input.dbeta ?? place(dbeta, 'float64'),
          };
        },
      }));
    },
  },
  {
    name: 'one set of kernels for equal plans',
    why: 'layers of one extent have the same kernels, which go when the last of them has disposed them',
    create() {
      const right = createRightBackend();
      const { prepare } = right;
      const known = new Map<string, { kernels: Kernels; users: number }>();
      return adapt(right, {
        prepare(plan) {
          const key = keyOf(plan);
          const entry = known.get(key) ?? { kernels: prepare(plan), users: 0 };
          if (entry.users++ === 0) {
            const dispose = () => {
              if (--entry.users === 0) known.delete(key);
            };
            entry.kernels = { ...entry.kernels, dispose };
            known.set(key, entry);
          }
          return entry.kernels;
        },
      });
    },
  },
  {
    name: 'statistics in the same memory',
    why: 'batch statistics of host arrays are valid until the next call of the same kernels, which overwrites them',
    create: () =>
      onHost(createRightBackend(), ({ extent: { channels } }) => {
        const own = { mean: new Float64Array(channels), m2: new Float64Array(channels) };
        const spoil = () => {
          own.mean.fill(Number.NaN);
          own.m2.fill(Number.NaN);
        };
        return {
          training(input, next) {
            spoil();
            const output = next(input);
            own.mean.set(output.moments.mean);
            own.m2.set(output.moments.m2);
            return { ...output, moments: { count: output.moments.count, ...own } };
          },
          inference(input, next) {
            spoil();
            return next(input);
          },
          backward(input, next) {
            spoil();
            return next(input);
          },
        };
      }),
  },
  {
    name: 'saved forwards come back',
    why: 'a saved forward that was disposed is the same object as a later one',
    create: () =>
      onHost(createRightBackend(), () => {
        const free: object[] = [];
        return {
          forward(input, next) {
            const output = next(input);
            const { dispose } = output.saved;
            const saved = Object.assign(free.pop() ?? {}, output.saved, {
              dispose(this: Saved) {
                dispose.call(this);
                free.push(this);
              },
            });
            return { ...output, saved };
          },
        };
      }),
  },
  {
    name: 'a workspace that stays',
    why: 'scratch memory for the largest extent so far stays with the backend until that is disposed',
    create() {
      let workspace: Float64Array | undefined;
      const right = withKernels(createRightBackend(), (kernels, { extent: { outer, channels, inner } }) => {
        const elements = outer * channels * inner;
        if (elements > (workspace?.length ?? 0)) workspace = new Float64Array(elements);
        return kernels;
      }) as RightBackend;
      const { dispose } = right;
      return adapt(right, {
        dispose() {
          workspace = undefined;
          dispose();
        },
      });
    },
  },
  {
    name: 'without float64',
    why: 'has float32 alone',
    inValues: true,
    create: () => having('float32'),
  },
  {
    name: 'without float32',
    why: 'has float64 alone',
    inValues: true,
    create: () => having('float64'),
  },
  {
    name: 'without a device',
    why: 'has host memory alone: upload fails with UNSUPPORTED, as a rejection',
    create() {
      let disposed = false;
      const right = createRightBackend();
      const { dispose } = right;
      withKernels(right, ({ device: _, ...kernels }) => kernels);
      return adapt(right, {
        capabilities: { ...right.capabilities, deviceTensors: false },
        async upload() {
          if (disposed) throw new BatchNormError('DISPOSED', 'received upload() after dispose(), expected none');
          throw new BatchNormError('UNSUPPORTED', 'received upload(), expected host tensors');
        },
        dispose() {
          disposed = true;
          dispose();
        },
      });
    },
  },
  {
    name: 'a small limit',
    why: 'holds 5,000 elements, and refuses more wherever it is asked',
    inValues: true,
    atAnySize: true,
    create: () => createRightBackend({ limit: 5000 }),
  },
  {
    name: 'other bits each time',
    why: 'says that it is not deterministic: last places differ from call to call, as of sums in another order each time',
    inValues: true,
    create() {
      const random = generator();
      const right = createRightBackend();
      const noisy = <A extends FloatArray>(array: A): A => {
        const ulp = array.BYTES_PER_ELEMENT === 8 ? 2 ** -53 : 2 ** -24;
        // What is short in binary is exact in any order.
        const isShort = (value: number) => (value * 2 ** 10) % 1 === 0;
        array.set(array.map((value) => (isShort(value) ? value : value * (1 + (2 * random() - 1) * ulp))));
        return array;
      };
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          if (output.moments.m2.every((value) => value > 0)) noisy(output.y);
          return output;
        },
        backward(input, next) {
          const output = next(input);
          noisy(output.dx);
          noisy(output.dgamma);
          noisy(output.dbeta);
          return output;
        },
      }));
      return adapt(right, { capabilities: { ...right.capabilities, deterministic: false } });
    },
  },
  {
    name: 'no negative zero',
    why: 'answers 0 where the arithmetic gives −0',
    inValues: true,
    create() {
      const positive = (array: FloatArray) => array.set(array.map((value) => value + 0));
      return onHost(createRightBackend(), () => ({
        forward(input, next) {
          const output = next(input);
          positive(output.y);
          return output;
        },
        backward(input, next) {
          const output = next(input);
          for (const array of [output.dx, output.dgamma, output.dbeta]) positive(array);
          return output;
        },
      }));
    },
  },
  {
    name: 'a device that can be viewed',
    why: 'tensors have a view() of their elements',
    create: () => createRightBackend({ views: true }),
  },
  {
    name: 'new gradients on the device',
    why: 'disposes the vectors that were given for dgamma and dbeta on the device, and answers new ones',
    create: () =>
      onDevice(createRightBackend(), () => ({
        async backward(input, next) {
          const output = await next({ ...input, dgamma: undefined, dbeta: undefined });
          for (const given of [input.dgamma, input.dbeta]) given?.dispose();
          return output;
        },
      })),
  },
  {
    name: 'a device that answers at once',
    why: 'upload, read and the stages on the device answer without promises, and throw without them',
    create() {
      const right = createRightBackend();
      const alive = new Set<unknown>();
      const disposed = () => void right.prepare({ extent: { outer: 1, channels: 1, inner: 1 }, dtype: 'float32' });
      const tensor = (shape: readonly number[], elements: FloatArray) => {
        const one = new StoredTensor(right, shape, elements, alive);
        return changed(one, { read: () => contentsOf(one).slice() });
      };
      const { prepare } = right;
      adapt(right, {
        prepare(plan) {
          const kernels = prepare(plan);
          const device = deviceStages(kernels, {
            tensor,
            value(stored, copy) {
              const one = new Stored(stored, copy, alive);
              return changed(one, { read: () => copy(contentsOf(one)) });
            },
            answer: (compute) => compute(),
          });
          return { ...kernels, device };
        },
      });
      return adapt(right, {
        upload(given) {
          disposed();
          if (given.data.length !== given.shape.reduce((a, b) => a * b, 1)) {
            throw new BatchNormError('INVALID_TENSOR', 'received data that do not fill their shape');
          }
          assertDtype(right, dtypeOf(given.data));
          return tensor(given.shape, given.data.slice());
        },
      });
    },
  },
];
