// Wrong about tensors that it allocates on the host: whose memory is whose, and what is copied.
import {
  AllocatedTensor,
  allocate,
  type Backend,
  copyOn,
  dtypeOf,
  type FloatArray,
  product,
} from '@batchnorm/core-api';
import { layerOf, tensor } from './programs.js';
import { createRightBackend, type RightBackend } from './right-backend.js';
import { adapt, onHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const shape = [6, 4];
const x = tensor(shape);

/** The buffers of what right backends of this file have allocated. */
const own = new WeakSet<object>();

/** A right backend with memory of its own on the host: results of an x that lies there lie there, too. */
function right(): RightBackend {
  const backend = createRightBackend();
  const { empty } = backend;
  return Object.assign(backend, {
    empty(of: readonly number[], dtype: 'float32' | 'float64') {
      const made = empty(of, dtype);
      own.add(made.data.buffer);
      return made;
    },
    from: (given: Parameters<Backend['from']>[0]) => copyOn(backend, given),
    resultLike: ({ data, shape: of }: Parameters<NonNullable<Backend['resultLike']>>[0]) =>
      own.has(data.buffer) ? backend.empty([...of], dtypeOf(data)) : undefined,
  });
}

const over = (data: FloatArray, of: readonly number[]) => new AllocatedTensor(data, [...of], () => undefined);
const numbers = (data: FloatArray) => Array.from(data);

const isTensor = 'an allocated tensor is a tensor [host, rows, small]';

export const allocated: readonly WrongBackend[] = [
  {
    name: 'every third empty tensor has the memory of the second',
    caughtBy: 'a disposed tensor takes no other with it [host, rows, small]',
    why: 'two tensors that are alive share their elements',
    right,
    spoil(one) {
      const { empty } = one;
      let count = 0;
      let second: AllocatedTensor | undefined;
      return adapt(one, {
        empty(of, dtype) {
          if (++count % 3 === 0 && second?.data.length === product(of)) return over(second.data, of);
          const made = empty(of, dtype);
          if (count % 3 === 2) second = made;
          return made;
        },
      });
    },
    async program(backend) {
      const all = [1, 2, 3].map((value) => {
        const made = backend.empty(shape, 'float32');
        made.data.fill(value);
        return made;
      });
      return all.map(({ data }) => numbers(data));
    },
  },
  {
    name: 'from keeps the array that it was given',
    caughtBy: isTensor,
    why: 'what becomes of the source becomes of the copy',
    right,
    spoil: (one) => adapt(one, { from: ({ data, shape: of }) => over(data, of) }),
    async program(backend) {
      const source = tensor(shape);
      const copy = backend.from(source);
      source.data.fill(7);
      return numbers(copy.data);
    },
  },
  {
    name: 'from of a tensor that was allocated is that tensor',
    caughtBy: isTensor,
    why: 'it copies ordinary arrays alone',
    right,
    spoil(one) {
      const { from } = one;
      return adapt(one, {
        from: (given) => (own.has(given.data.buffer) ? over(given.data, given.shape) : from(given)),
      });
    },
    async program(backend) {
      const first = backend.from(x);
      const second = backend.from(first);
      first.data.fill(7);
      return numbers(second.data);
    },
  },
  {
    name: 'from ignores where an array begins in its buffer',
    caughtBy: isTensor,
    why: 'it copies the beginning of the buffer',
    right,
    spoil(one) {
      const { from } = one;
      return adapt(one, {
        from(given) {
          const { data } = given;
          const Elements = data.constructor as Float32ArrayConstructor;
          const wrong = { ...given, data: new Elements(data.buffer as ArrayBuffer, 0, data.length) };
          return from(data.byteOffset > 0 ? wrong : given);
        },
      });
    },
    async program(backend) {
      const longer = new Float32Array(30).fill(7);
      longer.set(x.data, 4);
      return numbers(backend.from({ data: longer.subarray(4, 28), shape }).data);
    },
  },
  {
    name: 'a copy of what was disposed',
    caughtBy: 'what is disposed is refused [host, rows, small]',
    why: 'from gives a tensor of the same shape, of anything',
    right,
    spoil(one) {
      const { from } = one;
      return adapt(one, {
        from: (given) => ((given as AllocatedTensor).disposed ? one.empty(given.shape, 'float32') : from(given)),
      });
    },
    program: codeOfCopy,
  },
  {
    name: 'a result lies over its input',
    caughtBy: 'an allocated tensor is a tensor [allocated, rows, small]',
    why: 'where x is one that it allocated',
    right,
    spoil: (one) =>
      adapt(one, { resultLike: ({ data, shape: of }) => (own.has(data.buffer) ? over(data, of) : undefined) }),
    async program(backend) {
      const layer = layerOf(backend, 4);
      const input = layer.from(x);
      await layer.forward(input);
      return numbers(input.data);
    },
  },
  {
    name: 'a result lies over the one before it',
    caughtBy: 'a disposed result takes nothing with it [allocated, rows, small]',
    why: 'as soon as that one has as many elements, whoever holds it',
    right,
    spoil(one) {
      const { resultLike } = one;
      let latest: AllocatedTensor | undefined;
      return adapt(one, {
        resultLike(input) {
          const made = resultLike!(input);
          if (made && latest?.data.length === made.data.length) return over(latest.data, input.shape);
          latest = made;
          return made;
        },
      });
    },
    async program(backend) {
      const layer = layerOf(backend, 4);
      const first = await layer.forward(layer.from(x));
      await layer.forward(layer.from(tensor(shape, 5)));
      return numbers(first.data);
    },
  },
  {
    name: 'who disposes it clears its tensors',
    caughtBy: 'an allocated tensor of another backend works, too [host, rows, small]',
    why: 'the backend’s dispose() writes zeros into what it has allocated',
    right,
    spoil(one) {
      const { empty, dispose } = one;
      const made: AllocatedTensor[] = [];
      return adapt(one, {
        empty(of, dtype) {
          made.push(empty(of, dtype));
          return made.at(-1)!;
        },
        dispose() {
          for (const { data } of made) data.fill(0);
          return dispose();
        },
      });
    },
    async program(backend) {
      const kept = backend.from(x);
      await backend.dispose();
      return numbers(kept.data);
    },
  },
  {
    name: 'an empty tensor has the caller’s shape array',
    caughtBy: isTensor,
    why: 'who changes that changes the tensor',
    right,
    spoil(one) {
      const { empty } = one;
      return adapt(one, { empty: (of, dtype) => new AllocatedTensor(empty(of, dtype).data, of, () => undefined) });
    },
    async program(backend) {
      const of = [6, 4];
      const made = backend.empty(of, 'float32');
      of[0] = 3;
      return [...made.shape];
    },
  },
  {
    name: 'a part of an allocated x is read from its buffer’s begin',
    caughtBy: 'parts of an allocated tensor are tensors [host, rows, small]',
    why: 'it knows the tensor, and forgets where the array begins',
    right,
    spoil: (one) =>
      onHost(one, () => ({
        training(input, next) {
          const { x: given } = input;
          const Elements = given.constructor as Float32ArrayConstructor;
          const isPart = own.has(given.buffer) && given.byteOffset > 0;
          return next(isPart ? { ...input, x: new Elements(given.buffer as ArrayBuffer, 0, given.length) } : input);
        },
      })),
    async program(backend) {
      const all = backend.empty([40], 'float32');
      all.data.fill(7).set(x.data, 10);
      const y = await layerOf(backend, 4).forward({ data: all.data.subarray(10, 34), shape });
      return numbers(y.data);
    },
  },
  {
    name: 'an empty tensor beyond its limit',
    caughtBy: 'what can’t be allocated is refused [host, rows, small]',
    why: 'it has the shape, and fewer elements',
    right,
    spoil(one) {
      const { empty } = one;
      return adapt(one, {
        empty: (of, dtype) =>
          product(of) > one.capabilities.limits.elements ? over(allocate(dtype, 4), of) : empty(of, dtype),
      });
    },
    program: async (backend) => {
      try {
        return backend.empty([2 ** 29, 4], 'float32').shape;
      } catch (error) {
        return (error as { code?: string }).code;
      }
    },
  },
];

/** How a copy of a disposed tensor fails. */
async function codeOfCopy(backend: Backend): Promise<unknown> {
  const gone = backend.from(x);
  gone.dispose();
  try {
    return backend.from(gone).shape;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}
