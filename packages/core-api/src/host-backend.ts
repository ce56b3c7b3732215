// A backend in host memory, made of its passes. What all such backends have in common is here.
import type { AllocatedTensor } from './allocated-tensor.js';
import type { Backend, Capabilities, DeviceTensor, Execution, Kernels, Plan } from './backend.js';
import { refuse } from './errors.js';
import { HostKernels } from './host-kernels.js';
import type { HostPasses } from './host-passes.js';
import { copyOn, ordinaryTensor } from './ordinary-tensor.js';
import type { Dtype, Tensor } from './tensor.js';

/** What differs between such backends. */
export interface HostBackendOptions {
  /** Short and stable, such as 'js'. */
  readonly name: string;
  /** Makes the passes for one extent and dtype. */
  readonly passesFor: (plan: Plan) => HostPasses;
  /** Default: float32 and float64, synchronous, deterministic, at most 2³¹ − 1 elements. */
  readonly capabilities?: Partial<Omit<Capabilities, 'deviceTensors'>>;
  /** Default: JavaScript on one thread of the CPU, sums accumulated in float64. */
  readonly execution?: Partial<Execution>;
}

/** A backend on these passes, without device tensors. After its `dispose()` every other call fails with `DISPOSED`. */
export function hostBackend(options: HostBackendOptions): Backend {
  return new HostBackend(options);
}

class HostBackend implements Backend {
  readonly contractVersion = 2;
  readonly name: string;
  readonly capabilities: Capabilities;
  readonly execution: Execution;
  readonly #passesFor: HostBackendOptions['passesFor'];
  #disposed = false;

  constructor({ name, passesFor, capabilities, execution }: HostBackendOptions) {
    this.name = name;
    this.#passesFor = passesFor;
    this.capabilities = {
      dtypes: ['float32', 'float64'],
      synchronous: true,
      deterministic: true,
      limits: { elements: 2 ** 31 - 1 },
      ...capabilities,
      deviceTensors: false,
    };
    this.execution = {
      engine: 'JavaScript',
      device: 'cpu',
      threads: 1,
      fallbackReason: null,
      ...execution,
      accumulation: {
        ...Object.fromEntries(this.capabilities.dtypes.map((dtype) => [dtype, 'float64'])),
        ...execution?.accumulation,
      },
    };
  }

  prepare(plan: Plan): Kernels {
    this.#assertUsable();
    return new HostKernels(plan, this.#passesFor(plan), () => this.#assertUsable());
  }

  upload(_tensor: Tensor): DeviceTensor {
    this.#assertUsable();
    refuse('UNSUPPORTED', 'upload()', `host tensors: backend '${this.name}' computes in host memory`);
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    this.#assertUsable();
    return ordinaryTensor(this, shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    this.#assertUsable();
    return copyOn(this, tensor);
  }

  dispose(): void {
    this.#disposed = true;
  }

  #assertUsable(): void {
    if (this.#disposed) refuse('DISPOSED', `a call after dispose() of backend '${this.name}'`, 'none');
  }
}
