// Wrong about float16: how it is read and written, what is computed in between, and where.
import {
  type Backend,
  type BatchNormOptions,
  elementsFrom,
  type FloatArray,
  float16Bits,
  float16Numbers,
  numbersOf,
  type Tensor,
} from '@batchnorm/core-api';
import { type Conversion, createFloat16Backend } from './float16-backend.js';
import { buffer, embedded, layerOf, running, tensor } from './programs.js';
import type { RightSaved } from './right-backend.js';
import { adapt } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

const dtype = 'float16';
const half = (values: ArrayLike<number>, shape: readonly number[]): Tensor => ({
  data: elementsFrom(dtype, values),
  shape,
});
const halfOf = ({ data, shape }: Tensor): Tensor => half(numbersOf(data), shape);

/** An odd number of elements. */
const shape = [7, 3];
const x = halfOf(tensor(shape));
const dy = halfOf(tensor(shape, 2));

const ofFloat16 = (backend: Backend, channels = 3, options: Partial<BatchNormOptions> = {}) =>
  layerOf(backend, channels, { dtype, ...options });

/** y, gradients and running statistics of a training step. */
const trained =
  (given = x, upstream = dy) =>
  async (backend: Backend) => {
    const layer = ofFloat16(backend, given.shape[1]);
    const y = (await layer.forward(given)).data.slice();
    const { dx, dgamma, dbeta } = await layer.backward(upstream);
    return { y, dx: dx.data.slice(), dgamma, dbeta, running: running(layer) };
  };

/** The bits of gamma · x + beta, for each channel another x and beta. */
const inferred =
  (values: readonly number[], beta = 0, gamma = 1) =>
  async (backend: Backend) => {
    const layer = ofFloat16(backend, values.length, { epsilon: 0 });
    layer.gamma.fill(gamma);
    layer.beta.fill(beta);
    return (await layer.forward(half(values, [1, values.length]), { training: false })).data.slice();
  };

/** The same with device tensors. */
const onDevice = async (backend: Backend) => {
  const y = await ofFloat16(backend).forward(await backend.upload(x));
  return y.read();
};

/** Everything but how numbers are stored or computed is right. */
const stored = (onHost: Partial<Conversion>, device = onHost) => ({
  right: createFloat16Backend,
  spoil: () => createFloat16Backend(onHost, device),
  tolerance: 0,
});

const encoded = (bitsOf: (value: number, k: number, length: number) => number): Partial<Conversion> => ({
  encode: (numbers) => Uint16Array.from(numbers, (value, k) => bitsOf(value, k, numbers.length)),
});

const decoded = (numberOf: (bits: number, k: number, length: number) => number): Partial<Conversion> => ({
  decode: (all) => Float32Array.from(all, (bits, k) => numberOf(bits, k, all.length)),
});

const numberOf = (bits: number): number => float16Numbers()[bits]!;
const roundedToFloat16 = (value: number): number => numberOf(float16Bits(value));
const rounded = (values: Float64Array): Float64Array => values.map(roundedToFloat16);

/** The bits of the float16 that is nearest towards 0. */
function truncated(value: number): number {
  const bits = float16Bits(value);
  return Math.abs(numberOf(bits)) > Math.abs(value) && Number.isFinite(value) ? bits - 1 : bits;
}

/** To nearest, away from 0 halfway. */
function halfUp(value: number): number {
  const down = truncated(value);
  return Number.isFinite(value) && Math.abs(value - numberOf(down)) >= Math.abs(numberOf(down + 1) - value)
    ? down + 1
    : down;
}

const isSubnormal = (bits: number) => (bits & 0x7c00) === 0 && (bits & 0x3ff) !== 0;

export const float16: readonly WrongBackend[] = [
  {
    name: 'float16: truncation',
    why: 'results are cut off, not rounded',
    caughtBy: 'results are rounded to nearest, and to even halfway [host]',
    ...stored(encoded(truncated)),
    program: trained(),
  },
  {
    name: 'float16: half is rounded up',
    why: 'what lies halfway is rounded away from 0',
    caughtBy: 'results are rounded to nearest, and to even halfway [host]',
    ...stored(encoded(halfUp)),
    program: inferred([1], 2 ** -11),
  },
  {
    name: 'float16: rounded twice',
    why: 'first to 13 digits after the point, then to 10',
    caughtBy: 'results are rounded to nearest, and to even halfway [host]',
    ...stored(
      encoded((value) => {
        const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 13);
        return float16Bits(Number.isFinite(value) && value !== 0 ? Math.round(value / unit) * unit : value);
      }),
    ),
    program: inferred([1], 2 ** -11 + 2 ** -20),
  },
  {
    name: 'float16: through bfloat16',
    why: 'results are rounded to 8 digits before they are stored',
    caughtBy: 'sizes [3,3]',
    ...stored(encoded((value) => float16Bits(Math.fround(value * (1 + 2 ** 16)) - Math.fround(value * 2 ** 16)))),
    program: trained(),
  },
  {
    name: 'float16: no infinity',
    why: 'results beyond float16 are 65504',
    caughtBy: 'y beyond float16, [67,5]',
    ...stored(encoded((value) => float16Bits(Math.min(65504, Math.max(-65504, value))))),
    program: inferred([2], 0, 60000),
  },
  {
    name: 'float16: infinity too early',
    why: 'what is above 65504 is infinite, not only from 65520 on',
    caughtBy: 'results are rounded to nearest, and to even halfway [host]',
    ...stored(encoded((value) => (Math.abs(value) > 65504 ? (value < 0 ? 0xfc00 : 0x7c00) : float16Bits(value)))),
    program: inferred([1], 65519 - 1),
  },
  {
    name: 'float16: 65504 is infinite when it is read',
    why: 'its exponent counts as that of infinity',
    caughtBy: 'every pattern of bits is read and written [host]',
    ...stored(decoded((bits) => ((bits & 0x7c00) === 0x7800 ? numberOf((bits & 0x8000) | 0x7c00) : numberOf(bits)))),
    program: inferred([65504]),
  },
  {
    name: 'float16: subnormal results are 0',
    why: 'what is below 2⁻¹⁴ is stored as 0',
    caughtBy: 'results that are subnormal, [67,5]',
    ...stored(encoded((value) => (isSubnormal(float16Bits(value)) ? 0 : float16Bits(value)))),
    program: inferred([2 ** -20]),
  },
  {
    name: 'float16: subnormal inputs are 0',
    why: 'what is below 2⁻¹⁴ is read as 0',
    caughtBy: 'subnormal numbers, [67,5]',
    ...stored(decoded((bits) => (isSubnormal(bits) ? 0 : numberOf(bits)))),
    program: inferred([2 ** -20], 1, 2 ** 20),
  },
  {
    name: 'float16: −0 is stored as 0',
    why: 'its sign is lost',
    caughtBy: 'every pattern of bits is read and written [host]',
    ...stored(encoded((value) => float16Bits(value + 0))),
    program: inferred([-0], -0),
  },
  {
    name: 'float16: small negative results are 0',
    why: 'the sign of what is rounded to −0 is lost',
    caughtBy: 'results are rounded to nearest, and to even halfway [host]',
    ...stored(encoded((value) => (value < 0 && value >= -(2 ** -25) ? 0 : float16Bits(value)))),
    program: inferred([0], -(2 ** -26)),
  },
  {
    name: 'float16: NaN is stored as infinity',
    why: 'the fraction of NaN is lost',
    caughtBy: 'every pattern of bits is read and written [host]',
    ...stored(encoded((value) => (Number.isNaN(value) ? 0x7c00 : float16Bits(value)))),
    program: inferred([Number.NaN]),
  },
  {
    name: 'float16: NaN is read as infinity',
    why: 'every exponent of 31 counts as infinity',
    caughtBy: 'every pattern of bits is read and written [host]',
    ...stored(decoded((bits) => ((bits & 0x7c00) === 0x7c00 ? numberOf(bits & 0xfc00) : numberOf(bits)))),
    program: inferred([Number.NaN]),
  },
  {
    name: 'float16: some NaN are numbers',
    why: 'NaN with a low fraction is read as if its exponent were one of numbers',
    caughtBy: 'every pattern of bits is read and written [device]',
    ...stored(
      {},
      decoded((bits) => ((bits & 0x7fff) === 0x7c01 ? 65536 : numberOf(bits))),
    ),
    program: async (backend) => {
      const layer = ofFloat16(backend, 1);
      const given = await backend.upload({ data: Uint16Array.of(0x7c01), shape: [1, 1] });
      return (await layer.forward(given, { training: false })).read();
    },
  },
  {
    name: 'float16: the last of an odd number is read as an integer',
    why: 'the tail of a loop over pairs does not decode',
    caughtBy: 'sizes [3,3]',
    ...stored(decoded((bits, k, length) => (length % 2 === 1 && k === length - 1 ? bits : numberOf(bits)))),
    program: trained(),
  },
  {
    name: 'float16: the last of an odd number is not written',
    why: 'a loop over pairs leaves it out',
    caughtBy: 'sizes [3,3]',
    ...stored(encoded((value, k, length) => (length % 2 === 1 && k === length - 1 ? 0 : float16Bits(value)))),
    program: trained(),
  },
  {
    name: 'float16: the tail of a vector is truncated',
    why: 'what is left after groups of eight is converted by other code',
    caughtBy: 'sizes [3,2,7]',
    ...stored(encoded((value, k, length) => (k >= length - (length % 8) ? truncated(value) : float16Bits(value)))),
    program: trained(),
  },
  {
    name: 'float16: truncation of more than 65,536 elements',
    why: 'large activations are converted by other code',
    caughtBy: 'sizes [1027,67]',
    ...stored(encoded((value, _, length) => (length > 65_536 ? truncated(value) : float16Bits(value)))),
    program: trained(halfOf(tensor([5000, 14])), halfOf(tensor([5000, 14], 2))),
  },
  {
    name: 'float16: byteOffset is ignored when it is read',
    why: 'bits are those at the beginning of the buffer',
    caughtBy: 'sizes [3,3]',
    ...stored({ decode: ({ buffer, length }) => numbersOf(new Uint16Array(buffer, 0, length)) }),
    program: trained(embedded(x).tensor),
  },
  {
    name: 'float16: odd byteOffset is rounded down',
    why: 'elements are read from whole 32-bit words',
    caughtBy: 'sizes [3,3]',
    ...stored({
      decode: ({ buffer, byteOffset, length }) => numbersOf(new Uint16Array(buffer, byteOffset & ~3, length)),
    }),
    program: trained(embedded(x).tensor),
  },
  {
    name: 'float16: results are written in pairs',
    why: 'with an odd number of elements one is written behind the last',
    caughtBy: 'results lie in what was given [host]',
    ...stored({
      finish: (stages) => ({
        ...stages,
        normalize(input) {
          const { y } = input;
          const output = stages.normalize(input);
          const behind = y && y.byteOffset + y.byteLength;
          if (y && y.length % 2 === 1 && behind! < y.buffer.byteLength) new Uint16Array(y.buffer, behind, 1)[0] = 0;
          return output;
        },
      }),
    }),
    program: async (backend) => {
      const { tensor: out, around } = embedded(buffer(shape, dtype));
      await ofFloat16(backend).forward(x, { out });
      return around;
    },
  },
  {
    name: 'float16: truncation on the device',
    why: 'host arrays are rounded, device tensors are not',
    caughtBy: 'results are rounded to nearest, and to even halfway [device]',
    ...stored({}, encoded(truncated)),
    program: onDevice,
  },
  {
    name: 'float16: odd tails on the device',
    why: 'the last of an odd number is not decoded there',
    caughtBy: 'steps beside float32 [device, rows]',
    ...stored(
      {},
      decoded((bits, k, length) => (length % 2 === 1 && k === length - 1 ? bits : numberOf(bits))),
    ),
    program: onDevice,
  },
  {
    name: 'float16: statistics are added up in float16',
    why: 'each partial sum is rounded',
    caughtBy: 'sums beyond float16, [67,5]',
    ...stored({
      compute: (stages, { extent: { channels, inner } }) => ({
        ...stages,
        moments(input) {
          const moments = stages.moments(input);
          const sums = new Float64Array(channels);
          for (let k = 0; k < input.x.length; k++) {
            const c = Math.floor(k / inner) % channels;
            sums[c] = roundedToFloat16(sums[c]! + input.x[k]!);
          }
          return { ...moments, mean: sums.map((sum) => sum / moments.count) };
        },
      }),
    }),
    program: trained(),
  },
  {
    name: 'float16: squares are float16',
    why: 'deviations of 256 and more have infinite squares',
    caughtBy: 'squares beyond float16, [67,5]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        moments(input) {
          const { count, mean, m2 } = stages.moments(input);
          return { count, mean, m2: m2.map((sum) => count * Math.min(65504, sum / count)) };
        },
      }),
    }),
    program: trained(half([1000, -1000, 500, -500], [4, 1]), half([1, 2, 3, 5], [4, 1])),
  },
  {
    name: 'float16: statistics are rounded',
    why: 'mean and m2 have ten digits',
    caughtBy: 'sizes [3,3]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        moments(input) {
          const { count, mean, m2 } = stages.moments(input);
          return { count, mean: rounded(mean), m2: rounded(m2) };
        },
      }),
    }),
    program: trained(),
  },
  {
    name: 'float16: running variance is rounded',
    why: 'a batch is normalised by exact moments, and rounded ones are tracked',
    caughtBy: 'sizes [3,3]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        normalize: (input) => {
          const output = stages.normalize(input);
          const { batch } = input.by;
          batch?.m2.set(rounded(batch.m2));
          return output;
        },
      }),
    }),
    program: trained(),
  },
  {
    name: 'float16: given statistics are rounded',
    why: 'running ones are, before they normalise',
    caughtBy: 'sizes [3,3]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        normalize: (input) => {
          const { given } = input.by;
          if (!given) return stages.normalize(input);
          return stages.normalize({ ...input, by: { given: { ...given, mean: rounded(given.mean) } } });
        },
      }),
    }),
    program: async (backend) => {
      const layer = ofFloat16(backend);
      layer.runningMean.fill(0.3);
      return (await layer.forward(x, { training: false })).data.slice();
    },
  },
  {
    name: 'float16: gamma and beta are rounded',
    why: 'parameters are taken for activations',
    caughtBy: 'sizes [3,3]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        normalize: (input) => stages.normalize({ ...input, gamma: rounded(input.gamma), beta: rounded(input.beta) }),
      }),
    }),
    program: trained(),
  },
  ...(['dgamma', 'dbeta'] as const).map(
    (name): WrongBackend => ({
      name: `float16: ${name} is rounded`,
      why: 'as if it were an activation',
      caughtBy: 'sizes [3,3]',
      ...stored({
        finish: (stages) => ({
          ...stages,
          inputGradient(input) {
            const output = stages.inputGradient(input);
            output[name].set(rounded(output[name]));
            return output;
          },
        }),
      }),
      program: trained(),
    }),
  ),
  {
    name: 'float16: xHat of a gradient is rounded',
    why: 'what a forward keeps for its backward is float16, too',
    caughtBy: 'sizes [65,17]',
    ...stored({
      compute: (stages, { extent: { channels, inner } }) => ({
        ...stages,
        normalize(input) {
          const output = stages.normalize(input);
          const { mean, invStd } = output.saved as RightSaved;
          const kept = input.x.map((value, k) => {
            const c = Math.floor(k / inner) % channels;
            return mean[c]! + roundedToFloat16((value - mean[c]!) * invStd[c]!) / invStd[c]!;
          });
          Object.assign(output.saved, { x: kept });
          return output;
        },
      }),
    }),
    program: trained(),
  },
  {
    name: 'float16: residuals are left out',
    why: 'they are not decoded, and not added',
    caughtBy: 'masks and residuals beside float32 [host, rows]',
    ...stored({
      compute: (stages) => ({
        ...stages,
        normalize: ({ residual, ...input }) =>
          stages.normalize({ ...input, residual: residual?.map((value) => 0 * value) }),
      }),
    }),
    program: async (backend) => (await ofFloat16(backend).forward(x, { residual: dy })).data.slice(),
  },
  {
    name: 'float16: dresidual is dx',
    why: 'one buffer is encoded twice',
    caughtBy: 'masks and residuals beside float32 [host, rows]',
    ...stored({
      finish: (stages) => ({
        ...stages,
        inputGradient(input) {
          const output = stages.inputGradient(input);
          output.dresidual?.set(output.dx);
          return output;
        },
      }),
    }),
    program: async (backend) => {
      const layer = ofFloat16(backend);
      await layer.forward(x, { residual: dy });
      return (await layer.backward(dy)).dresidual!.data.slice();
    },
  },
  {
    name: 'float16: masks do not count',
    why: 'statistics are of all positions',
    caughtBy: 'masks and residuals beside float32 [host, rows]',
    ...stored({
      compute: (stages) => ({ ...stages, moments: ({ x: values, epsilon }) => stages.moments({ x: values, epsilon }) }),
    }),
    program: async (backend) => {
      const mask = { data: Uint8Array.of(1, 1, 0, 1, 0, 1, 1), shape: [7] };
      return (await ofFloat16(backend).forward(x, { mask })).data.slice();
    },
  },
  {
    name: 'float16: ReLU lets all of a gradient through',
    why: 'dresidual is dy where z is negative, too',
    caughtBy: 'ReLU beside float32 [host, rows]',
    ...stored({
      finish: (stages, { activation }) => ({
        ...stages,
        inputGradient(input) {
          const given = input.dy.slice();
          const output = stages.inputGradient(input);
          if (activation === 'relu') output.dresidual?.set(given);
          return output;
        },
      }),
    }),
    program: async (backend) => {
      const layer = ofFloat16(backend, 3, { activation: 'relu' });
      await layer.forward(x, { residual: dy });
      return (await layer.backward(dy)).dresidual!.data.slice();
    },
  },
  {
    name: 'float16: ReLU gives −0',
    why: 'what does not pass keeps its sign',
    caughtBy: 'ReLU beside float32 [host, rows]',
    ...stored({
      finish: (stages, { activation }) => ({
        ...stages,
        normalize(input) {
          const output = stages.normalize(input);
          if (activation === 'relu') output.y.set(output.y.map((bits) => bits || 0x8000));
          return output;
        },
      }),
    }),
    program: async (backend) => (await ofFloat16(backend, 3, { activation: 'relu' }).forward(x)).data.slice(),
  },
  {
    name: 'float16: results are float32',
    why: 'they are rounded, and left decoded',
    caughtBy: 'sizes [3,3]',
    ...stored({
      finish: (stages) => ({
        ...stages,
        normalize(input) {
          const output = stages.normalize(input);
          return input.y ? output : { ...output, y: numbersOf(output.y) };
        },
      }),
    }),
    program: trained(),
  },
  {
    name: 'float16: tensors take four bytes an element',
    why: 'they are kept decoded on the device',
    caughtBy: 'tensors take half the memory [device]',
    right: createFloat16Backend,
    spoil: (right) => adapt(right, { allocatedBytes: bytesOfDecoded(right) }),
    tolerance: 0,
    program: async (backend) => {
      await backend.upload(x);
      return backend.allocatedBytes!();
    },
  },
];

/** As if each tensor of float16 took twice as many bytes; what is uploaded is all that the device has here. */
function bytesOfDecoded(right: ReturnType<typeof createFloat16Backend>): () => number {
  const counted = right.allocatedBytes!.bind(right);
  const { upload } = right;
  const uploaded = new Set<{ value: FloatArray | undefined }>();
  right.upload = async (given) => {
    const made = await upload(given);
    if (made.dtype === dtype) uploaded.add(made);
    return made;
  };
  return () => counted() + [...uploaded].reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
}
