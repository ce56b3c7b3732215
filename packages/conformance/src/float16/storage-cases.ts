// float16 as storage: every bit pattern is read and written, what lies halfway is rounded to even, results lie where and
// how they are asked for, and take half the memory.
import {
  BatchNorm,
  type BatchNormOptions,
  type Dtype,
  elementsFrom,
  type FloatArray,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../compare.js';
import type { ConformanceCase, MemoryKind, Refusal, Subject } from '../conformance-case.js';
import { type ActivationMemory, activationMemory } from '../memory/activation-memory.js';
import { memoryKinds, refusedMemory } from '../memory/kinds.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { float16Case } from './float16-case.js';

/** Rows and runs of 2^16 elements: every pattern of bits once. */
const ofEveryPattern = [
  [16_384, 4],
  [8, 4, 2048],
];

/** Numbers that float32 holds, and the bits of the float16 that is nearest; of two, the even one. */
const rounded: readonly (readonly [number, bits: number])[] = [
  [1 + 2 ** -11, 0x3c00],
  [1 + 2 ** -11 + 2 ** -23, 0x3c01],
  [1 + 2 ** -11 - 2 ** -23, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [1 + 3 * 2 ** -11 - 2 ** -23, 0x3c01],
  [1 + 2 ** -10 - 2 ** -20, 0x3c01],
  [-1 - 2 ** -11, 0xbc00],
  [-1 - 3 * 2 ** -11, 0xbc02],
  [2 - 2 ** -11, 0x4000],
  [2049, 0x6800],
  [2051, 0x6802],
  [65519, 0x7bff],
  [65520, 0x7c00],
  [-65519, 0xfbff],
  [-65520, 0xfc00],
  [1e6, 0x7c00],
  [2 ** -14, 0x0400],
  [2 ** -14 - 2 ** -25, 0x0400],
  [2 ** -14 - 2 ** -25 - 2 ** -38, 0x03ff],
  [3 * 2 ** -25, 0x0002],
  [2 ** -24, 0x0001],
  [2 ** -25 + 2 ** -48, 0x0001],
  [2 ** -25, 0x0000],
  [-(2 ** -25), 0x8000],
  [-(2 ** -24), 0x8001],
];

export const storageCases: readonly ConformanceCase[] = [
  ...memoryKinds.flatMap((memory) => [
    inMemory(memory, {
      name: 'every pattern of bits is read and written',
      why: 'by layers that change nothing; NaN may be any NaN, and zeros have the sign that they have in float32',
      shapes: ofEveryPattern,
      needs: ['float16', 'float32'],
      run: everyPattern,
    }),
    inMemory(memory, {
      name: 'results are rounded to nearest, and to even halfway',
      why: 'once, whatever the way: y and dx that are known exactly',
      shapes: [[9, rounded.length]],
      run: roundedOnce,
    }),
    inMemory(memory, {
      name: 'results lie in what was given',
      why: 'as bits, anywhere in a buffer, of which nothing else is written',
      shapes: [[5, 3, 7]],
      run: whereGiven,
    }),
  ]),
  unless(
    () => (float16Array() ? undefined : 'this engine has no Float16Array'),
    float16Case({
      name: 'a Float16Array gives a Float16Array',
      why: 'with the bits that a Uint16Array of bits would have had',
      run: float16Arrays,
    }),
  ),
  unless(
    ({ backend }) => (backend.allocatedBytes ? undefined : 'the backend counts no memory'),
    inMemory('device', {
      name: 'tensors take half the memory',
      why: 'as the backend counts it: half of what they take in float32',
      shapes: [[2 ** 14, 8]],
      needs: ['float16', 'float32'],
      run: halfTheMemory,
    }),
  ),
];

/** The case, unless something else speaks against it. */
function unless(reason: (subject: Subject) => string | undefined, one: ConformanceCase): ConformanceCase {
  return { ...one, inapplicable: async (subject) => (await one.inapplicable?.(subject)) ?? reason(subject) };
}

interface Question {
  readonly name: string;
  readonly why: string;
  readonly shapes: readonly (readonly number[])[];
  readonly needs?: readonly Dtype[];
  run(subject: Subject, memory: ActivationMemory, shape: readonly number[]): Promise<readonly Check[]>;
}

/** The question about activations in this memory, of each shape. */
function inMemory(kind: MemoryKind, { name, why, shapes, needs, run }: Question): ConformanceCase {
  const ask = async (subject: Subject): Promise<readonly Check[] | Refusal> => {
    const refusal = (await refusedMemory(kind, subject)) ?? (await refusedByLimit(subject, shapes));
    if (refusal) return refusal;
    const checks: Check[] = [];
    for (const shape of shapes) {
      const memory = activationMemory(kind, subject.backend);
      try {
        for (const one of await run(subject, memory, shape)) checks.push({ ...one, what: `[${shape}] ${one.what}` });
        const { damage } = memory;
        checks.push(
          outcome(
            `[${shape}] beside the arrays`,
            damage === 0,
            `: received ${damage} bytes that were written, expected 0`,
          ),
        );
      } finally {
        memory.dispose();
      }
    }
    return checks;
  };
  return float16Case({ name: `${name} [${kind}]`, why, run: ask }, needs);
}

/** A layer whose inference is y = x · gamma + beta, and whose gradient there is dx = dy · gamma: σ is 1. */
function plainLayer({ backend }: Subject, channels: number, options: Partial<BatchNormOptions> = {}): BatchNorm {
  return new BatchNorm({ backend, dtype: 'float16', numFeatures: channels, epsilon: 0, ...options });
}

const inference = { training: false } as const;

async function everyPattern(subject: Subject, memory: ActivationMemory, shape: readonly number[]): Promise<Check[]> {
  const all = Uint16Array.from({ length: product(shape) }, (_, bits) => bits);
  const results = async (dtype: 'float16' | 'float32') => {
    const layer = plainLayer(subject, shape[1]!, { dtype });
    // −0 + −0 is −0, and 0 + −0 is 0.
    layer.beta.fill(-0);
    const patterns = dtype === 'float16' ? all : numbersOfBits(all);
    try {
      const y = await memory.read(await layer.forward((await memory.put(patterns, shape)) as Tensor, inference));
      const zeros = await memory.put(elementsFrom(dtype, new Float32Array(all.length)), shape);
      await layer.forward(zeros as Tensor, inference);
      const { dx } = await layer.backward((await memory.put(patterns, shape)) as Tensor);
      return { y, dx: await memory.read(dx) };
    } finally {
      await layer.dispose();
    }
  };
  const [received, expected] = [await results('float16'), await results('float32')];
  return (['y', 'dx'] as const).map((name) =>
    identical(name, numbersOfBits(received[name]), numbersOfBits(elementsFrom('float16', expected[name]))),
  );
}

/** The numbers that bits stand for, by their definition. */
function numbersOfBits(bits: FloatArray): Float32Array {
  return Float32Array.from(bits, (pattern) => {
    const [sign, exponent, fraction] = [pattern >> 15 ? -1 : 1, (pattern >> 10) & 31, (pattern & 1023) / 1024];
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
  });
}

async function roundedOnce(subject: Subject, memory: ActivationMemory, shape: readonly number[]): Promise<Check[]> {
  const numbers = Float64Array.from(rounded, ([number]) => number);
  const expected = Uint16Array.from({ length: product(shape) }, (_, k) => rounded[k % rounded.length]![1]);
  const all = (value: number) =>
    memory.put(elementsFrom('float16', new Float32Array(expected.length).fill(value)), shape);
  const toBeta = plainLayer(subject, rounded.length);
  const timesGamma = plainLayer(subject, rounded.length);
  try {
    toBeta.beta = numbers;
    timesGamma.gamma = numbers;
    const fromBeta = await memory.read(await toBeta.forward((await all(0)) as Tensor, inference));
    const fromGamma = await memory.read(await timesGamma.forward((await all(1)) as Tensor, inference));
    const { dx } = await timesGamma.backward((await all(1)) as Tensor);
    return [
      sameBits('y = beta', fromBeta, expected),
      sameBits('y = gamma', fromGamma, expected),
      sameBits('dx = gamma', await memory.read(dx), expected),
    ];
  } finally {
    await toBeta.dispose();
    await timesGamma.dispose();
  }
}

/** Checks that both are bits, and the same. */
function sameBits(what: string, received: FloatArray, expected: FloatArray): Check {
  const other = [received, expected].find((data) => !(data instanceof Uint16Array));
  if (other) return outcome(what, false, `: received a ${other.constructor.name}, expected a Uint16Array`);
  return identical(what, received, expected);
}

async function whereGiven(subject: Subject, memory: ActivationMemory, shape: readonly number[]): Promise<Check[]> {
  const values = Float32Array.from({ length: product(shape) }, (_, k) => (k % 11) - 5);
  const put = () => memory.put(elementsFrom('float16', values), shape);
  const [layer, other] = [plainLayer(subject, shape[1]!), plainLayer(subject, shape[1]!)];
  const checks: Check[] = [];
  try {
    for (const training of [true, false]) {
      const what = training ? 'training' : 'inference';
      const y = await layer.forward((await put()) as Tensor, { training });
      const { dx } = await layer.backward((await put()) as Tensor);
      const [out, into] = [await put(), await put()];
      const given = await other.forward((await put()) as Tensor, { training, out: out as Tensor });
      const gradients = await other.backward((await put()) as Tensor, { out: { dx: into as Tensor } });
      const isGiven = given === (out as unknown) && gradients.dx === (into as unknown);
      checks.push(
        outcome(`${what}: y and dx`, isGiven, ': received others, expected the tensors that were given'),
        sameBits(`${what}: y in what was given`, await memory.read(out), await memory.read(y)),
        sameBits(`${what}: dx in what was given`, await memory.read(into), await memory.read(dx)),
      );
    }
    return checks;
  } finally {
    await layer.dispose();
    await other.dispose();
  }
}

const float16Array = () => (globalThis as { Float16Array?: Uint16ArrayConstructor }).Float16Array;

async function float16Arrays(subject: Subject): Promise<Check[]> {
  const Float16Array = float16Array()!;
  const shape = [5, 3];
  const bits = elementsFrom(
    'float16',
    Float32Array.from({ length: 15 }, (_, k) => (k % 7) - 3),
  ) as Uint16Array;
  /** In the middle of a buffer. */
  const put = () => {
    const around = new Uint16Array(bits.length + 4);
    around.set(bits, 3);
    return { data: new Float16Array(around.buffer, 6, bits.length), shape };
  };
  const bitsOf = ({ buffer, byteOffset, length }: FloatArray) => new Uint16Array(buffer, byteOffset, length);
  const [layer, other] = [plainLayer(subject, 3), plainLayer(subject, 3)];
  try {
    const y = await layer.forward(put());
    const { dx } = await layer.backward(put());
    const out = put();
    const given = await layer.forward(put(), { out, training: false });
    const wantY = await other.forward({ data: bits.slice(), shape });
    const { dx: wantDx } = await other.backward({ data: bits.slice(), shape });
    const wantGiven = await other.forward({ data: bits.slice(), shape }, { training: false });
    const isOne = [y.data, dx.data].every((data) => data instanceof Float16Array);
    return [
      outcome('y and dx', isOne, ': received other arrays, expected a Float16Array each'),
      outcome('out', given === out, ': received another, expected what was given'),
      sameBits('y', bitsOf(y.data), bitsOf(wantY.data)),
      sameBits('dx', bitsOf(dx.data), bitsOf(wantDx.data)),
      sameBits('y in what was given', bitsOf(out.data), bitsOf(wantGiven.data)),
    ];
  } finally {
    await layer.dispose();
    await other.dispose();
  }
}

async function halfTheMemory({ backend }: Subject, _: ActivationMemory, shape: readonly number[]): Promise<Check[]> {
  const numbers = new Float32Array(product(shape)).fill(1);
  const bytesOf = async (dtype: 'float16' | 'float32') => {
    const layer = new BatchNorm({ backend, dtype, numFeatures: shape[1]! });
    const upload = () => backend.upload({ data: elementsFrom(dtype, numbers), shape });
    const [x, dy] = [await upload(), await upload()];
    const y = await layer.forward(x, inference);
    const { dx } = await layer.backward(dy);
    await layer.dispose();
    return [x, y, dy, dx].map((tensor) => {
      const before = backend.allocatedBytes!();
      tensor.dispose();
      return before - backend.allocatedBytes!();
    });
  };
  const [received, float32] = [await bytesOf('float16'), await bytesOf('float32')];
  // What a tensor takes beside its elements is no more than a 64th of so many.
  return ['x', 'y', 'dy', 'dx'].map((name, n) => {
    const most = float32[n]! * (1 / 2 + 1 / 64);
    return outcome(name, received[n]! <= most, `: received ${received[n]} bytes, expected half of ${float32[n]}`);
  });
}
