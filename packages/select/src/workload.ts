// The numbers that every candidate is timed on, of the asked shape, and what it must make of them: the equations of
// docs/semantics.md in float64, for every element. Checking costs as much as a few calls, and every candidate is timed
// for at least as many.
import {
  allocate,
  defaultOptions,
  type Extent,
  extentOf,
  type FloatArray,
  type Gradients,
  product,
  refuse,
  type Statistics,
  type Tensor,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { tolerance } from './known-case.js';
import type { Question } from './question.js';

/** The results of the asked operation; what it does not compute is absent. */
export interface Results {
  readonly y?: Tensor;
  readonly gradients?: Gradients;
  /** The batch's, from a training forward. */
  readonly statistics?: Statistics;
}

/** What normalises each channel, [C] each. */
interface Normalization extends Statistics {
  readonly invStd: Float64Array;
}

/** [C] each. */
interface GradientSums {
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
  /** Σ |dy|·(1 + |xHat|) */
  readonly terms: Float64Array;
}

/** Inputs, and buffers for results. */
interface Contents {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
  /** [C] each. */
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

/** The same for every candidate. */
export class Workload {
  readonly #question: Question;
  readonly #extent: Extent;
  #contents: Contents | undefined;
  #normalization: Normalization | undefined;
  #sums: GradientSums | undefined;

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
  spoil(): void {
    const { y, dx } = this.contents;
    y.data.fill(Number.NaN);
    dx.data.fill(Number.NaN);
  }

  /** After a call. Errors: where x or dy has changed. Compares a hundred elements, the last one among them. */
  assertIntact(): void {
    const [x, dy] = [this.contents.x.data, this.contents.dy.data];
    const step = Math.ceil(x.length / 100);
    for (let k = x.length - 1; k >= 0; k -= step) {
      if (x[k] !== xOf(k) || dy[k] !== dyOf(k))
        throw new Error(`computes wrong: it has written to element ${k} of an input`);
    }
  }

  /** After a backend failed: lets go of all arrays. It may have written to inputs, and its call may go on writing. */
  renew(): void {
    this.#contents = undefined;
    this.#normalization = undefined;
    this.#sums = undefined;
  }

  /**
   * Compares every element. The bound of an error is that of the known case, relative to the sizes of the terms that a
   * result is made of: a sum whose terms cancel is only as exact as they are. Errors: an `Error` that names the result
   * that is wrong.
   */
  assertRight({ y, gradients, statistics }: Results): void {
    if (y !== undefined) this.#assertOutput(y.data);
    if (statistics !== undefined) this.#assertStatistics(statistics);
    if (gradients !== undefined) this.#assertGradients(gradients);
  }

  /** y = gamma · xHat + beta */
  #assertOutput(y: FloatArray): void {
    const { gamma, beta } = this.contents;
    const x = this.contents.x.data;
    const { mean, invStd } = this.#normalize();
    const most = tolerance[this.#question.dtype];
    for (const at = new Position(this.#extent); at.k < y.length; at.next()) {
      const { k, c } = at;
      const xHat = (x[k]! - mean[c]!) * invStd[c]!;
      const expected = gamma[c]! * xHat + beta[c]!;
      const size = gamma[c]! * (1 + Math.abs(xHat)) + Math.abs(beta[c]!);
      if (!(Math.abs(y[k]! - expected) <= most * size)) this.#fail('y', k, y[k]!, expected);
    }
  }

  /** The bounds are relative to the size of a value and to its square. */
  #assertStatistics(received: Statistics): void {
    const { mean, variance } = this.#normalize();
    const most = tolerance[this.#question.dtype];
    for (let c = 0; c < mean.length; c++) {
      const size = variance[c]! + mean[c]! ** 2;
      const isMean = Math.abs(received.mean[c]! - mean[c]!) <= most * Math.sqrt(size);
      if (!isMean) this.#fail('the batch mean', c, received.mean[c]!, mean[c]!);
      const isVariance = Math.abs(received.variance[c]! - variance[c]!) <= most * size;
      if (!isVariance) this.#fail('the batch variance', c, received.variance[c]!, variance[c]!);
    }
  }

  /** dbeta = Σ dy, dgamma = Σ dy · xHat, dx = gamma · invStd · (dy − dbeta/M − xHat · dgamma/M) */
  #assertGradients({ dx: { data: dx }, dgamma, dbeta }: Gradients): void {
    const { gamma } = this.contents;
    const [x, dy, M] = [this.contents.x.data, this.contents.dy.data, valuesPerChannel(this.#extent)];
    const { mean, invStd } = this.#normalize();
    const most = tolerance[this.#question.dtype];
    this.#sums ??= this.#gradientSums();
    const sums = this.#sums;
    for (let c = 0; c < gamma.length; c++) {
      const { dgamma: weighted, dbeta: sum, terms } = sums;
      if (!(Math.abs(dgamma[c]! - weighted[c]!) <= most * terms[c]!)) this.#fail('dgamma', c, dgamma[c]!, weighted[c]!);
      if (!(Math.abs(dbeta[c]! - sum[c]!) <= most * sum[c]!)) this.#fail('dbeta', c, dbeta[c]!, sum[c]!);
    }
    const meanOf = (sum: Float64Array) => sum.map((value) => value / M);
    const [dyMean, slope, terms] = [meanOf(sums.dbeta), meanOf(sums.dgamma), meanOf(sums.terms)];
    for (const at = new Position(this.#extent); at.k < dx.length; at.next()) {
      const { k, c } = at;
      const xHat = (x[k]! - mean[c]!) * invStd[c]!;
      const scale = gamma[c]! * invStd[c]!;
      const expected = scale * (dy[k]! - dyMean[c]! - xHat * slope[c]!);
      const size = scale * (dy[k]! + dyMean[c]! + (1 + Math.abs(xHat)) * terms[c]!);
      if (!(Math.abs(dx[k]! - expected) <= most * size)) this.#fail('dx', k, dx[k]!, expected);
    }
  }

  #fail(name: string, index: number, received: number, expected: number): never {
    const which = `${name}[${index}] on shape [${this.#question.shape.join(', ')}]`;
    throw new Error(`computes wrong: ${which} is ${received} where ${expected} is right`);
  }

  #normalize(): Normalization {
    this.#normalization ??= this.#normalizationBy(this.#question.operation === 'forward-inference');
    return this.#normalization;
  }

  #normalizationBy(runningStatistics: boolean): Normalization {
    const { runningMean, runningVariance } = this.contents;
    const [mean, variance] = runningStatistics ? [runningMean, runningVariance] : this.#batchStatistics();
    return { mean, variance, invStd: variance.map((value) => 1 / Math.sqrt(value + defaultOptions.epsilon)) };
  }

  #batchStatistics(): [mean: Float64Array, variance: Float64Array] {
    const [x, M] = [this.contents.x.data, valuesPerChannel(this.#extent)];
    const [mean, variance] = [this.#vector(), this.#vector()];
    const [sum, squares] = [new Sums(mean), new Sums(variance)];
    for (const at = new Position(this.#extent); at.k < x.length; at.next()) sum.add(at.c, x[at.k]! / M);
    for (const at = new Position(this.#extent); at.k < x.length; at.next()) {
      const deviation = x[at.k]! - mean[at.c]!;
      squares.add(at.c, (deviation * deviation) / M);
    }
    return [mean, variance];
  }

  #gradientSums(): GradientSums {
    const [x, dy] = [this.contents.x.data, this.contents.dy.data];
    const { mean, invStd } = this.#normalize();
    const sums = { dgamma: this.#vector(), dbeta: this.#vector(), terms: this.#vector() };
    const [dgamma, dbeta, terms] = [new Sums(sums.dgamma), new Sums(sums.dbeta), new Sums(sums.terms)];
    for (const at = new Position(this.#extent); at.k < x.length; at.next()) {
      const { k, c } = at;
      const xHat = (x[k]! - mean[c]!) * invStd[c]!;
      dgamma.add(c, dy[k]! * xHat);
      dbeta.add(c, dy[k]!);
      terms.add(c, dy[k]! * (1 + Math.abs(xHat)));
    }
    return sums;
  }

  #vector(): Float64Array {
    return new Float64Array(this.#extent.channels);
  }

  #make(): Contents {
    const { shape, dtype } = this.#question;
    const vector = (value: (c: number) => number) => this.#vector().map((_, c) => value(c));
    try {
      const [x, dy, y, dx] = [0, 1, 2, 3].map(() => allocate(dtype, product(shape))) as [
        FloatArray,
        FloatArray,
        FloatArray,
        FloatArray,
      ];
      for (let k = 0; k < x.length; k++) {
        x[k] = xOf(k);
        dy[k] = dyOf(k);
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

/** An element's place, while an activation is gone through in the order of memory. */
class Position {
  /** The index of the element. */
  k = 0;
  /** Its channel. */
  c = 0;
  readonly #channels: number;
  readonly #inner: number;
  #i = 0;

  constructor({ channels, inner }: Extent) {
    this.#channels = channels;
    this.#inner = inner;
  }

  next(): void {
    this.k++;
    if (++this.#i < this.#inner) return;
    this.#i = 0;
    if (++this.c === this.#channels) this.c = 0;
  }
}

/** A sum for each channel, with Kahan's compensation (1965, Communications of the ACM 8). */
class Sums {
  readonly #sum: Float64Array;
  readonly #excess: Float64Array;

  constructor(sum: Float64Array) {
    this.#sum = sum;
    this.#excess = new Float64Array(sum.length);
  }

  add(c: number, term: number): void {
    const value = term - this.#excess[c]!;
    const next = this.#sum[c]! + value;
    this.#excess[c] = next - this.#sum[c]! - value;
    this.#sum[c] = next;
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
