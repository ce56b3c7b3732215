// One training step of a real layer on one feature, and everything that comes out.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm, type Tensor } from '@batchnorm/core-api';

const backend = createJsBackend();

/** What the loss wants of the outputs, as dy = ∂loss/∂y. */
export const losses = {
  /** Loss −y of one output. */
  'one value up': (y: ArrayLike<number>, pushed: number) => Array.from(y, (_, n) => (n === pushed ? -1 : 0)),
  /** Loss ½ Σ y². */
  'every value to 0': (y: ArrayLike<number>) => Array.from(y),
  /** Loss −Σ y of what is above beta. */
  'the upper half up': (y: ArrayLike<number>, _: number, beta: number) =>
    Array.from(y, (value) => (value > beta ? -1 : 0)),
} as const;

export type Loss = keyof typeof losses;

export interface Parameters {
  readonly gamma: number;
  readonly beta: number;
}

export interface StepInput extends Parameters {
  /** [N, 1] */
  readonly x: Tensor;
  readonly loss: Loss;
  /** The row that 'one value up' is about. */
  readonly pushed: number;
}

export interface Step {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
  readonly dx: ArrayLike<number>;
  readonly dgamma: number;
  readonly dbeta: number;
  readonly mean: number;
  readonly variance: number;
}

export async function trainingStep({ x, gamma, beta, loss, pushed }: StepInput): Promise<Step> {
  // With momentum 0 the running statistics are those of this batch.
  const layer = new BatchNorm({ backend, numFeatures: 1, momentum: 0 });
  layer.gamma[0] = gamma;
  layer.beta[0] = beta;
  const { data: y } = await layer.forward(x);
  const dy = Float32Array.from(losses[loss](y, pushed, beta));
  const { dx, dgamma, dbeta } = await layer.backward({ data: dy, shape: x.shape });
  const [mean, variance] = [layer.runningMean[0]!, layer.runningVariance[0]!];
  await layer.dispose();
  return { x: x.data, y, dx: dx.data, dgamma: dgamma[0]!, dbeta: dbeta[0]!, mean, variance };
}

/** A layer that sees one batch after the other. */
export function trainingLayer(momentum: number): BatchNorm {
  return new BatchNorm({ backend, numFeatures: 1, momentum });
}
