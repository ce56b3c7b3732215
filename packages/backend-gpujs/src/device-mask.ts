// Which positions of a batch count, as GPU kernels and the host get it.
import type { CountedPositions, Extent } from '@batchnorm/core-api';
import type { DeviceArray } from './device-array.js';
import type { GpuContext } from './gpu-context.js';
import type { Scope } from './scope.js';

export interface DeviceMask extends CountedPositions {
  /** [outer · inner]: the positions in float32, on the device. */
  readonly array: DeviceArray;
}

/** A mask that the scope lets go. */
export async function deviceMask(
  { positions, count }: CountedPositions,
  context: GpuContext,
  scope: Scope,
): Promise<DeviceMask> {
  return { positions, count, array: scope.use(await context.upload(new Float32Array(positions))) };
}

/** Where channel 0 has its first value that counts. */
export function firstCounted({ positions }: CountedPositions, { channels, inner }: Extent): number {
  const position = positions.indexOf(1);
  const i = position % inner;
  return (position - i) * channels + i;
}
