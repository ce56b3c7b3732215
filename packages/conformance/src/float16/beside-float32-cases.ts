// What a layer of float16 is asked beside one of float32: every way to call it.
import { elementsFrom, numbersOf } from '@batchnorm/core-api';
import { type Check, outcome } from '../compare.js';
import type { ConformanceCase, Layout, MemoryKind, Subject } from '../conformance-case.js';
import { memoryKinds, refusedMemory } from '../memory/kinds.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { BesideFloat32 } from './beside-float32.js';
import { float16Case } from './float16-case.js';

/** Its bits. There is none behind a ReLU. */
const minusZero = 0x8000;

/** As float16 has them. */
const stored = (numbers: Float32Array) => numbersOf(elementsFrom('float16', numbers)) as Float32Array;

interface Program {
  readonly name: string;
  readonly why: string;
  readonly run: (subject: Subject, memory: MemoryKind, shape: readonly number[]) => Promise<readonly Check[]>;
}

/** Odd numbers of elements, of channels, and of values in a run. */
const shapeOf: Readonly<Record<Layout, readonly number[]>> = { rows: [37, 7], runs: [5, 3, 9] };

const programs: readonly Program[] = [
  {
    name: 'steps',
    why: 'into new arrays, given ones and over the input; tracked and not; passes; no values',
    run: steps,
  },
  {
    name: 'masks and residuals',
    why: 'they are of the numbers that are stored; dresidual is dy to the bit',
    run: masks,
  },
  { name: 'ReLU', why: 'the same elements pass, in y and in gradients', run: rectified },
  { name: 'what is not finite', why: 'NaN and infinity spread as far, and no farther', run: notFinite },
];

export const besideFloat32Cases: readonly ConformanceCase[] = programs.flatMap(({ name, why, run }) =>
  memoryKinds.flatMap((memory) =>
    (['rows', 'runs'] as const).map((layout) => {
      const shape = shapeOf[layout];
      const question = async (subject: Subject) => {
        const refusal = (await refusedMemory(memory, subject)) ?? (await refusedByLimit(subject, [shape]));
        return refusal ?? run(subject, memory, shape);
      };
      return float16Case({ name: `${name} beside float32 [${memory}, ${layout}]`, why, run: question }, [
        'float16',
        'float32',
      ]);
    }),
  ),
);

async function steps(subject: Subject, memory: MemoryKind, shape: readonly number[]): Promise<readonly Check[]> {
  const beside = new BesideFloat32(subject, memory, shape, { emptyBatch: 'pass' });
  const smaller = shape.with(0, 4);
  try {
    const first = await beside.forward('a first step', beside.numbers(1));
    await beside.backward(first, beside.numbers(2));
    const second = await beside.forward('a step into given arrays', beside.numbers(3), { out: 'given' });
    await beside.backward(second, beside.numbers(4), { out: 'given' });
    await beside.backward(second, beside.numbers(5), { out: 'dy' });
    const small = await beside.forward('another shape', beside.numbers(6, smaller), {}, smaller);
    await beside.backward(small, beside.numbers(7, smaller));
    const [one, other] = [
      await beside.forward('a pass', beside.numbers(8), { as: 'pass' }),
      await beside.forward('a later pass', beside.numbers(9), { as: 'pass', out: 'given' }),
    ];
    await beside.backward(one, beside.numbers(10));
    await beside.backward(other, beside.numbers(11), { out: 'dy' });
    const untracked = await beside.forward('a step that is not tracked', beside.numbers(12), { track: false });
    await beside.backward(untracked, beside.numbers(13));
    await beside.empty();
    const inference = await beside.forward('inference', beside.numbers(14), { training: false, out: 'given' });
    await beside.backward(inference, beside.numbers(15), { out: 'given' });
    await beside.backward(inference, beside.numbers(16), { out: 'dy' });
    await beside.forward('inference over x', beside.numbers(17), { training: false, out: 'x' });
    return await beside.finish();
  } finally {
    await beside.dispose();
  }
}

async function masks(subject: Subject, memory: MemoryKind, shape: readonly number[]): Promise<readonly Check[]> {
  const beside = new BesideFloat32(subject, memory, shape);
  const mask = { data: Uint8Array.from({ length: shape[0]! }, (_, n) => (n % 3 === 1 ? 0 : 1)), shape: [shape[0]!] };
  try {
    const masked = await beside.forward('a masked step', beside.numbers(1), { mask });
    await beside.backward(masked, beside.numbers(2));
    const added = await beside.forward('a residual', beside.numbers(3), { residual: beside.numbers(4), out: 'given' });
    await beside.backward(added, beside.numbers(5), { out: 'given' });
    const all = await beside.forward('both', beside.numbers(6), { mask, residual: beside.numbers(7) });
    await beside.backward(all, beside.numbers(8), { out: 'dy' });
    const given = { training: false, residual: beside.numbers(10) };
    const inference = await beside.forward('inference with a residual', beside.numbers(9), given);
    await beside.backward(inference, beside.numbers(11));
    return await beside.finish();
  } finally {
    await beside.dispose();
  }
}

async function rectified(subject: Subject, memory: MemoryKind, shape: readonly number[]): Promise<readonly Check[]> {
  const beside = new BesideFloat32(subject, memory, shape, { activation: 'relu' });
  /** Larger than anything that was normalised: no z is so near to 0 that its sign is a matter of rounding. */
  const far = (seed: number) => stored(beside.numbers(seed).map((value) => value + 12 * Math.sign(value - 0.25)));
  try {
    for (const training of [true, false]) {
      const name = training ? 'training' : 'inference';
      const step = await beside.forward(name, beside.numbers(1), { training, residual: far(2) });
      const k = step.y.float16.indexOf(minusZero);
      beside.checks.push(outcome(`y of ${name}`, k < 0, `[${k}]: received −0, expected 0`));
      await beside.backward(step, beside.numbers(3), { out: 'given' });
      await beside.backward(step, beside.numbers(4), { out: 'dy' });
    }
    return await beside.finish();
  } finally {
    await beside.dispose();
  }
}

async function notFinite(subject: Subject, memory: MemoryKind, shape: readonly number[]): Promise<readonly Check[]> {
  const beside = new BesideFloat32(subject, memory, shape, { trackRunningStatistics: false });
  const length = shape.reduce((a, b) => a * b, 1);
  const withValues = (numbers: Float32Array, values: readonly number[]) => {
    // One in the middle, one at the end: of different channels.
    for (const [n, value] of values.entries()) numbers[n === 0 ? length >> 1 : length - n] = value;
    return numbers;
  };
  try {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const x = await beside.forward(`${value} in x`, withValues(beside.numbers(1), [value]));
      await beside.backward(x, beside.numbers(2));
      const dy = await beside.forward(`${value} in dy`, beside.numbers(3));
      await beside.backward(dy, withValues(beside.numbers(4), [65504, value]), { out: 'dy' });
    }
    return await beside.finish();
  } finally {
    await beside.dispose();
  }
}
