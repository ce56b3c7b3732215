// Wrong about where arrays begin and end.
import { BatchNorm, type FloatArray } from '@batchnorm/core-api';
import { buffer, embedded, layerOf, step, tensor } from './programs.js';
import type { RightSaved } from './right-backend.js';
import { onHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

type ArrayClass<A> = new (buffer: ArrayBufferLike, byteOffset?: number, length?: number) => A;
const classOf = <A extends FloatArray>(array: A) => array.constructor as ArrayClass<A>;

/** As many elements, but from byte `byteOffset` of the buffer on. */
const moved = <A extends FloatArray>(array: A, byteOffset: number): A =>
  new (classOf(array))(array.buffer, byteOffset, array.length);
const fromStart = <A extends FloatArray>(array: A): A => moved(array, 0);
const given = <A extends FloatArray>(array: A | undefined, move: (array: A) => A) => array && move(array);

/** Writes zeros behind the array, up to a multiple of `lanes` elements, where its buffer goes on. */
function spill(array: FloatArray | undefined, lanes: number): void {
  if (array === undefined) return;
  const whole = new (classOf(array))(array.buffer);
  const begin = array.byteOffset / array.BYTES_PER_ELEMENT;
  whole.fill(0, begin + array.length, begin + Math.ceil(array.length / lanes) * lanes);
}

/** A step and an inference whose arrays all lie in the middle of larger ones. */
async function stepInViews(backend: Parameters<typeof layerOf>[0]): Promise<unknown> {
  const shape = [5, 3];
  const layer = layerOf(backend, 3);
  const [x, y, dy, dx] = [tensor(shape), buffer(shape), tensor(shape, 2), buffer(shape)].map((one) => embedded(one));
  const [dgamma, dbeta] = [3, 4].map((offset) => {
    const around = new Float64Array(12).fill(7);
    return { around, vector: around.subarray(offset, offset + 3) };
  });
  const last = embedded(buffer(shape), 6);
  await layer.forward(x!.tensor, { out: y!.tensor });
  await layer.backward(dy!.tensor, {
    out: { dx: dx!.tensor, dgamma: dgamma!.vector, dbeta: dbeta!.vector },
  });
  await layer.forward(x!.tensor, { out: last.tensor, training: false });
  return [x, y, dy, dx, dgamma, dbeta, last].map((one) => one!.around);
}

export const views: readonly WrongBackend[] = [
  {
    name: 'byteOffset of x ignored',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'reads x from the beginning of its buffer',
    spoil: (right) => onHost(right, () => ({ forward: (input, next) => next({ ...input, x: fromStart(input.x) }) })),
    program: stepInViews,
  },
  {
    name: 'byteOffset of x ignored by backward',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'the saved forward has the buffer of x, not its place in it',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          (output.saved as RightSaved).x = fromStart(input.x);
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'byteOffset of dy ignored',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'reads dy from the beginning of its buffer',
    spoil: (right) => onHost(right, () => ({ backward: (input, next) => next({ ...input, dy: fromStart(input.dy) }) })),
    program: stepInViews,
  },
  {
    name: 'byteOffset of y ignored',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes y to the beginning of its buffer',
    spoil: (right) =>
      onHost(right, () => ({ forward: (input, next) => next({ ...input, y: given(input.y, fromStart) }) })),
    program: stepInViews,
  },
  {
    name: 'byteOffset of dx ignored',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes dx to the beginning of its buffer',
    spoil: (right) =>
      onHost(right, () => ({ backward: (input, next) => next({ ...input, dx: given(input.dx, fromStart) }) })),
    program: stepInViews,
  },
  {
    name: 'byteOffset of dbeta ignored',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'writes dbeta to the beginning of its buffer',
    spoil: (right) =>
      onHost(right, () => ({ backward: (input, next) => next({ ...input, dbeta: given(input.dbeta, fromStart) }) })),
    program: stepInViews,
  },
  {
    name: 'byteOffset in 16 bits',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'x that begins 65,536 bytes or more after its buffer does is read from somewhere else',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) => next({ ...input, x: moved(input.x, input.x.byteOffset & 0xffff) }),
      })),
    program: (backend) => step(layerOf(backend, 3), embedded(tensor([5, 3]), 2 ** 14 + 1).tensor),
  },
  {
    name: 'y in whole vectors of four',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'writes up to three elements past the end of y',
    spoil: (right) =>
      onHost(right, () => ({
        training(input, next) {
          const output = next(input);
          spill(input.y, 4);
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'y of inference in whole vectors of two',
    caughtBy: 'host arrays, every call awaited',
    why: 'writes one element past the end of y, in inference, when it has an odd number of elements',
    spoil: (right) =>
      onHost(right, () => ({
        inference(input, next) {
          const output = next(input);
          spill(input.y, 2);
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'dx in whole vectors of four',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes up to three elements past the end of dx',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          spill(input.dx, 4);
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'dgamma in pairs',
    caughtBy: 'host arrays, every call awaited',
    why: 'writes one element past the end of dgamma when channels are odd',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          spill(input.dgamma, 2);
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'an element before y',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes the element in front of y, where its buffer has one',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          const { y } = input;
          if (y && y.byteOffset > 0) moved(y, y.byteOffset - y.BYTES_PER_ELEMENT)[0] = 0;
          return output;
        },
      })),
    program: stepInViews,
  },
  {
    name: 'x padded where it lies',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes zeros behind x, up to a whole vector of four, before it reads it',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          spill(input.x, 4);
          return next(input);
        },
      })),
    program: stepInViews,
  },
  {
    name: 'y at an address of whole vectors',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'writes y up to 12 bytes too early when it does not begin at a multiple of 16 bytes',
    spoil: (right) =>
      onHost(right, () => ({
        forward: (input, next) =>
          next({ ...input, y: given(input.y, (y) => moved(y, y.byteOffset - (y.byteOffset % 16))) }),
      })),
    program: stepInViews,
  },
  {
    name: 'in place from the beginning',
    caughtBy: 'results are within their bounds [host, rows, small]',
    why: 'inference in place on a part of a buffer takes its values from the beginning of the buffer',
    spoil: (right) =>
      onHost(right, () => ({
        inference: (input, next) => next(input.y === input.x ? { ...input, x: fromStart(input.x).slice() } : input),
      })),
    async program(backend) {
      const { tensor: x, around } = embedded(tensor([4, 3, 2]));
      await layerOf(backend, 3).forward(x, { training: false, out: x });
      return around;
    },
  },
  {
    name: 'one buffer is in place',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'x and out in one buffer, at different places, are taken for the same array: x is overwritten',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          if (input.y?.buffer === input.x.buffer) input.x.set(output.y);
          return output;
        },
      })),
    async program(backend) {
      const memory = new Float32Array(64).fill(7);
      const part = (begin: number) => ({ data: memory.subarray(begin, begin + 12), shape: [4, 3] });
      part(2).data.set(tensor([4, 3]).data);
      await layerOf(backend, 3).forward(part(2), { out: part(20) });
      return memory;
    },
  },
  {
    name: 'dgamma and dbeta side by side',
    caughtBy: 'out receives the results [host, rows, small]',
    why: 'writes dbeta behind dgamma when both lie in one buffer, wherever it was to go',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const { dgamma, dbeta } = input;
          if (!dgamma || dgamma.buffer !== dbeta?.buffer) return next(input);
          const end = dgamma.byteOffset + dgamma.byteLength;
          if (end + dbeta.byteLength > dbeta.buffer.byteLength) return next(input);
          return { ...next({ ...input, dbeta: moved(dbeta, end) }), dbeta };
        },
      })),
    async program(backend) {
      const layer = layerOf(backend, 3);
      const memory = new Float64Array(16).fill(7);
      await layer.forward(tensor([5, 3]));
      await layer.backward(tensor([5, 3], 2), {
        out: { dbeta: memory.subarray(1, 4), dgamma: memory.subarray(6, 9) },
      });
      return memory;
    },
  },
  {
    name: 'shared memory is its own',
    beyond: 'browsers refuse shared memory to WebGL, so that no backend there takes it',
    why: 'normalises x where it lies, too, when it lies in a SharedArrayBuffer',
    spoil: (right) =>
      onHost(right, () => ({
        forward(input, next) {
          const output = next(input);
          if (input.x.buffer instanceof SharedArrayBuffer) input.x.set(output.y);
          return output;
        },
      })),
    async program(backend) {
      const data = new Float32Array(new SharedArrayBuffer(48));
      data.set(tensor([4, 3]).data);
      const layer = new BatchNorm({ backend, numFeatures: 3 });
      await layer.forward({ data, shape: [4, 3] });
      return data;
    },
  },
];
