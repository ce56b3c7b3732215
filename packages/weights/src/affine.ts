// A batch norm as it is at inference: one multiplication and one addition for each channel.
import { refuse } from '@batchnorm/core-api';
import { type Layer, stateOf } from './layer-weights.js';
import { refuseUnheld } from './translation.js';

/** y = scale · x + shift for each channel; both [C]. */
export interface Affine {
  readonly scale: Float64Array;
  readonly shift: Float64Array;
}

/**
 * scale = gamma / √(runningVariance + epsilon) and shift = beta − runningMean · scale, in float64: what inference of the
 * layer is, for engines without one.
 *
 * Errors: `INVALID_STATE`, also for a variance of 0 with epsilon 0; `UNSUPPORTED` for a layer without running statistics,
 * and for a fused ReLU, which is not affine.
 */
export function affine(layer: Layer): Affine {
  const { numFeatures: C, options, gamma, beta, runningMean, runningVariance } = stateOf(layer);
  const { epsilon, scale: hasGamma, center, trackRunningStatistics, activation } = options;
  refuseUnheld(!trackRunningStatistics, 'trackRunningStatistics false', 'an affine form', 'running statistics');
  refuseUnheld(activation !== 'none', `activation '${activation}'`, 'an affine form', "'none', and the ReLU after it");
  const [scale, shift] = [new Float64Array(C), new Float64Array(C)];
  for (let c = 0; c < C; c++) {
    const variance = runningVariance[c]! + epsilon;
    if (variance === 0) refuse('INVALID_STATE', `runningVariance[${c}] = 0 with epsilon 0`, 'a sum that is positive');
    scale[c] = (hasGamma ? gamma[c]! : 1) / Math.sqrt(variance);
    shift[c] = (center ? beta[c]! : 0) - runningMean[c]! * scale[c]!;
  }
  return { scale, shift };
}
