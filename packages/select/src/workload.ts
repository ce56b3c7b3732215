// The numbers that every candidate is timed on, of the asked shape: inputs, and buffers for results.
import {
  allocate,
  type Extent,
  extentOf,
  type FloatArray,
  float16Bits,
  product,
  refuse,
  type Tensor,
} from '@batchnorm/core-api';
import { Equations, type Inputs, type Results } from './equations.js';
import type { Question } from './question.js';

/** Inputs, and buffers for results. */
export interface Tensors {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
}

type Contents = Inputs & Tensors;

/** The same for every candidate. */
export class Workload {
  readonly #question: Question;
  readonly #extent: Extent;
  #contents: Contents | undefined;
  #equations: Equations | undefined;

  constructor(question: Question) {
    this.#question = question;
    this.#extent = extentOf(question.shape, question.axis);
  }

  /** Made at the first call. Errors: `LIMIT_EXCEEDED` where memory has no room for them. */
  get contents(): Contents {
    this.#contents ??= this.#make();
    return this.#contents;
  }

  /** Before a call: fills the output buffers with NaN, so that results of earlier calls can't pass for its own. */
  spoil({ y, dx }: Tensors): void {
    y.data.fill(this.#stored(Number.NaN));
    dx.data.fill(this.#stored(Number.NaN));
  }

  /** After a call. Errors: where x or dy has changed. Compares a hundred elements, the last one among them. */
  assertIntact({ x: { data: x }, dy: { data: dy } }: Tensors): void {
    const step = Math.ceil(x.length / 100);
    for (let k = x.length - 1; k >= 0; k -= step) {
      if (x[k] !== this.#stored(xOf(k)) || dy[k] !== this.#stored(dyOf(k)))
        throw new Error(`computes wrong: it has written to element ${k} of an input`);
    }
  }

  /** After a backend failed: lets go of all arrays. It may have written to inputs, and its call may go on writing. */
  renew(): void {
    this.#contents = undefined;
    this.#equations = undefined;
  }

  /** Errors: an `Error` that names the result that is wrong. */
  assertRight(results: Results): void {
    this.#equations ??= new Equations(this.#question, this.#extent, this.contents);
    this.#equations.assertRight(results);
  }

  /** The element of an activation that stands for `value`. */
  #stored(value: number): number {
    return this.#question.dtype === 'float16' ? float16Bits(value) : value;
  }

  #make(): Contents {
    const { shape, dtype } = this.#question;
    const vector = (value: (c: number) => number) => new Float64Array(this.#extent.channels).map((_, c) => value(c));
    try {
      const [x, dy, y, dx] = [0, 1, 2, 3].map(() => allocate(dtype, product(shape))) as [
        FloatArray,
        FloatArray,
        FloatArray,
        FloatArray,
      ];
      for (let k = 0; k < x.length; k++) {
        x[k] = this.#stored(xOf(k));
        dy[k] = this.#stored(dyOf(k));
      }
      return {
        x: { data: x, shape },
        dy: { data: dy, shape },
        y: { data: y, shape },
        dx: { data: dx, shape },
        gamma: vector((c) => 1 + noise(c, 3) / 2),
        beta: vector((c) => noise(c, 4)),
        runningMean: vector((c) => noise(c, 5)),
        runningVariance: vector((c) => 1 + noise(c, 6) / 2),
      };
    } catch (cause) {
      refuse('LIMIT_EXCEEDED', `shape [${shape.join(', ')}]`, 'one that there is memory for', { cause });
    }
  }
}

const xOf = (k: number): number => noise(k, 1);

/** Half of it is x, and its mean is 1: the terms of dgamma and dbeta don't cancel, so that a wrong sum is far off. */
const dyOf = (k: number): number => 1 + (noise(k, 1) + noise(k, 2)) / 2;

/**
 * The k-th number of a pseudorandom sequence in [−1, 1): steps of MurmurHash3's finalizer, so that no subsequence which
 * a channel gets has a pattern. Numbers have 16 bits, and sums of two are exact in float32.
 */
function noise(k: number, seed: number): number {
  let h = Math.imul(k ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h >> 16) / 2 ** 15;
}
