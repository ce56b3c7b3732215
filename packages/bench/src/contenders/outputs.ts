// Buffers for every result of a workload, that each run of a contender writes into again.
import { allocate, type FloatArray } from '@batchnorm/core-api';
import type { Workload } from '../cases/workload.js';

export interface Outputs {
  readonly y: FloatArray;
  readonly dx: FloatArray;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

export function outputsFor({ dtype, x, gamma }: Workload): Outputs {
  return {
    y: allocate(dtype, x.length),
    dx: allocate(dtype, x.length),
    dgamma: new Float64Array(gamma.length),
    dbeta: new Float64Array(gamma.length),
  };
}
