// A right backend of float16, made of a right one of float32: what is stored is decoded, computed, and encoded.
import { assertDtype, dtypeOf, elementsFrom, type FloatArray, numbersOf, type Plan } from '@batchnorm/core-api';
import {
  contentsOf,
  createRightBackend,
  deviceStages,
  type HostStages,
  type RightBackend,
  type RightKernels,
  Stored,
  StoredTensor,
} from './right-backend.js';

/** How numbers are stored, in one kind of memory, and what computes in between. */
export interface Conversion {
  decode(bits: Uint16Array): FloatArray;
  /** As many bits as there are numbers. */
  encode(numbers: FloatArray): Uint16Array;
  /** The stages of float32 that are computed with. */
  compute(float32: HostStages, plan: Plan): HostStages;
  /** The stages of float16, when all is done. */
  finish(float16: HostStages, plan: Plan): HostStages;
}

const right: Conversion = {
  decode: (bits) => numbersOf(bits),
  encode: (numbers) => elementsFrom('float16', numbers) as Uint16Array,
  compute: (float32) => float32,
  finish: (float16) => float16,
};

/** float16, float32 and float64, in host memory and on a device whose bytes are counted. */
export function createFloat16Backend(
  onHost: Partial<Conversion> = {},
  onDevice: Partial<Conversion> = onHost,
): RightBackend {
  const backend = createRightBackend();
  const { prepare, upload } = backend;
  const alive = new Set<unknown>();
  const store: Parameters<typeof deviceStages>[1] = {
    tensor: (shape, elements) => new StoredTensor(backend, shape, elements, alive),
    value: (value, copy) => new Stored(value, copy, alive),
    answer: async (compute) => compute(),
  };
  const stagesOf = (plan: Plan, changes: Partial<Conversion>): HostStages => {
    if (plan.dtype !== 'float16') return prepare(plan);
    const conversion = { ...right, ...changes };
    const float32 = prepare({ ...plan, dtype: 'float32' });
    return conversion.finish(converted(conversion.compute(float32, plan), conversion), plan);
  };
  return Object.assign(backend, {
    capabilities: { ...backend.capabilities, dtypes: ['float16', 'float32', 'float64'] as const },
    execution: {
      ...backend.execution,
      accumulation: { float16: 'float64', float32: 'float64', float64: 'float64' } as const,
    },
    prepare: (plan: Plan): RightKernels => {
      const device = deviceStages(stagesOf(plan, onDevice), store);
      return { ...stagesOf(plan, onHost), device, dispose() {} };
    },
    async upload(given: Parameters<typeof upload>[0]) {
      assertDtype(backend, dtypeOf(given.data));
      const uploaded = await upload(given);
      const own = new StoredTensor(backend, uploaded.shape, contentsOf(uploaded), alive);
      uploaded.dispose();
      return own;
    },
    allocatedBytes: () => {
      const sizes = [...alive].map((one) => (one as Stored<unknown>).value);
      return sizes.reduce<number>((sum, value) => sum + (ArrayBuffer.isView(value) ? value.byteLength : 0), 0);
    },
  });
}

/** The stages of float32 on arrays of bits. */
function converted(float32: HostStages, { decode, encode }: Conversion): HostStages {
  const numbers = (bits: FloatArray) => decode(bits as Uint16Array);
  const maybe = (bits: FloatArray | undefined) => bits && numbers(bits);
  const stored = (result: FloatArray, out: FloatArray | undefined) => {
    const bits = encode(result);
    if (!out) return bits;
    out.set(bits);
    return out;
  };
  return {
    moments: (input) => float32.moments({ ...input, x: numbers(input.x) }),
    normalize: ({ x, residual, y, ...others }) => {
      const output = float32.normalize({ ...others, x: numbers(x), residual: maybe(residual), y: undefined });
      return { saved: output.saved, y: stored(output.y, y) };
    },
    gradientSums: ({ saved, dy }) => float32.gradientSums({ saved, dy: numbers(dy) }),
    inputGradient: ({ dy, dx, dresidual, ...others }) => {
      const output = float32.inputGradient({ ...others, dy: numbers(dy), dx: undefined, dresidual: undefined });
      return {
        dgamma: output.dgamma,
        dbeta: output.dbeta,
        dx: stored(output.dx, dx),
        ...(output.dresidual && { dresidual: stored(output.dresidual, dresidual) }),
      };
    },
  };
}
