// Tensors on the host that can be disposed: those that a backend allocates, and results. They are like any other until
// then, and nobody's array changes because of it.
import {
  AllocatedTensor,
  allocate,
  allocatesMemory,
  BatchNorm,
  type FloatArray,
  type Gradients,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, identical, outcome, sameBits } from '../../compare.js';
import type { Cell, Subject } from '../../conformance-case.js';
import { refuses } from '../../expect-refusal.js';
import { spoil } from '../../memory/guarded-buffer.js';
import { memoryInUse } from '../../memory/memory-use.js';
import { shapesOf } from '../extents.js';
import { notLarge, type Rule } from '../rule.js';
import { type Scene, same } from '../scene.js';

const onHost: Rule['exempt'] = ({ memory }) => (memory === 'device' ? 'it is about tensors on the host' : undefined);

const anySize: Rule['exempt'] = (cell, subject) =>
  onHost(cell, subject) ?? notLarge('it holds at every size, or at none')(cell);

/** Elements between the parts of a tensor. */
const margin = 3;

function reasonAgainstParts({ layout, size }: Pick<Cell, 'layout' | 'size'>, { backend }: Subject): string | undefined {
  const most = Math.max(...shapesOf[layout][size].map(({ shape }) => 4 * product(shape) + 5 * margin));
  return backend.capabilities.limits.elements < most ? `it has tensors of ${most} elements` : undefined;
}

export const allocatedTensorRules: readonly Rule[] = [
  {
    name: 'an allocated tensor is a tensor',
    why: 'a typed array and a shape, and `from` gives a copy; wherever x, dy and results lie, results are the same',
    exempt: onHost,
    run: async (scene) => {
      const { backend, dtype, shape } = scene;
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const source = { data: x.slice(), shape: [...shape] };
      const [empty, copy, ofLayer] = [backend.empty(shape, dtype), backend.from(source), layer.from(source)];
      spoil(source.data);
      source.shape.fill(0);
      // From anywhere in a buffer, and of another allocated tensor.
      const longer = new (x.constructor as Float32ArrayConstructor)(x.length + 8).fill(7);
      longer.set(x, 5);
      const ofPart = backend.from({ data: longer.subarray(5, 5 + x.length), shape });
      const ofCopy = backend.from(ofPart);
      const tensors = { empty, copy, ofLayer, emptyOfLayer: layer.empty(shape), ofPart, ofCopy };
      for (const tensor of Object.values(tensors)) scene.memory.own(tensor);
      const checks = Object.entries(tensors).flatMap(([what, tensor]) => describes(what, tensor, scene));
      checks.push(
        identical('copy', copy.data, x),
        identical('copy of the layer', ofLayer.data, x),
        identical('copy of a part', ofPart.data, x),
      );
      ofPart.data.fill(7);
      checks.push(identical('copy of a copy', ofCopy.data, x), ...(await inEveryPlace(scene)));
      for (const kinds of ['none', 'x', 'y', 'dy dx', 'dx', 'x dx', 'x y dy', 'x dy', 'x y dy dx'] as const) {
        const place = async (name: string, values: FloatArray) => {
          const tensor = kinds.split(' ').includes(name)
            ? layer.empty(shape)
            : { data: allocate(dtype, x.length), shape };
          if (tensor instanceof AllocatedTensor) scene.memory.own(tensor);
          tensor.data.set(values);
          return tensor;
        };
        const junk = x.slice().fill(7);
        const out = await place('y', junk);
        const y = (await scene.forward(layer, await place('x', x), { out })) as Tensor;
        const dx = await place('dx', junk);
        const gradients = await scene.backward(layer, await place('dy', dy), { dx });
        checks.push(
          ...same(`allocated ${kinds}`, { y: y.data, ...(await scene.read(gradients)) }, want),
          outcome(`allocated ${kinds}: buffers`, y === out && gradients.dx === dx, ': received others than were given'),
        );
      }
      const here = layer.from({ data: x, shape });
      scene.memory.own(here);
      const y = (await scene.forward(layer, here)) as AllocatedTensor;
      const gradients = await scene.backward(layer, { data: dy, shape });
      checks.push(...same('new results', { y: y.data, ...(await scene.read(gradients)) }, want));
      // A result may be the x of the next layer, or of the same.
      const own = y.data.slice();
      const next = (await scene.forward(layer, y)) as AllocatedTensor;
      const wantOfNext = await scene.y(scene.layer(), own);
      checks.push(identical('y of y', next.data, wantOfNext), identical('y, which was x', y.data, own));
      const lies = (tensor: Tensor) => scene.backend.resultLike?.(tensor);
      if (allocatesMemory(backend, dtype)) {
        for (const [what, result] of Object.entries({ y, dx: gradients.dx })) {
          const like = lies(result);
          checks.push(
            outcome(`new ${what}`, like !== undefined, ': received an ordinary array, expected it where x lies'),
          );
          like?.dispose();
        }
      }
      return checks;
    },
  },
  {
    name: 'what is disposed is refused',
    why: 'as x, dy, a residual and a buffer, with DISPOSED, and a backward whose x is gone; disposing again does nothing',
    exempt: anySize,
    run: async (scene) => {
      const { shape } = scene;
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const state = JSON.stringify(await layer.state());
      const gone = layer.from({ data: x, shape });
      gone.dispose();
      gone.dispose();
      const ofBlock = layer.empty(shape);
      ofBlock[Symbol.dispose]();
      const good = (await scene.put(x)) as Tensor;
      const checks = [
        outcome('disposed', gone.disposed && gone.data.length === 0, ': received a tensor that is not'),
        outcome('disposed by its block', ofBlock.disposed, ': received a tensor that is not'),
        await refuses('from of the backend', 'DISPOSED', () => scene.backend.from(gone)),
        await refuses('x', 'DISPOSED', () => layer.forward(gone)),
        await refuses('out', 'DISPOSED', () => layer.forward(good, { out: gone })),
        await refuses('residual', 'DISPOSED', () => layer.forward(good, { residual: gone })),
        await refuses('dy', 'DISPOSED', () => layer.backward(gone)),
        await refuses('dx', 'DISPOSED', () => layer.backward(good, { out: { dx: gone } })),
        await refuses('moments', 'DISPOSED', () => layer.moments(gone)),
        await refuses('from', 'DISPOSED', () => layer.from(gone)),
        outcome('state', JSON.stringify(await layer.state()) === state, ': received another one than before'),
        ...same('the gradients of the forward before', await scene.gradients(layer, dy), without(want)),
      ];
      const lent = layer.from({ data: x, shape });
      scene.memory.own(await layer.forward(lent, { track: false }));
      lent.dispose();
      // Somebody else has its memory now, with the same values.
      scene.memory.own(layer.from({ data: x, shape }));
      checks.push(await refuses('backward without x', 'FORWARD_REQUIRED', () => layer.backward(good)));
      return [...checks, ...same('the next step', await scene.step(layer, { x, dy }), want)];
    },
  },
  {
    name: 'a disposed tensor takes no other with it',
    why: 'its memory is somebody else’s then, whoever disposes it again; and what is allocated is counted',
    exempt: anySize,
    run: async ({ backend, dtype, shape }) => {
      const counted = () => backend.allocatedBytes?.() ?? 0;
      const filled = (value: number) => {
        const tensor = backend.empty(shape, dtype);
        tensor.data.fill(value);
        return tensor;
      };
      // The first one may make more than itself.
      filled(0).dispose();
      const before = counted();
      const first = Array.from({ length: 9 }, (_, k) => filled(k));
      const disposed = first.filter((_, k) => k % 3 === 1);
      for (const one of disposed) one.dispose();
      const second = disposed.map((_, k) => filled(100 + k));
      for (const one of disposed) one.dispose();
      const third = disposed.map((_, k) => filled(200 + k));
      const alive = [
        ...first.map((tensor, k) => [tensor, k] as const).filter((_, k) => k % 3 !== 1),
        ...second.map((tensor, k) => [tensor, 100 + k] as const),
        ...third.map((tensor, k) => [tensor, 200 + k] as const),
      ];
      const checks = alive.map(([{ data }, value]) =>
        outcome(
          `tensor of ${value}`,
          Array.from(data).every((one) => one === value),
          ': received other values',
        ),
      );
      for (const [tensor] of alive) tensor.dispose();
      const more = counted() - before;
      return [...checks, outcome('when all are disposed', more <= 0, `: received ${more} bytes more than before`)];
    },
  },
  {
    name: 'a disposed result takes nothing with it',
    why: 'later results may have its memory: other results stay, and an array of it on the host is as it was, or empty',
    exempt: onHost,
    run: async (scene, { memory }) => {
      const layer = scene.layer();
      const want = [];
      for (const n of [1, 2, 3]) want.push(await scene.step(layer, scene.batch(n)));
      const kept: { readonly what: string; readonly data: FloatArray; readonly copy: FloatArray }[] = [];
      const checks: Check[] = [];
      for (let step = 0; step < 9; step++) {
        const { x, dy } = scene.batch(1 + (step % 3));
        const y = (await scene.forward(layer, await scene.put(x))) as AllocatedTensor;
        const { dx, ...vectors } = (await scene.backward(layer, await scene.put(dy))) as Gradients<AllocatedTensor>;
        const got = { y: y.data.slice(), dx: dx.data.slice(), dgamma: vectors.dgamma, dbeta: vectors.dbeta };
        checks.push(...same(`step ${step + 1}`, got, want[step % 3]!));
        for (const [what, result] of Object.entries({ y, dx })) {
          const { data } = result;
          const copy = data.slice();
          const isDisposed = step % 4 !== 3;
          if (isDisposed) result.dispose();
          if (!isDisposed || memory === 'host') kept.push({ what: `${what} of step ${step + 1}`, data, copy });
        }
      }
      for (const { what, data, copy } of kept) {
        const stays = data.length === 0 || sameBits(data, copy);
        checks.push(outcome(what, stays, ': received other values at the end than at first'));
      }
      return checks;
    },
  },
  {
    name: 'parts of an allocated tensor are tensors',
    why: 'side by side they are separate; where they overlap a result is refused',
    exempt: (cell, subject) => onHost(cell, subject) ?? reasonAgainstParts(cell, subject),
    run: async (scene) => {
      const { dtype, shape, backend } = scene;
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const n = x.length;
      const all = backend.empty([4 * n + 5 * margin], dtype);
      scene.memory.own(all);
      spoil(all.data);
      const part = (k: number, shift = 0) => {
        const begin = margin + k * (n + margin) + shift;
        return { data: all.data.subarray(begin, begin + n), shape };
      };
      const [partX, out, partDy, dx] = [part(0), part(1), part(2), part(3)];
      partX.data.set(x);
      partDy.data.set(dy);
      await scene.forward(layer, partX, { out });
      const gradients = await scene.backward(layer, partDy, { dx });
      const checks = same('in parts', { y: out.data, ...(await scene.read(gradients)) }, want);
      const between = Array.from({ length: 5 }, (_, k) => {
        const begin = k * (n + margin);
        return [...all.data.subarray(begin, begin + margin)];
      }).flat();
      return [
        ...checks,
        outcome('between them', between.every(Number.isNaN), ': received values that were written beside a result'),
        await refuses('y over a part of x', 'INVALID_TENSOR', () => layer.forward(partX, { out: part(0, 1) })),
        await refuses('dx over a part of dy', 'INVALID_TENSOR', () =>
          layer.backward(partDy, { out: { dx: part(2, -1) } }),
        ),
        await refuses('dx over a part of x', 'INVALID_TENSOR', () =>
          layer.backward(partDy, { out: { dx: part(0, 2) } }),
        ),
        identical('x', partX.data, x),
        identical('dy', partDy.data, dy),
      ];
    },
  },
  {
    name: 'an allocated tensor of another backend works, too',
    why: 'by copying, also when that one has been disposed, which then allocates no more',
    exempt: (cell, subject) =>
      anySize(cell, subject) ??
      (subject.create ? undefined : 'it needs a factory: the backend that was given is the only one'),
    run: async (scene) => {
      const { dtype, shape } = scene;
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const other = await scene.create!();
      const from = (data: FloatArray) => other.from({ data, shape });
      const [putX, putDy, out, dx] = [from(x), from(dy), other.empty(shape, dtype), other.empty(shape, dtype)];
      const ofOther = new BatchNorm({ backend: other, dtype, numFeatures: scene.channels });
      ofOther.gamma.set(layer.gamma);
      ofOther.beta.set(layer.beta);
      const result = await ofOther.forward(putX);
      const checks: Check[] = [];
      for (const when of ['alive', 'disposed']) {
        if (when === 'disposed') await other.dispose();
        out.data.fill(7);
        dx.data.fill(7);
        await scene.forward(layer, putX, { out });
        const gradients = await scene.backward(layer, putDy, { dx });
        checks.push(...same(`the other one ${when}`, { y: out.data, ...(await scene.read(gradients)) }, want));
      }
      checks.push(identical('a result of the other one', result.data, want.y));
      for (const tensor of [putX, putDy, out, dx]) tensor.dispose();
      return [
        ...checks,
        await refuses('empty', 'DISPOSED', () => other.empty(shape, dtype)),
        await refuses('from', 'DISPOSED', () => other.from({ data: x, shape })),
      ];
    },
  },
  {
    name: 'what can’t be allocated is refused',
    why: 'with its code, and the next call works',
    exempt: anySize,
    run: async (scene) => {
      const { backend, dtype, shape } = scene;
      const { x } = scene.batch(1);
      const layer = scene.layer();
      const wrong = (value: unknown) => value as never;
      const { dtypes, limits } = backend.capabilities;
      const other = dtype === 'float64' ? 'float32' : 'float64';
      const lacking = (['float16', 'float32', 'float64'] as const).filter((one) => !dtypes.includes(one));
      const checks = [
        await refuses('no shape', 'INVALID_TENSOR', () => backend.empty(wrong('2'), dtype)),
        await refuses('a negative size', 'INVALID_TENSOR', () => layer.empty([2, -1])),
        await refuses('half a row', 'INVALID_TENSOR', () => layer.empty([1.5, 2])),
        await refuses('no tensor', 'INVALID_TENSOR', () => layer.from(wrong({ data: [1], shape: [1] }))),
        await refuses('another length', 'INVALID_TENSOR', () => backend.from({ data: x, shape: [x.length + 1] })),
        await refuses('another dtype', 'DTYPE_MISMATCH', () => layer.from({ data: allocate(other, 2), shape: [2, 1] })),
        await refuses('more than the limit', 'LIMIT_EXCEEDED', () => layer.empty([limits.elements + 1, 1])),
      ];
      for (const one of lacking) {
        checks.push(await refuses(`dtype ${one}`, 'DTYPE_MISMATCH', () => backend.empty([2], one)));
      }
      const next = layer.from({ data: x, shape });
      scene.memory.own(next);
      await layer.dispose();
      return [
        ...checks,
        identical('the next one', next.data, x),
        await refuses('empty of a disposed layer', 'DISPOSED', () => layer.empty(shape)),
        await refuses('from of a disposed layer', 'DISPOSED', () => layer.from({ data: x, shape })),
      ];
    },
  },
  {
    name: 'allocated tensors stay where they are',
    why: 'when memory grows for others, and for as long as somebody looks at them',
    slow: true,
    exempt: (cell, subject) =>
      onHost(cell, subject) ?? (cell.size === 'small' ? undefined : 'it allocates as much at every size'),
    run: async (scene) => {
      const { backend, dtype, shape } = scene;
      const { x, dy } = scene.batch(1);
      const layer = scene.layer();
      const want = await scene.step(layer, { x, dy });
      const first = layer.from({ data: x, shape });
      scene.memory.own(first);
      const { data } = first;
      const large = Math.min(1 << 16, backend.capabilities.limits.elements);
      /** What is left of a tensor that nobody holds: a look at its data. */
      const looks = Array.from({ length: 40 }, (_, k) => {
        const { data: all } = backend.from({ data: x, shape });
        return k % 2 === 0
          ? all.subarray(1)
          : new (all.constructor as Float32ArrayConstructor)(
              all.buffer as ArrayBuffer,
              all.byteOffset + all.BYTES_PER_ELEMENT,
              all.length - 1,
            );
      });
      for (let turn = 0; turn < 3; turn++) {
        await memoryInUse(false);
        const others = Array.from({ length: 60 }, () => backend.empty([large], dtype));
        const small = Array.from({ length: 60 }, () => backend.empty(shape, dtype));
        for (const one of [...others, ...small]) one.data.fill(7);
        for (const one of others) one.dispose();
      }
      const y = (await scene.forward(layer, first)) as Tensor;
      const gradients = await scene.backward(layer, { data: dy, shape });
      return [
        outcome('its array', first.data === data && sameBits(data, x), ': received another one, or other values'),
        ...same('a step', { y: y.data, ...(await scene.read(gradients)) }, want),
        ...looks.map((look, k) => identical(`look ${k + 1}`, look, x.subarray(1))),
      ];
    },
  },
];

/** Twelve steps of larger activations would take their time. */
const mostInEveryPlace = 2 ** 14;

/** With a residual and ReLU: each of x, the residual, y, dy, dx and dresidual lies where others do not. */
async function inEveryPlace(scene: Scene): Promise<Check[]> {
  const { dtype, shape } = scene;
  const { x, dy } = scene.batch(1);
  const residual = scene.batch(2).x;
  if (x.length > mostInEveryPlace) return [];
  const layer = scene.layer({ activation: 'relu' });
  const want = await scene.step(layer, { x, dy }, { residual });
  const names = ['x', 'residual', 'y', 'dy', 'dx', 'dresidual'] as const;
  const checks: Check[] = [];
  for (const one of names) {
    for (const isAlone of [true, false]) {
      const put = (name: (typeof names)[number], values: FloatArray): Tensor => {
        if ((name === one) !== isAlone) return { data: values.slice(), shape };
        const tensor = layer.from({ data: values, shape });
        scene.memory.own(tensor);
        return tensor;
      };
      const junk = allocate(dtype, x.length).fill(7);
      const y = put('y', junk);
      await scene.forward(layer, put('x', x), { out: y, residual: put('residual', residual) });
      const buffers = { dx: put('dx', junk), dresidual: put('dresidual', junk) };
      const gradients = await scene.backward(layer, put('dy', dy), buffers);
      const what = isAlone ? `${one} alone allocated` : `all but ${one} allocated`;
      checks.push(...same(what, { y: y.data, ...(await scene.read(gradients)) }, want));
    }
  }
  return checks;
}

function describes(what: string, { data, shape, disposed }: AllocatedTensor, scene: Scene): Check[] {
  const like = allocate(scene.dtype, 0);
  const isArray = Object.getPrototypeOf(data) === Object.getPrototypeOf(like) && data.length === product(scene.shape);
  const isShape = Array.isArray(shape) && sameBits(shape, scene.shape) && shape !== scene.shape;
  return [
    outcome(`${what}: data`, isArray, `: received ${data.length} elements of ${data.constructor.name}`),
    outcome(`${what}: shape`, isShape, `: received [${shape}], expected a copy of [${scene.shape}]`),
    outcome(`${what}: disposed`, disposed === false, ': received a tensor that is disposed'),
  ];
}

/** The gradients of a step. */
function without<T extends { readonly y: unknown }>({ y: _, ...gradients }: T): Omit<T, 'y'> {
  return gradients;
}
