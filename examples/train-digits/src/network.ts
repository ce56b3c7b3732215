// The network of section 4.1 of the paper: fully connected, sigmoid nonlinearities, softmax and cross-entropy.
import type { Backend, Collective } from '@batchnorm/core-api';
import { BatchNormLayer } from './batch-norm-layer.js';
import { Bias, type Layer, type LayerState, Linear, type Parameter, Sigmoid } from './layers.js';
import type { Matrix } from './matrix.js';
import { seeded } from './random.js';

export interface Architecture {
  /** Of the input, each hidden layer, and the output. */
  readonly sizes: readonly number[];
  /** Of the initial weights, which are Gaussian. */
  readonly deviation: number;
  readonly seed: number;
  /** With one, BatchNorm on it stands before each nonlinearity, where a bias stands without. */
  readonly backend?: Backend | undefined;
  /** Of the processes whose minibatches BatchNorm normalises as one. Default: this one alone. */
  readonly collective?: Collective | undefined;
}

export class Network {
  readonly #layers: readonly Layer[];

  constructor({ sizes, deviation, seed, backend, collective }: Architecture) {
    const random = seeded(seed);
    const lastIndex = sizes.length - 2;
    this.#layers = sizes.slice(1).flatMap((outputs, i): Layer[] => {
      const linear = new Linear(sizes[i]!, outputs, deviation, random);
      if (i === lastIndex) return [linear, new Bias(outputs)];
      return [linear, backend ? new BatchNormLayer(outputs, backend, collective) : new Bias(outputs), new Sigmoid()];
    });
  }

  get parameters(): Parameter[] {
    return this.#layers.flatMap((layer) => layer.parameters);
  }

  /** Logits. The network keeps them: the next call writes over them. */
  async forward(images: Matrix, training: boolean): Promise<Matrix> {
    let x = images;
    for (const layer of this.#layers) x = await layer.forward(x, training);
    return x;
  }

  /** The mean loss of a minibatch; computes the gradient of every parameter. */
  async differentiate(images: Matrix, labels: Uint8Array): Promise<number> {
    const logits = await this.forward(images, true);
    const { loss, gradient } = crossEntropy(logits, labels);
    let dy = gradient;
    for (const layer of this.#layers.toReversed()) dy = await layer.backward(dy);
    return loss;
  }

  /** One step of stochastic gradient descent. */
  descend(learningRate: number): void {
    for (const { value, gradient } of this.parameters) {
      value.forEach((_, i) => {
        value[i]! -= learningRate * gradient[i]!;
      });
    }
  }

  async accuracy(images: Matrix, labels: Uint8Array): Promise<number> {
    const logits = await this.forward(images, false);
    const correct = labels.filter((label, n) => label === argmax(row(logits, n)));
    return correct.length / labels.length;
  }

  /** Plain JSON. */
  state(): Promise<LayerState[]> {
    return Promise.all(this.#layers.map((layer) => layer.state()));
  }

  async loadState(state: readonly LayerState[]): Promise<void> {
    await Promise.all(this.#layers.map((layer, i) => layer.loadState(state[i] as LayerState)));
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#layers.map((layer) => layer.dispose?.()));
  }
}

/** The mean of −log softmax(logits)[label], and its gradient, which takes the place of the logits. */
function crossEntropy(logits: Matrix, labels: Uint8Array): { loss: number; gradient: Matrix } {
  let loss = 0;
  labels.forEach((label, n) => {
    const z = row(logits, n);
    const max = Math.max(...z);
    const sum = z.reduce((total, value) => total + Math.exp(value - max), 0);
    loss += Math.log(sum) + max - z[label]!;
    z.forEach((value, k) => {
      z[k] = (Math.exp(value - max) / sum - (k === label ? 1 : 0)) / labels.length;
    });
  });
  return { loss: loss / labels.length, gradient: logits };
}

function row({ data, shape: [, columns] }: Matrix, n: number): Float32Array {
  return data.subarray(n * columns, (n + 1) * columns);
}

function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}
