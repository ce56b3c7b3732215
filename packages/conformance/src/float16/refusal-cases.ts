// float16 and other dtypes do not mix: what is of another is refused, and changes nothing.
import {
  type Backend,
  BatchNorm,
  type Dtype,
  elementsFrom,
  type FloatArray,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../compare.js';
import type { ConformanceCase, MemoryKind, Subject } from '../conformance-case.js';
import { refuses } from '../expect-refusal.js';
import { type Activation, activationMemory } from '../memory/activation-memory.js';
import { memoryKinds, refusedMemory } from '../memory/kinds.js';
import { caseOfAll, float16Case } from './float16-case.js';

export const refusalCases: readonly ConformanceCase[] = [
  // A backend without float16 is asked for its refusal before this runs.
  caseOfAll({ name: 'a layer of float16', why: 'a backend has it, or refuses it with DTYPE_MISMATCH', run: isLayer }),
  ...memoryKinds.map((memory) =>
    float16Case({
      name: `other dtypes are refused [${memory}]`,
      why: 'DTYPE_MISMATCH, whichever of the two is the other, and nothing has changed',
      run: async (subject) => {
        const refusal = await refusedMemory(memory, subject);
        if (refusal) return refusal;
        const others = subject.backend.capabilities.dtypes.filter((dtype) => dtype !== 'float16');
        const pairs = others.flatMap((other): [Dtype, Dtype][] => [
          ['float16', other],
          [other, 'float16'],
        ]);
        const checks = await Promise.all(
          pairs.map(([own, other]) => refusesOther(subject.backend, memory, own, other)),
        );
        return [outcome('float16', true, ''), ...checks.flat()];
      },
    }),
  ),
];

async function isLayer({ backend }: Subject): Promise<Check[]> {
  const layer = new BatchNorm({ backend, dtype: 'float16', numFeatures: 2 });
  try {
    const { data } = await layer.forward({ data: Uint16Array.of(0x3c00, 0x3c00), shape: [1, 2] }, { training: false });
    return [identical('y', data, Uint16Array.of(0x3c00, 0x3c00))];
  } finally {
    await layer.dispose();
  }
}

/** Whether a layer of the one dtype refuses tensors of the other, wherever they are given. */
async function refusesOther(backend: Backend, kind: MemoryKind, own: Dtype, other: Dtype): Promise<Check[]> {
  const shape = [4, 3];
  const memory = activationMemory(kind, backend);
  const layer = new BatchNorm({ backend, dtype: own, numFeatures: 3 });
  const put = (dtype: Dtype, values: ArrayLike<number>) =>
    memory.put(elementsFrom(dtype, values), shape) as Promise<Tensor>;
  const values = Float32Array.from({ length: product(shape) }, (_, k) => (k * k) % 7);
  const checks: Check[] = [];
  try {
    const y = await layer.forward(await put(own, values));
    const { dx } = await layer.backward(await put(own, values));
    const before = { state: JSON.stringify(await layer.state()), dx: await memory.read(dx), y: await memory.read(y) };
    const [right, wrong] = [await put(own, values), await put(other, values)];
    const calls: Record<string, () => Promise<unknown>> = {
      x: () => layer.forward(wrong),
      'x of inference': () => layer.forward(wrong, { training: false }),
      out: () => layer.forward(right, { out: wrong }),
      residual: () => layer.forward(right, { residual: wrong }),
      dy: () => layer.backward(wrong),
      'out of backward': () => layer.backward(right, { out: { dx: wrong } }),
      'x of a pass': () => layer.forwardPass(wrong),
      'x of moments': () => layer.moments(wrong),
    };
    for (const [what, call] of Object.entries(calls)) {
      checks.push(await refuses(`${what} of ${other} for a layer of ${own}`, 'DTYPE_MISMATCH', call));
    }
    const same = (what: string, received: FloatArray, expected: FloatArray) =>
      checks.push(identical(`${what} of ${own}, after what was refused`, received, expected));
    const state = JSON.stringify(await layer.state());
    checks.push(outcome(`state of ${own}, after what was refused`, state === before.state, ': received another'));
    same('the other tensor', await memory.read(wrong as Activation), elementsFrom(other, values));
    same('y', await memory.read(y), before.y);
    same('dx again', await memory.read((await layer.backward(right)).dx), before.dx);
    return checks;
  } finally {
    await layer.dispose();
    memory.dispose();
  }
}
