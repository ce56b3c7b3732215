// Wrong at some sizes: at block ends, at powers of two, beyond what an index, a dispatch or a thread holds.
import type { Backend, Extent, FloatArray } from '@batchnorm/core-api';
import { layerOf, running, step, tensor } from './programs.js';
import { onHost, withKernels } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

/** y is changed where `matches`. */
const elementsWrong =
  (matches: (extent: Extent) => boolean, change: (y: FloatArray, extent: Extent) => void): WrongBackend['spoil'] =>
  (right) =>
    onHost(right, ({ extent }) => ({
      forward(input, next) {
        const output = next(input);
        if (matches(extent)) change(output.y, extent);
        return output;
      },
    }));

/** dx is changed where `matches`. */
const gradientsWrong =
  (matches: (extent: Extent) => boolean, change: (dx: FloatArray, extent: Extent) => void): WrongBackend['spoil'] =>
  (right) =>
    onHost(right, ({ extent }) => ({
      backward(input, next) {
        const output = next(input);
        if (matches(extent)) change(output.dx, extent);
        return output;
      },
    }));

/** y, gradients and running statistics of a step of [N, C] or [N, C, L]. */
const stepOf =
  (...shape: readonly number[]) =>
  async (backend: Backend): Promise<unknown> => {
    const layer = layerOf(backend, shape[1]!);
    return [await step(layer, tensor(shape)), running(layer)];
  };

const elements = ({ outer, channels, inner }: Extent) => outer * channels * inner;
const values = ({ outer, inner }: Extent) => outer * inner;
const lastIsZero = (array: FloatArray) => {
  array[array.length - 1] = 0;
};
/** Zeros from element `n` on. */
const zerosFrom = (n: number) => (array: FloatArray) => {
  array.fill(0, n);
};

/** By how many bits an index has. */
const endsIn = (bits: number, caughtBy: string): WrongBackend => {
  const n = 2 ** bits;
  return {
    name: `elements from 2^${bits} on`,
    caughtBy: `results are within their bounds ${caughtBy}`,
    why: `elements of y from ${n} on are 0`,
    spoil: elementsWrong((extent) => elements(extent) > n, zerosFrom(n)),
    program: stepOf(n / 16 + 1, 16),
  };
};

export const sizes: readonly WrongBackend[] = [
  endsIn(16, '[host, rows, blocks]'),
  endsIn(17, '[host, runs, blocks]'),
  endsIn(18, '[host, rows, elements]'),
  endsIn(19, '[host, rows, elements]'),
  endsIn(20, '[host, runs, elements]'),
  {
    name: 'exactly 2^20 elements',
    caughtBy: 'results are within their bounds [host, rows, elements]',
    why: 'the last element of y is 0 when there are 2^20 of them, exactly',
    spoil: elementsWrong((extent) => elements(extent) === 2 ** 20, lastIsZero),
    program: stepOf(2 ** 14, 64),
  },
  {
    name: 'a power of two of elements',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'the last element of dx is 0 when there are 64 elements or more, and a power of two of them',
    spoil: gradientsWrong((extent) => elements(extent) >= 64 && Math.log2(elements(extent)) % 1 === 0, lastIsZero),
    program: stepOf(16, 8),
  },
  {
    name: 'outer indices from 65,535 on',
    caughtBy: 'results are within their bounds [host, rows, elements]',
    why: 'a dispatch has at most 65,535 groups: rows from there on are not written',
    spoil: elementsWrong(
      ({ outer }) => outer > 65535,
      (y, { channels, inner }) => y.fill(0, 65535 * channels * inner),
    ),
    program: stepOf(65537, 2),
  },
  {
    name: 'outer indices from 65,535 on, with runs',
    caughtBy: 'results are within their bounds [host, runs, rows or channels]',
    why: 'outer indices from 65,535 on are not written when inner > 1',
    spoil: elementsWrong(
      ({ outer, inner }) => outer > 65535 && inner > 1,
      (y, { channels, inner }) => y.fill(0, 65535 * channels * inner),
    ),
    program: stepOf(65537, 2, 2),
  },
  {
    name: 'rows of dx from 65,536 on',
    caughtBy: 'results are within their bounds [host, rows, rows or channels]',
    why: 'rows of dx from 65,536 on are 0',
    spoil: gradientsWrong(
      ({ outer }) => outer > 65536,
      (dx, { channels, inner }) => dx.fill(0, 65536 * channels * inner),
    ),
    program: stepOf(65537, 2),
  },
  {
    name: 'channels from 65,536 on',
    caughtBy: 'results are within their bounds [host, rows, rows or channels]',
    why: 'channels in 16 bits: from channel 65,536 on y is 0',
    spoil: elementsWrong(
      ({ channels }) => channels > 65536,
      (y, { outer, channels, inner }) => {
        for (let o = 0; o < outer; o++) y.fill(0, (o * channels + 65536) * inner, (o + 1) * channels * inner);
      },
    ),
    program: stepOf(2, 65537),
  },
  {
    name: 'dgamma of channels from 65,535 on',
    caughtBy: 'results are within their bounds [host, rows, rows or channels]',
    why: 'one group for each channel, 65,535 at most: dgamma of the others is 0',
    spoil: (right) =>
      onHost(right, () => ({
        backward(input, next) {
          const output = next(input);
          output.dgamma.fill(0, 65535);
          return output;
        },
      })),
    program: stepOf(2, 65537),
  },
  {
    name: 'inner indices from 65,536 on',
    caughtBy: 'results are within their bounds [host, runs, elements]',
    why: 'inner indices in 16 bits: from 65,536 on a run of y is 0',
    spoil: elementsWrong(
      ({ inner }) => inner > 65536,
      (y, { outer, channels, inner }) => {
        for (let run = 0; run < outer * channels; run++) y.fill(0, run * inner + 65536, (run + 1) * inner);
      },
    ),
    program: stepOf(1, 2, 65537),
  },
  {
    name: 'runs from 65,536 on',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'runs (outer · channels) in 16 bits: from run 65,536 on y is 0',
    spoil: elementsWrong(
      ({ outer, channels, inner }) => inner > 1 && outer * channels > 65536,
      (y, { inner }) => y.fill(0, 65536 * inner),
    ),
    program: stepOf(2, 32769, 2),
  },
  {
    name: 'statistics of 65,536 values',
    caughtBy: 'results are within their bounds [host, rows, rows or channels]',
    why: 'batch statistics of a channel with more than 65,536 values are those of the first 65,536',
    spoil: (right) =>
      onHost(right, ({ extent: { outer, channels, inner } }) => ({
        training(input, next) {
          const output = next(input);
          if (inner > 1 || outer <= 65536) return output;
          output.moments.mean.forEach((_, c) => {
            let sum = 0;
            for (let o = 0; o < 65536; o++) sum += input.x[o * channels + c]!;
            output.moments.mean[c] = sum / 65536;
          });
          return output;
        },
      })),
    program: stepOf(70000, 1),
    tolerance: 1e-7,
  },
  {
    name: 'dbeta of 2^18 values',
    caughtBy: 'results are within their bounds [host, runs, elements]',
    why: 'dbeta leaves out the last value of a channel that has more than 2^18',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        backward(input, next) {
          const last = input.dy.at(-1)!;
          const output = next(input);
          if (values(extent) > 2 ** 18) output.dbeta[extent.channels - 1]! -= last;
          return output;
        },
      })),
    program: stepOf(2 ** 18 + 1, 1),
  },
  {
    name: 'channels in 8 bits',
    caughtBy: 'sizes [3,257]',
    why: 'from 257 channels on, channel 256 has the beta of channel 0',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => ({
        forward(input, next) {
          const beta = input.beta.slice();
          if (channels > 256) beta[256] = beta[0]!;
          return next({ ...input, beta });
        },
      })),
    program: stepOf(3, 300),
  },
  {
    name: 'channels beyond 1,024 threads',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'from channel 1,024 on gamma is 1',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => ({
        forward: (input, next) =>
          next(channels > 1024 ? { ...input, gamma: input.gamma.slice().fill(1, 1024) } : input),
      })),
    program: stepOf(3, 1030),
  },
  {
    name: '17 to 31 channels',
    caughtBy: 'host arrays, every call awaited',
    why: 'the last channel of dgamma is 0 when there are 17 to 31',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => ({
        backward(input, next) {
          const output = next(input);
          if (channels > 16 && channels < 32) output.dgamma[channels - 1] = 0;
          return output;
        },
      })),
    program: stepOf(5, 20),
  },
  {
    name: 'two channels',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'dgamma and dbeta are swapped when there are two channels',
    spoil: (right) =>
      onHost(right, ({ extent: { channels } }) => ({
        backward(input, next) {
          const output = next(input);
          if (channels !== 2) return output;
          const dgamma = output.dgamma.slice();
          output.dgamma.set(output.dbeta);
          output.dbeta.set(dgamma);
          return output;
        },
      })),
    program: stepOf(5, 2),
  },
  {
    name: 'one channel',
    caughtBy: 'host arrays, every call awaited',
    why: 'with one channel and runs, dx is as if statistics were constant',
    spoil: (right) => withOther(right, ({ channels, inner }) => channels === 1 && inner > 1),
    program: stepOf(5, 1, 3),
  },
  {
    name: 'a batch of one',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'with outer = 1 and runs, dx is as if statistics were constant',
    spoil: (right) => withOther(right, ({ outer, inner }) => outer === 1 && inner > 1),
    program: stepOf(1, 3, 5),
  },
  {
    name: 'inner is 2',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'the elements of a pair change places in y when inner = 2',
    spoil: elementsWrong(
      ({ inner }) => inner === 2,
      (y) => y.subarray(0, 2).reverse(),
    ),
    program: stepOf(5, 3, 2),
  },
  {
    name: 'inner is odd',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'the last element of a run of dx is 0 when inner is odd and at least 9',
    spoil: gradientsWrong(
      ({ inner }) => inner >= 9 && inner % 2 === 1,
      (dx, { inner }) => {
        dx[inner - 1] = 0;
      },
    ),
    program: stepOf(2, 3, 9),
  },
  {
    name: 'inner is a multiple of 64',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'the last element of each run of y is 0 when inner is a multiple of 64',
    spoil: elementsWrong(
      ({ inner }) => inner % 64 === 0,
      (y, { inner }) => {
        for (let k = inner - 1; k < y.length; k += inner) y[k] = 0;
      },
    ),
    program: stepOf(2, 3, 64),
  },
  {
    name: 'M is a multiple of 256',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'dbeta leaves out the last value when M is a multiple of 256',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        backward(input, next) {
          const last = input.dy.at(-1)!;
          const output = next(input);
          if (values(extent) % 256 === 0) output.dbeta[extent.channels - 1]! -= last;
          return output;
        },
      })),
    program: stepOf(512, 3),
  },
  {
    name: 'M of 1,000 or more',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'the variance that is answered has M − 1 in it when M is at least 1,000, where nobody looks',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        training(input, next) {
          const output = next(input);
          const M = values(extent);
          if (M >= 1000) output.moments.m2.set(output.moments.m2.map((value) => (value * M) / (M - 1)));
          return output;
        },
      })),
    program: stepOf(1500, 3),
    tolerance: 1e-5,
  },
  {
    name: 'sums of float32 from 4,096 values on',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'the mean that is answered is rounded to float32 when M is at least 4,096',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        training(input, next) {
          const output = next(input);
          const { mean } = output.moments;
          if (values(extent) >= 4096) mean.set(mean.map(Math.fround));
          return output;
        },
      })),
    program: stepOf(5000, 3),
    tolerance: 1e-11,
  },
  {
    name: 'one value',
    caughtBy: 'host arrays, every call awaited',
    why: 'dx is dy when M is 1',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        backwardTraining(input, next) {
          const dy = input.dy.slice();
          const output = next(input);
          if (values(extent) === 1) output.dx.set(dy);
          return output;
        },
      })),
    program: stepOf(1, 4),
  },
  {
    name: 'a square',
    caughtBy: 'host arrays, overlapping calls',
    why: 'as many rows as channels: the first row of y is read as a column',
    spoil: elementsWrong(
      ({ outer, channels, inner }) => outer === channels && inner === 1 && channels > 1,
      (y, { channels }) => {
        [y[1], y[channels]] = [y[channels]!, y[1]!];
      },
    ),
    program: stepOf(5, 5),
  },
  {
    name: 'as many channels as inner indices',
    caughtBy: 'results are within their bounds [host, runs, blocks]',
    why: 'channels = inner is taken for channels last: beta is that of the inner index',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        forward(input, next) {
          if (channels !== inner || inner === 1) return next(input);
          const output = next({ ...input, beta: input.beta.slice().fill(0) });
          output.y.set(output.y.map((value, k) => value + input.beta[k % inner]!));
          return output;
        },
      })),
    program: stepOf(2, 4, 4),
  },
  {
    name: 'four channels in rows',
    caughtBy: 'host arrays, overlapping calls',
    why: 'rows of exactly four channels: gamma[3] is used for channel 2 as well',
    spoil: (right) =>
      onHost(right, ({ extent: { channels, inner } }) => ({
        forward(input, next) {
          const gamma = input.gamma.slice();
          if (channels === 4 && inner === 1) gamma[2] = gamma[3]!;
          return next({ ...input, gamma });
        },
      })),
    program: stepOf(5, 4),
  },
  {
    name: 'an odd number of elements',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'the last element of y of inference is 0 when the number of elements is odd and more than 100',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        inference(input, next) {
          const output = next(input);
          if (elements(extent) % 2 === 1 && elements(extent) > 100) lastIsZero(output.y);
          return output;
        },
      })),
    program: async (backend) => layerOf(backend, 3).forward(tensor([35, 3]), { training: false }),
  },
  {
    name: 'channels that leave three',
    caughtBy: 'results are within their bounds [host, rows, blocks]',
    why: 'the last channel of y is that of the channel before it, when channels leave 3 when divided by 4 and are 11 or more',
    spoil: elementsWrong(
      ({ channels, inner }) => channels >= 11 && channels % 4 === 3 && inner === 1,
      (y, { channels }) => {
        y[channels - 1] = y[channels - 2]!;
      },
    ),
    program: stepOf(4, 15),
  },
  {
    name: 'the last row of a second block',
    caughtBy: 'sizes [257,3]',
    why: 'the last row of dx is 0 when there are 257 to 511 rows',
    spoil: gradientsWrong(
      ({ outer, inner }) => inner === 1 && outer > 256 && outer < 512,
      (dx, { channels }) => dx.fill(0, dx.length - channels),
    ),
    program: stepOf(300, 3),
  },
  {
    name: 'in place beyond 2^19 elements',
    caughtBy: 'results are within their bounds [host, rows, elements]',
    why: 'the last element of y over x is 0 when there are more than 2^19 elements',
    spoil: (right) =>
      onHost(right, ({ extent }) => ({
        inference(input, next) {
          const isInPlace = input.x === input.y;
          const output = next(input);
          if (isInPlace && elements(extent) > 2 ** 19) lastIsZero(output.y);
          return output;
        },
      })),
    async program(backend) {
      const x = tensor([2 ** 15 + 1, 16]);
      return layerOf(backend, 16).forward(x, { training: false, out: x });
    },
  },
];

/** dx of training where `matches` is that of inference. */
function withOther(right: Parameters<WrongBackend['spoil']>[0], matches: (extent: Extent) => boolean): Backend {
  return withKernels(right, (kernels, { extent }) =>
    matches(extent) ? { ...kernels, backwardTraining: kernels.backwardInference } : kernels,
  );
}
