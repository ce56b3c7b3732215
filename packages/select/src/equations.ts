// What the results on a workload must be: the equations of docs/semantics.md in float64, for every element. That costs
// as much as a few calls, and every candidate is timed for at least as many.
import {
  defaultOptions,
  type Extent,
  type FloatArray,
  type Gradients,
  numbersOf,
  type Statistics,
  type Tensor,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { tolerance } from './known-case.js';
import type { Question } from './question.js';

/** What results are computed from. Vectors are [C]. */
export interface Inputs {
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

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

export class Equations {
  readonly #question: Question;
  readonly #extent: Extent;
  readonly #inputs: Inputs;
  readonly #x: FloatArray;
  readonly #dy: FloatArray;
  #normalization: Normalization | undefined;
  #sums: GradientSums | undefined;

  constructor(question: Question, extent: Extent, inputs: Inputs) {
    this.#question = question;
    this.#extent = extent;
    this.#inputs = inputs;
    this.#x = numbersOf(inputs.x.data);
    this.#dy = numbersOf(inputs.dy.data);
  }

  /**
   * Compares every element. The bound of an error is that of the known case, relative to the sizes of the terms that a
   * result is made of: a sum whose terms cancel is only as exact as they are. Errors: an `Error` that names the result
   * that is wrong.
   */
  assertRight({ y, gradients, statistics }: Results): void {
    if (y !== undefined) this.#assertOutput(numbersOf(y.data));
    if (statistics !== undefined) this.#assertStatistics(statistics);
    if (gradients !== undefined) this.#assertGradients(gradients);
  }

  /** y = gamma · xHat + beta */
  #assertOutput(y: FloatArray): void {
    const { gamma, beta } = this.#inputs;
    const x = this.#x;
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
  #assertGradients(gradients: Gradients): void {
    const { dgamma, dbeta } = gradients;
    const { gamma } = this.#inputs;
    const [x, dy, dx, M] = [this.#x, this.#dy, numbersOf(gradients.dx.data), valuesPerChannel(this.#extent)];
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
    const { runningMean, runningVariance } = this.#inputs;
    const [mean, variance] = runningStatistics ? [runningMean, runningVariance] : this.#batchStatistics();
    return { mean, variance, invStd: variance.map((value) => 1 / Math.sqrt(value + defaultOptions.epsilon)) };
  }

  #batchStatistics(): [mean: Float64Array, variance: Float64Array] {
    const [x, M] = [this.#x, valuesPerChannel(this.#extent)];
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
    const [x, dy] = [this.#x, this.#dy];
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
