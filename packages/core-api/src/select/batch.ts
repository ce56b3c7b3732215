// The batch that every candidate gets on the asked shape, and what it must make of it: the equations of docs/semantics.md in
// float64, for every element. One pass over the batch takes no longer than a call of a plain backend.
import type { Gradients } from '../batch-norm.js';
import { describeShape } from '../describe.js';
import { BatchNormError } from '../errors.js';
import { type Extent, extentOf, product, valuesPerChannel } from '../extent.js';
import { defaultOptions } from '../options.js';
import { allocate, type FloatArray, type Tensor } from '../tensor.js';
import { tolerance } from './known-case.js';
import type { Question } from './question.js';

/** What the asked operation leaves; absent is what it does not compute. */
export interface Results {
  readonly y?: Tensor;
  readonly gradients?: Gradients;
}

/** What normalises each channel, [C] each. */
interface Normalization {
  readonly mean: Float64Array;
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
  /** Half of it is x, and its mean is 1: neither dgamma nor dbeta cancels, so that one which is too small is far off. */
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
  /** [C] each. */
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly runningMean: Float64Array;
  readonly runningVariance: Float64Array;
}

/** The same for every backend. */
export class Batch {
  readonly #question: Question;
  readonly #extent: Extent;
  #contents: Contents | undefined;
  #normalization: Normalization | undefined;
  #sums: GradientSums | undefined;

  constructor(question: Question) {
    this.#question = question;
    this.#extent = extentOf(question.shape, question.axis);
  }

  /** Made when they are first asked for. Errors: `LIMIT_EXCEEDED` where there is no memory for them. */
  get contents(): Contents {
    this.#contents ??= this.#make();
    return this.#contents;
  }

  /** Before a call: what earlier ones left in the buffers is no result of this one. */
  spoil(): void {
    const { y, dx } = this.contents;
    y.data.fill(Number.NaN);
    dx.data.fill(Number.NaN);
  }

  /** After a backend failed: it may have written to inputs, and may write to buffers whenever its call ends. */
  renew(): void {
    this.#contents = undefined;
    this.#normalization = undefined;
    this.#sums = undefined;
  }

  /**
   * Compares every element. Errors are relative to the terms that a result is made of, because a sum that cancels is no more accurate
   * than they are, and at most as large as in the known case. Errors: one that names what is wrong.
   */
  assertRight({ y, gradients }: Results): void {
    if (y !== undefined) this.#assertOutput(y.data);
    if (gradients !== undefined) this.#assertGradients(gradients);
  }

  /** y = gamma · xHat + beta */
  #assertOutput(y: FloatArray): void {
    const { gamma, beta } = this.contents;
    const x = this.contents.x.data;
    const { mean, invStd } = this.#normalize();
    const most = tolerance[this.#question.dtype];
    this.#forEachRun((begin, end, c) => {
      const [m, r, a, b] = [mean[c]!, invStd[c]!, gamma[c]!, beta[c]!];
      for (let k = begin; k < end; k++) {
        const xHat = (x[k]! - m) * r;
        const error = Math.abs(y[k]! - (a * xHat + b));
        if (!(error <= most * (a * (1 + Math.abs(xHat)) + Math.abs(b)))) this.#fail('y', k, y[k]!, a * xHat + b);
      }
    });
  }

  /** dbeta = Σ dy, dgamma = Σ dy · xHat, dx = gamma · invStd · (dy − dbeta/M − xHat · dgamma/M) */
  #assertGradients({ dx: { data: dx }, dgamma, dbeta }: Gradients): void {
    const { gamma } = this.contents;
    const [x, dy, M] = [this.contents.x.data, this.contents.dy.data, valuesPerChannel(this.#extent)];
    const { mean, invStd } = this.#normalize();
    const most = tolerance[this.#question.dtype];
    this.#sums ??= this.#gradientSums();
    const sums = this.#sums;
    gamma.forEach((_, c) => {
      const [ofDgamma, ofDbeta] = [dgamma[c]! - sums.dgamma[c]!, dbeta[c]! - sums.dbeta[c]!].map(Math.abs);
      if (!(ofDgamma! <= most * sums.terms[c]!)) this.#fail('dgamma', c, dgamma[c]!, sums.dgamma[c]!);
      if (!(ofDbeta! <= most * sums.dbeta[c]!)) this.#fail('dbeta', c, dbeta[c]!, sums.dbeta[c]!);
    });
    this.#forEachRun((begin, end, c) => {
      const [m, r, scale] = [mean[c]!, invStd[c]!, gamma[c]! * invStd[c]!];
      const [dyMean, slope, terms] = [sums.dbeta[c]! / M, sums.dgamma[c]! / M, sums.terms[c]! / M];
      for (let k = begin; k < end; k++) {
        const [g, xHat] = [dy[k]!, (x[k]! - m) * r];
        const expected = scale * (g - dyMean - xHat * slope);
        const size = scale * (g + dyMean + (1 + Math.abs(xHat)) * terms);
        if (!(Math.abs(dx[k]! - expected) <= most * size)) this.#fail('dx', k, dx[k]!, expected);
      }
    });
  }

  #fail(name: string, index: number, received: number, expected: number): never {
    const which = `${name}[${index}] on shape ${describeShape(this.#question.shape)}`;
    throw new Error(`computes wrong: ${which} is ${received} where ${expected} is right`);
  }

  #normalize(): Normalization {
    this.#normalization ??= this.#normalizationBy(this.#question.operation === 'forward-inference');
    return this.#normalization;
  }

  #normalizationBy(runningStatistics: boolean): Normalization {
    const { runningMean, runningVariance } = this.contents;
    const [x, M] = [this.contents.x.data, valuesPerChannel(this.#extent)];
    const [mean, variance] = runningStatistics ? [runningMean, runningVariance] : [this.#vector(), this.#vector()];
    if (!runningStatistics) {
      const [sum, squares] = [new Sums(mean), new Sums(variance)];
      this.#forEachRun((begin, end, c) => {
        for (let k = begin; k < end; k++) sum.add(c, x[k]! / M);
      });
      this.#forEachRun((begin, end, c) => {
        for (let k = begin; k < end; k++) squares.add(c, (x[k]! - mean[c]!) ** 2 / M);
      });
    }
    return { mean, invStd: variance.map((value) => 1 / Math.sqrt(value + defaultOptions.epsilon)) };
  }

  #gradientSums(): GradientSums {
    const [x, dy] = [this.contents.x.data, this.contents.dy.data];
    const { mean, invStd } = this.#normalize();
    const sums = { dgamma: this.#vector(), dbeta: this.#vector(), terms: this.#vector() };
    const [dgamma, dbeta, terms] = [new Sums(sums.dgamma), new Sums(sums.dbeta), new Sums(sums.terms)];
    this.#forEachRun((begin, end, c) => {
      for (let k = begin; k < end; k++) {
        const [g, xHat] = [dy[k]!, (x[k]! - mean[c]!) * invStd[c]!];
        dgamma.add(c, g * xHat);
        dbeta.add(c, g);
        terms.add(c, g * (1 + Math.abs(xHat)));
      }
    });
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
        x[k] = noise(k, 1);
        dy[k] = 1 + (x[k]! + noise(k, 2)) / 2;
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
      const received = `received shape ${describeShape(shape)}, expected one that there is memory for`;
      throw new BatchNormError('LIMIT_EXCEEDED', received, { cause });
    }
  }

  /** Calls `visit` for every run of a channel's neighbours: the elements from `begin` to before `end`. */
  #forEachRun(visit: (begin: number, end: number, c: number) => void): void {
    const { outer, channels, inner } = this.#extent;
    for (let o = 0, begin = 0; o < outer; o++) {
      for (let c = 0; c < channels; c++, begin += inner) visit(begin, begin + inner, c);
    }
  }
}

/** Sums of each channel, with Kahan's compensation (1965, Communications of the ACM 8). */
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

/** The k-th number of a sequence in [−1, 1) that has no pattern, whatever part of it a channel gets (MurmurHash3's last steps). */
function noise(k: number, seed: number): number {
  let h = Math.imul(k ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) / 2 ** 31;
}
