// Correctness before speed: what an operation computed, against the float64 oracle of the conformance kit and its bounds.
import { boundsOf, compare, oracle, type Step } from '@batchnorm/conformance';
import { type Accumulation, allocate, type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import type { Operation } from './case.js';
import { epsilon, type Problem, type Results } from './problem.js';

/** How far the results are from the oracle's. */
export interface ErrorMeasure {
  /** The largest error over its bound; above 1 is wrong. */
  readonly overBound: number;
  /** The largest error relative to the size of its terms, in units of the last place of the dtype. */
  readonly ulps: number;
}

export interface Verdict extends ErrorMeasure {
  /** What is wrong, or null. */
  readonly wrong: string | null;
}

type Quantity = keyof Results;

const quantitiesOf: Readonly<Record<Operation, readonly Quantity[]>> = {
  'forward-training': ['y'],
  'forward-inference': ['y'],
  backward: ['dx', 'dgamma', 'dbeta'],
  'training-step': ['y', 'dx', 'dgamma', 'dbeta'],
};

/** One channel, as an extent of its own: channels have nothing to do with each other. */
interface Channel {
  readonly results: Readonly<Record<Quantity, Float64Array>>;
  readonly step: Omit<Step, 'accumulation'>;
}

/** The results that a problem should have, made when they are needed, and kept for the next contender. */
export class Expected {
  readonly #problem: Problem;
  readonly #channels: Readonly<Record<'training' | 'inference', Channel[]>> = { training: [], inference: [] };

  constructor(problem: Problem) {
    this.#problem = problem;
  }

  /** Contenders that do not say how they add up (`undefined`) may add M float32 numbers one after the other. */
  verify(operation: Operation, results: Results, accumulation: Accumulation | undefined): Verdict {
    const { extent, dtype } = this.#problem;
    const [M, C] = [valuesPerChannel(extent), extent.channels];
    const missing = quantitiesOf[operation].find((quantity) => results[quantity] === undefined);
    if (missing) return { overBound: Number.POSITIVE_INFINITY, ulps: Number.POSITIVE_INFINITY, wrong: `no ${missing}` };
    let [overBound, largest, wrong] = [0, 0, null as string | null];
    for (let c = 0; c < C; c++) {
      const channel = this.#channel(operation === 'forward-inference' ? 'inference' : 'training', c);
      const bounds = boundsOf({ ...channel.step, accumulation: accumulation ?? dtype });
      // The bound counts on chains of 1024 additions; M of them, one after the other, err by M/1024 times as much.
      const looser = accumulation === undefined ? Math.max(1, M / 1024) : 1;
      for (const quantity of quantitiesOf[operation]) {
        const isActivation = quantity === 'y' || quantity === 'dx';
        const length = isActivation ? M : 1;
        const data = isActivation
          ? gather(results[quantity]!, c, extent, allocate(dtype, M))
          : Float64Array.of(results[quantity]![c]!);
        const { magnitude, tolerance } = bounds[quantity];
        const found = compare(
          { shape: [length], data },
          {
            shape: [length],
            dtype: isActivation ? dtype : 'float64',
            data: channel.results[quantity],
            magnitude,
            tolerance: (index) => looser * tolerance(index),
          },
        );
        overBound = Math.max(overBound, found.worst);
        largest = Math.max(largest, found.largestError);
        if (!found.passed) wrong ??= `${quantity} of channel ${c}${found.message}`;
      }
    }
    return { overBound, ulps: largest / (dtype === 'float64' ? 2 ** -52 : 2 ** -23), wrong };
  }

  #channel(mode: 'training' | 'inference', c: number): Channel {
    this.#channels[mode][c] ??= this.#solve(c, mode === 'inference' ? this.#problem.running : undefined);
    return this.#channels[mode][c];
  }

  #solve(c: number, running: Statistics | undefined): Channel {
    const problem = this.#problem;
    const M = valuesPerChannel(problem.extent);
    const extent = { outer: M, channels: 1, inner: 1 };
    const of = (vector: Float64Array) => vector.subarray(c, c + 1);
    const x = gather(problem.x, c, problem.extent, new Float64Array(M));
    const dy = gather(problem.dy, c, problem.extent, new Float64Array(M));
    const parameters = { gamma: of(problem.gamma), beta: of(problem.beta), epsilon };
    const statistics = running && { mean: of(running.mean), variance: of(running.variance) };
    const input = { extent, x, ...parameters, statistics };
    const normalization = { ...parameters, ...(statistics ?? oracle.batchStatistics(x, extent)) };
    return {
      results: { y: oracle.forward(input), ...oracle.backward(input, dy) },
      step: { dtype: problem.dtype, extent, x, dy, normalization, throughStatistics: running === undefined },
    };
  }
}

/** The values of channel `c`, one after the other. */
function gather<T extends Float32Array | Float64Array>(
  data: ArrayLike<number>,
  c: number,
  { outer, channels, inner }: Extent,
  into: T,
): T {
  for (let o = 0, j = 0; o < outer; o++) {
    for (let i = 0, k = (o * channels + c) * inner; i < inner; i++, j++, k++) into[j] = data[k]!;
  }
  return into;
}
