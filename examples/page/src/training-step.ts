// One forward and one backward on a fixed batch, and everything that comes out.
import { type Backend, BatchNorm } from '@batchnorm/core-api';

/** 6 rows of 3 features that differ in place and in width. */
export const x: Float32Array = Float32Array.of(1, 10, 100, 2, 30, 400, 3, 20, 200, 4, 60, 600, 5, 50, 300, 6, 40, 500);
/** A loss that wants the first row up and the last one down. */
export const dy: Float32Array = Float32Array.of(-1, -2, -3, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3);
export const numFeatures = 3;

/** Each row-major over the features. */
export interface TrainingStep {
  readonly y: ArrayLike<number>;
  readonly dx: ArrayLike<number>;
  readonly dgamma: ArrayLike<number>;
  readonly dbeta: ArrayLike<number>;
  readonly 'running mean': ArrayLike<number>;
  readonly 'running variance': ArrayLike<number>;
}

export async function trainingStep(backend: Backend): Promise<TrainingStep> {
  const layer = new BatchNorm({ backend, numFeatures });
  const shape = [x.length / numFeatures, numFeatures];
  const y = await layer.forward({ data: x, shape });
  const { dx, dgamma, dbeta } = await layer.backward({ data: dy, shape });
  const { runningMean, runningVariance } = await layer.state();
  await layer.dispose();
  return {
    y: y.data,
    dx: dx.data,
    dgamma,
    dbeta,
    'running mean': runningMean,
    'running variance': runningVariance,
  };
}
