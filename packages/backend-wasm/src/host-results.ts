// What both kinds of stages on host arrays write besides y: buffers for gradients, and the sums that end up in them.
import {
  allocate,
  type BackwardOutput,
  type FloatArray,
  type GradientBuffers,
  type GradientSums,
  type HostMemory,
  type Plan,
} from '@batchnorm/core-api';
import { assertInRange } from './in-range.js';
import type { SavedForward } from './saved-forward.js';

/** The buffers that the caller gave, and new ones where it gave none. */
export function gradientBuffers(
  { extent: { channels }, dtype }: Plan,
  { hasResidual }: SavedForward,
  { dy, ...given }: GradientBuffers<HostMemory> & { readonly dy: FloatArray },
): BackwardOutput<HostMemory> {
  const likeDy = () => allocate(dtype, dy.length);
  return {
    dx: given.dx ?? likeDy(),
    ...(hasResidual && { dresidual: given.dresidual ?? likeDy() }),
    dgamma: given.dgamma ?? new Float64Array(channels),
    dbeta: given.dbeta ?? new Float64Array(channels),
  };
}

export function copySums({ dgamma, dbeta }: GradientSums, to: BackwardOutput<HostMemory>): void {
  to.dgamma.set(dgamma);
  to.dbeta.set(dbeta);
}

/**
 * Errors: `NON_FINITE_STATISTICS` where sums are not finite although dy is, and so is x: values that did not count need
 * not be.
 */
export function assertSums(
  { extent }: Plan,
  { dgamma, dbeta }: GradientSums,
  saved: SavedForward,
  dy: FloatArray,
): void {
  assertInRange({ dgamma, dbeta }, [dy, saved.source as FloatArray], extent, { forward: saved });
}
