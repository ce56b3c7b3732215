// The straightforward implementation that backends are measured against: [N, C], row by row, with sums indexed by
// channel. Two-pass statistics. Plain, but not made slow on purpose.

export class RowByRow {
  readonly #rows: number;
  readonly #channels: number;
  readonly #mean: Float64Array;
  readonly #invStd: Float64Array;
  readonly #scale: Float64Array;
  readonly #dyMean: Float64Array;
  readonly #slope: Float64Array;

  constructor(rows: number, channels: number) {
    this.#rows = rows;
    this.#channels = channels;
    this.#mean = new Float64Array(channels);
    this.#invStd = new Float64Array(channels);
    this.#scale = new Float64Array(channels);
    this.#dyMean = new Float64Array(channels);
    this.#slope = new Float64Array(channels);
  }

  forward(x: Float32Array, gamma: Float64Array, beta: Float64Array, epsilon: number, y: Float32Array): void {
    const [N, C] = [this.#rows, this.#channels];
    const mean = this.#mean.fill(0);
    const invStd = this.#invStd.fill(0);
    const scale = this.#scale;
    for (let n = 0, k = 0; n < N; n++) {
      for (let c = 0; c < C; c++, k++) mean[c]! += x[k]!;
    }
    for (let c = 0; c < C; c++) mean[c]! /= N;
    for (let n = 0, k = 0; n < N; n++) {
      for (let c = 0; c < C; c++, k++) {
        const d = x[k]! - mean[c]!;
        invStd[c]! += d * d;
      }
    }
    for (let c = 0; c < C; c++) {
      invStd[c] = 1 / Math.sqrt(invStd[c]! / N + epsilon);
      scale[c] = gamma[c]! * invStd[c]!;
    }
    for (let n = 0, k = 0; n < N; n++) {
      for (let c = 0; c < C; c++, k++) y[k] = (x[k]! - mean[c]!) * scale[c]! + beta[c]!;
    }
  }

  /** The training gradient of the latest forward, whose x it was. */
  backward(x: Float32Array, dy: Float32Array, dgamma: Float64Array, dbeta: Float64Array, dx: Float32Array): void {
    const [N, C] = [this.#rows, this.#channels];
    const [mean, invStd, scale, dyMean, slope] = [this.#mean, this.#invStd, this.#scale, this.#dyMean, this.#slope];
    dgamma.fill(0);
    dbeta.fill(0);
    for (let n = 0, k = 0; n < N; n++) {
      for (let c = 0; c < C; c++, k++) {
        dbeta[c]! += dy[k]!;
        dgamma[c]! += dy[k]! * (x[k]! - mean[c]!);
      }
    }
    for (let c = 0; c < C; c++) {
      dgamma[c]! *= invStd[c]!;
      dyMean[c] = dbeta[c]! / N;
      slope[c] = (invStd[c]! * dgamma[c]!) / N;
    }
    for (let n = 0, k = 0; n < N; n++) {
      for (let c = 0; c < C; c++, k++) dx[k] = scale[c]! * (dy[k]! - dyMean[c]! - (x[k]! - mean[c]!) * slope[c]!);
    }
  }
}
