// The layers: each forward computes y from x, each backward dx from dy and the gradients of its parameters.
import type { BatchNormState, MaybePromise } from '@batchnorm/core-api';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { type Matrix, matrix, multiply, reuse, transpose } from './matrix.js';
import { gaussian } from './random.js';

/** What a layer learns: a value and the gradient of the loss with respect to it, of one length. */
export interface Parameter {
  readonly value: Float32Array | Float64Array;
  readonly gradient: Float32Array | Float64Array;
}

export type LayerState = readonly number[] | BatchNormState;

/** Matrices belong to their layer until its next forward; all layers but `Linear` may write into the x or dy they get. */
export interface Layer {
  readonly parameters: readonly Parameter[];
  forward(x: Matrix, training: boolean): MaybePromise<Matrix>;
  backward(dy: Matrix): MaybePromise<Matrix>;
  state(): MaybePromise<LayerState>;
  loadState(state: LayerState): MaybePromise<void>;
  dispose?(): Promise<void>;
}

/** y = x · W */
export class Linear implements Layer {
  readonly #weights: Matrix;
  readonly #gradient: Matrix;
  #x: Matrix | undefined;
  #y: Matrix | undefined;
  #dx: Matrix | undefined;

  constructor(inputs: number, outputs: number, deviation: number, random: RandomGenerator) {
    this.#weights = matrix(inputs, outputs);
    this.#gradient = matrix(inputs, outputs);
    this.#weights.data.forEach((_, i, weights) => {
      weights[i] = deviation * gaussian(random);
    });
  }

  get parameters(): Parameter[] {
    return [{ value: this.#weights.data, gradient: this.#gradient.data }];
  }

  forward(x: Matrix): Matrix {
    this.#x = x;
    this.#y = reuse(this.#y, x.shape[0], this.#weights.shape[1]);
    multiply(x, this.#weights, this.#y);
    return this.#y;
  }

  backward(dy: Matrix): Matrix {
    const x = this.#x as Matrix;
    multiply(transpose(x), dy, this.#gradient);
    this.#dx = reuse(this.#dx, ...x.shape);
    multiply(dy, transpose(this.#weights), this.#dx);
    return this.#dx;
  }

  state(): number[] {
    return [...this.#weights.data];
  }

  loadState(state: readonly number[]): void {
    this.#weights.data.set(state);
  }
}

/** y = x + b */
export class Bias implements Layer {
  readonly #bias: Float32Array;
  readonly #gradient: Float32Array;

  constructor(features: number) {
    this.#bias = new Float32Array(features);
    this.#gradient = new Float32Array(features);
  }

  get parameters(): Parameter[] {
    return [{ value: this.#bias, gradient: this.#gradient }];
  }

  forward(x: Matrix): Matrix {
    const bias = this.#bias;
    x.data.forEach((value, i, y) => {
      y[i] = value + bias[i % bias.length]!;
    });
    return x;
  }

  backward(dy: Matrix): Matrix {
    const gradient = this.#gradient.fill(0);
    dy.data.forEach((value, i) => {
      gradient[i % gradient.length]! += value;
    });
    return dy;
  }

  state(): number[] {
    return [...this.#bias];
  }

  loadState(state: readonly number[]): void {
    this.#bias.set(state);
  }
}

/** y = 1 / (1 + e⁻ˣ), so dx = dy · y · (1 − y) */
export class Sigmoid implements Layer {
  readonly parameters: readonly Parameter[] = [];
  #y: Matrix | undefined;

  forward(x: Matrix): Matrix {
    x.data.forEach((value, i, y) => {
      y[i] = 1 / (1 + Math.exp(-value));
    });
    this.#y = x;
    return x;
  }

  backward(dy: Matrix): Matrix {
    const { data: y } = this.#y as Matrix;
    dy.data.forEach((value, i, dx) => {
      const yi = y[i]!;
      dx[i] = value * yi * (1 - yi);
    });
    return dy;
  }

  state(): number[] {
    return [];
  }

  loadState(): void {}
}
