// The refusal of cases whose activations have more elements than the backend's limit.
import { allocate, BatchNorm, product } from '@batchnorm/core-api';
import type { Refusal, Subject } from './conformance-case.js';
import { refusal } from './expect-refusal.js';

/**
 * Undefined if the backend's limit allows activations of all these shapes; else the refusal of the first that it does
 * not allow. Errors: if the backend does not refuse that one as it must.
 */
export async function refusedByLimit(
  { backend, dtype }: Pick<Subject, 'backend' | 'dtype'>,
  shapes: readonly (readonly number[])[],
): Promise<Refusal | undefined> {
  const { elements } = backend.capabilities.limits;
  const shape = shapes.find((one) => product(one) > elements);
  if (shape === undefined) return undefined;
  return refusal(`forward of [${shape}] with a limit of ${elements} elements`, 'LIMIT_EXCEEDED', async () => {
    // More channels than elements are refused here.
    const layer = new BatchNorm({ backend, dtype, numFeatures: shape[1]! });
    try {
      await layer.forward({ data: allocate(dtype, product(shape)), shape });
    } finally {
      await layer.dispose();
    }
  });
}
