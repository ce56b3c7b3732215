// BatchNorm as a layer of the network: its buffers are reused, so that training allocates nothing.
import { type Backend, BatchNorm, type BatchNormState, type Collective } from '@batchnorm/core-api';
import type { Layer, Parameter } from './layers.js';
import { type Matrix, reuse } from './matrix.js';

/** y = gamma · (x − mean) / √(variance + epsilon) + beta */
export class BatchNormLayer implements Layer {
  readonly #batchNorm: BatchNorm;
  readonly #dgamma: Float64Array;
  readonly #dbeta: Float64Array;
  #y: Matrix | undefined;

  constructor(features: number, backend: Backend, collective?: Collective) {
    this.#batchNorm = new BatchNorm({ backend, numFeatures: features, collective });
    this.#dgamma = new Float64Array(features);
    this.#dbeta = new Float64Array(features);
  }

  get parameters(): Parameter[] {
    return [
      { value: this.#batchNorm.gamma, gradient: this.#dgamma },
      { value: this.#batchNorm.beta, gradient: this.#dbeta },
    ];
  }

  async forward(x: Matrix, training: boolean): Promise<Matrix> {
    this.#y = reuse(this.#y, ...x.shape);
    await this.#batchNorm.forward(x, { training, out: this.#y });
    return this.#y;
  }

  async backward(dy: Matrix): Promise<Matrix> {
    await this.#batchNorm.backward(dy, { out: { dx: dy, dgamma: this.#dgamma, dbeta: this.#dbeta } });
    return dy;
  }

  state(): Promise<BatchNormState> {
    return this.#batchNorm.state();
  }

  loadState(state: BatchNormState): Promise<void> {
    return this.#batchNorm.loadState(state);
  }

  dispose(): Promise<void> {
    return this.#batchNorm.dispose();
  }
}
