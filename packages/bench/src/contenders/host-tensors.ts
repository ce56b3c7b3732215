// The tensors on the host that a contender reads and writes again and again: ordinary arrays, or its backend's own.
import { allocatesMemory, type Backend, type Tensor } from '@batchnorm/core-api';
import type { DataPath } from '../cases/case.js';
import type { Workload } from '../cases/workload.js';
import { outputsFor } from './outputs.js';

export interface HostTensors {
  readonly memory: Extract<DataPath, 'host' | 'allocated'>;
  readonly x: Tensor;
  readonly dy: Tensor;
  readonly y: Tensor;
  readonly dx: Tensor;
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Ordinary arrays; and the tensors that `backend` allocates, where these are something else. */
export function hostTensors(backend: Backend, workload: Workload): HostTensors[] {
  const { shape, dtype, x, dy } = workload;
  const { dgamma, dbeta, ...activations } = outputsFor(workload);
  const tensor = (data: Tensor['data']): Tensor => ({ data, shape });
  const [y, dx] = [tensor(activations.y), tensor(activations.dx)];
  const host: HostTensors = { memory: 'host', x: tensor(x), dy: tensor(dy), y, dx, dgamma, dbeta };
  if (!allocatesMemory(backend, dtype)) return [host];
  const own = (source: Tensor) => backend.from(source);
  return [host, { ...host, memory: 'allocated', x: own(host.x), dy: own(host.dy), y: own(y), dx: own(dx) }];
}
