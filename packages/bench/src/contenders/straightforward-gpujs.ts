// The straightforward gpu.js version that the backend is measured against: [N, C], one kernel per step, one thread per
// feature for sums; host arrays in, flat host arrays out. gpu.js's own settings but for `precision`. Plain, but not
// made slow on purpose.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import { GPU, type IKernelRunShortcut, Input, type KernelVariable } from 'gpu.js';

// Text, because gpu.js reads kernels as text, and a minifier would rewrite functions.
const sources = {
  mean: `function (x) {
    let sum = 0;
    for (let n = 0; n < this.constants.N; n++) sum += x[n][this.thread.x];
    return sum / this.constants.N;
  }`,
  variance: `function (x, mean) {
    let sum = 0;
    for (let n = 0; n < this.constants.N; n++) {
      const d = x[n][this.thread.x] - mean[this.thread.x];
      sum += d * d;
    }
    return sum / this.constants.N;
  }`,
  y: `function (x, mean, variance, gamma, beta) {
    const c = this.thread.x;
    const invStd = 1 / Math.sqrt(variance[c] + this.constants.epsilon);
    return gamma[c] * (x[this.thread.y][c] - mean[c]) * invStd + beta[c];
  }`,
  dbeta: `function (dy) {
    let sum = 0;
    for (let n = 0; n < this.constants.N; n++) sum += dy[n][this.thread.x];
    return sum;
  }`,
  dgamma: `function (x, dy, mean, variance) {
    const c = this.thread.x;
    let sum = 0;
    for (let n = 0; n < this.constants.N; n++) sum += dy[n][c] * (x[n][c] - mean[c]);
    return sum / Math.sqrt(variance[c] + this.constants.epsilon);
  }`,
  dx: `function (x, dy, mean, variance, gamma, dgamma, dbeta) {
    const c = this.thread.x;
    const invStd = 1 / Math.sqrt(variance[c] + this.constants.epsilon);
    const xHat = (x[this.thread.y][c] - mean[c]) * invStd;
    return gamma[c] * invStd * (dy[this.thread.y][c] - (dbeta[c] + xHat * dgamma[c]) / this.constants.N);
  }`,
};

type Name = keyof typeof sources;

export interface Gradients {
  readonly dx: Float32Array;
  readonly dgamma: Float32Array;
  readonly dbeta: Float32Array;
}

export class StraightforwardGpuJs {
  readonly #gpu: GPU;
  readonly #kernels: Readonly<Record<Name, IKernelRunShortcut>>;
  readonly #size: [number, number];
  #mean: KernelVariable = [];
  #variance: KernelVariable = [];

  constructor(mode: GpuJsMode, rows: number, channels: number, epsilon: number) {
    this.#gpu = new GPU({ mode });
    this.#size = [channels, rows];
    const kernel = (name: Name, output: number[]) =>
      this.#gpu.createKernel(sources[name], {
        output,
        precision: 'single',
        constants: /epsilon/.test(sources[name]) ? { N: rows, epsilon } : { N: rows },
      });
    const [vector, activation] = [[channels], [channels, rows]];
    this.#kernels = {
      mean: kernel('mean', vector),
      variance: kernel('variance', vector),
      y: kernel('y', activation),
      dbeta: kernel('dbeta', vector),
      dgamma: kernel('dgamma', vector),
      dx: kernel('dx', activation),
    };
  }

  async forward(x: Float32Array, gamma: Float32Array, beta: Float32Array): Promise<Float32Array> {
    const { mean, variance, y } = this.#kernels;
    const rows = this.#rows(x);
    this.#mean = (await mean(rows)) as KernelVariable;
    this.#variance = (await variance(rows, this.#mean)) as KernelVariable;
    return flat(await y(rows, this.#mean, this.#variance, gamma, beta));
  }

  /** The training gradient of the latest forward, whose x it was. */
  async backward(x: Float32Array, dy: Float32Array, gamma: Float32Array): Promise<Gradients> {
    const kernels = this.#kernels;
    const [xRows, dyRows] = [this.#rows(x), this.#rows(dy)];
    const dbeta = (await kernels.dbeta(dyRows)) as unknown as Float32Array;
    const dgamma = (await kernels.dgamma(xRows, dyRows, this.#mean, this.#variance)) as unknown as Float32Array;
    const dx = flat(await kernels.dx(xRows, dyRows, this.#mean, this.#variance, gamma, dgamma, dbeta));
    return { dx, dgamma, dbeta };
  }

  #rows(values: Float32Array): Input {
    return new Input(values as unknown as number[], this.#size);
  }

  async dispose(): Promise<void> {
    await this.#gpu.destroy();
  }
}

/** gpu.js returns rows: in some modes views of one buffer, and then nothing is copied. */
function flat(rows: unknown): Float32Array {
  const [first, second] = rows as Float32Array[];
  const { length } = rows as Float32Array[];
  const width = first!.length;
  if (second?.buffer === first!.buffer) return new Float32Array(first!.buffer, first!.byteOffset, length * width);
  const result = new Float32Array(length * width);
  (rows as Float32Array[]).forEach((row, n) => {
    result.set(row, n * width);
  });
  return result;
}
