// A backend that computes in host memory, made from its arithmetic: what all of them would repeat is here.
import type { Backend, Capabilities, Execution, Kernels, Plan } from './backend.js';
import { BatchNormError } from './errors.js';
import { HostKernels, type HostPasses } from './host-kernels.js';
import type { DeviceTensor, Tensor } from './tensor.js';

/** What tells one such backend from another. */
export interface HostBackendOptions {
  /** Short and stable, such as 'js'. */
  readonly name: string;
  /** The arithmetic for one extent and dtype. */
  readonly passesFor: (plan: Plan) => HostPasses;
  /** Default: both dtypes, the same bits each time, as many elements as int32 counts. */
  readonly capabilities?: Partial<Omit<Capabilities, 'deviceTensors'>>;
  /** Default: JavaScript on one thread of the CPU, with float64 sums. */
  readonly execution?: Partial<Execution>;
}

/** A backend without device tensors. After `dispose()` every other call fails with `DISPOSED`. */
export function hostBackend(options: HostBackendOptions): Backend {
  return new HostBackend(options);
}

class HostBackend implements Backend {
  readonly contractVersion = 1;
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
    throw new BatchNormError(
      'UNSUPPORTED',
      `received upload(), expected host tensors: backend '${this.name}' computes in host memory`,
    );
  }

  dispose(): void {
    this.#disposed = true;
  }

  #assertUsable(): void {
    if (!this.#disposed) return;
    throw new BatchNormError('DISPOSED', `received a call after dispose() of backend '${this.name}', expected none`);
  }
}
