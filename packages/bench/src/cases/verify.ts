// Correctness before speed: what an operation computed, against the float64 oracle of the conformance kit and its
// bounds.
import { boundsOf, compare, exactly, oracle, type Step } from '@batchnorm/conformance';
import {
  type Accumulation,
  allocate,
  type Dtype,
  type Extent,
  type FloatArray,
  numbersOf,
  type Statistics,
  valuesPerChannel,
} from '@batchnorm/core-api';
import type { Operation } from './case.js';
import { epsilon, type Results, type Workload } from './workload.js';

/** How far results are from those of the oracle. */
export interface ErrorMeasure {
  /** The largest error over its bound; above 1 is wrong. */
  readonly overBound: number;
  /**
   * The largest error relative to the magnitude of the terms that a result is computed from, in units of the last
   * place.
   */
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
  'add-relu-step': ['y', 'dx', 'dgamma', 'dbeta', 'dresidual'],
  'add-relu-apart': ['y', 'dx', 'dgamma', 'dbeta', 'dresidual'],
};

interface Solution {
  readonly golden: Readonly<Record<Exclude<Quantity, 'dresidual'>, Float64Array> & { dresidual?: Float64Array }>;
  readonly step: Omit<Step, 'accumulation'>;
}

/**
 * The results that a workload should have: computed when they are asked for first, kept for the next operation.
 * Activations are copied so that the values of a channel are neighbours, because sums go over a channel.
 */
export class Expected {
  readonly #workload: Workload;
  readonly #solutions: Partial<Record<'training' | 'inference', Solution>> = {};

  constructor(workload: Workload) {
    this.#workload = workload;
  }

  /** Contenders that do not say how they add up (`undefined`) may add M float32 numbers one after the other. */
  verify(operation: Operation, results: Results, accumulation: Accumulation | undefined): Verdict {
    const { extent, dtype } = this.#workload;
    const M = valuesPerChannel(extent);
    const quantities = quantitiesOf[operation];
    const missing = quantities.find((quantity) => results[quantity] === undefined);
    if (missing) return { overBound: Number.POSITIVE_INFINITY, ulps: Number.POSITIVE_INFINITY, wrong: `no ${missing}` };
    const isAddRelu = operation === 'add-relu-step' || operation === 'add-relu-apart';
    const mode = operation === 'forward-inference' ? 'inference' : 'training';
    const { golden, step } = isAddRelu
      ? behindAddRelu(this.#solutionOf(mode), this.#workload, numbersOf(byChannel(results.y!, extent, dtype)))
      : this.#solutionOf(mode);
    const bounds = boundsOf({ ...step, accumulation: accumulation ?? (dtype === 'float64' ? 'float64' : 'float32') });
    // The bound counts on chains of 1024 additions; M of them, one after the other, err by M/1024 times as much.
    const looser = accumulation === undefined ? Math.max(1, M / 1024) : 1;
    const checks = quantities.map((quantity) => {
      const isActivation = quantity === 'y' || quantity === 'dx' || quantity === 'dresidual';
      const received = results[quantity]!;
      const data = isActivation ? byChannel(received, extent, dtype) : Float64Array.from(received);
      const { magnitude, tolerance } = quantity === 'dresidual' ? exactly(data.length) : bounds[quantity];
      const shape = [data.length];
      const found = compare(
        { shape, data },
        {
          shape,
          dtype: isActivation ? dtype : 'float64',
          data: golden[quantity]!,
          magnitude,
          tolerance: tolerance.map((value) => looser * value),
        },
      );
      const placeOf = (index: number) => (isActivation ? `${Math.floor(index / M)}[${index % M}]` : String(index));
      const message = found.message.replace(/^\[(\d+)\]/, (_, index) => ` of channel ${placeOf(Number(index))}`);
      return { ...found, message: `${quantity}${message}` };
    });
    return {
      overBound: Math.max(...checks.map(({ worst }) => worst)),
      ulps: Math.max(...checks.map(({ largestError }) => largestError)) / (dtype === 'float64' ? 2 ** -52 : 2 ** -23),
      wrong: checks.find(({ passed }) => !passed)?.message ?? null,
    };
  }

  #solutionOf(mode: 'training' | 'inference'): Solution {
    this.#solutions[mode] ??= solve(this.#workload, mode === 'inference' ? this.#workload.running : undefined);
    return this.#solutions[mode];
  }
}

function solve({ dtype, gamma, beta, ...workload }: Workload, statistics?: Statistics): Solution {
  const extent = { outer: 1, channels: workload.extent.channels, inner: valuesPerChannel(workload.extent) };
  const x = numbersOf(byChannel(workload.x, workload.extent, dtype));
  const dy = numbersOf(byChannel(workload.dy, workload.extent, dtype));
  const input = { extent, x, gamma, beta, epsilon, statistics };
  const normalization = { gamma, beta, epsilon, ...(statistics ?? oracle.batchStatistics(x, extent)) };
  return {
    golden: { y: oracle.forward(input), ...oracle.backward(input, dy) },
    step: { dtype, extent, x, dy, normalization, throughStatistics: statistics === undefined },
  };
}

/**
 * The solution of a step with the residual and ReLU, whose results are `y`, channel by channel: a gradient passes where
 * that is above 0, because a z near 0 may be rounded to either side of it.
 */
function behindAddRelu({ golden, step }: Solution, workload: Workload, y: FloatArray): Solution {
  const { gamma, beta } = workload;
  const residual = numbersOf(byChannel(workload.residual(), workload.extent, workload.dtype));
  const g = Float64Array.from(step.dy!, (value, k) => (y[k]! > 0 ? value : 0));
  return {
    golden: {
      y: golden.y.map((value, k) => Math.max(value + residual[k]!, 0)),
      ...oracle.backward({ extent: step.extent, x: step.x, gamma, beta, epsilon, statistics: undefined }, g),
      dresidual: g,
    },
    step: { ...step, dy: g, residual },
  };
}

/** A copy with all values of channel 0 first, then those of channel 1, and so on. */
function byChannel(data: ArrayLike<number>, { outer, channels, inner }: Extent, dtype: Dtype): FloatArray {
  const values = allocate(dtype, outer * channels * inner);
  for (let c = 0, j = 0; c < channels; c++) {
    for (let o = 0; o < outer; o++) {
      for (let i = 0, k = (o * channels + c) * inner; i < inner; i++, j++, k++) values[j] = data[k]!;
    }
  }
  return values;
}
