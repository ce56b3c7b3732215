// The backend: what it can do, and kernels on demand.
import {
  type Backend,
  BatchNormError,
  type DeviceTensor,
  type Kernels,
  type Plan,
  type Tensor,
} from '@batchnorm/core-api';
import { JsKernels } from './kernels.js';

/** BatchNorm in plain JavaScript, on the calling thread: runs wherever JavaScript runs. */
export function createJsBackend(): Backend {
  return new JsBackend();
}

class JsBackend implements Backend {
  readonly contractVersion = 1;
  readonly name = 'js';
  readonly capabilities = {
    dtypes: ['float32', 'float64'],
    deviceTensors: false,
    deterministic: true,
    // Kernels count elements in int32.
    limits: { elements: 2 ** 31 - 1 },
  } as const;
  readonly execution = {
    engine: 'JavaScript',
    device: 'cpu',
    threads: 1,
    accumulation: 'float64',
    fallbackReason: null,
  } as const;
  #disposed = false;

  prepare(plan: Plan): Kernels {
    this.#assertUsable();
    return new JsKernels(plan, () => this.#assertUsable());
  }

  upload(_tensor: Tensor): DeviceTensor {
    this.#assertUsable();
    throw new BatchNormError(
      'UNSUPPORTED',
      "received upload(), expected host tensors: backend 'js' computes in host memory",
    );
  }

  dispose(): void {
    this.#disposed = true;
  }

  #assertUsable(): void {
    if (this.#disposed)
      throw new BatchNormError('DISPOSED', "received a call after dispose() of backend 'js', expected none");
  }
}
