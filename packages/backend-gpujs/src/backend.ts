// The backend: which mode it runs in, what it can do there, and kernels on demand.
import {
  type AllocatedTensor,
  assertOptionNames,
  type Backend,
  BatchNormError,
  type Capabilities,
  checkedTensor,
  copyOn,
  type DeviceTensor,
  type Dtype,
  describe,
  dtypeOf,
  type Execution,
  type Kernels,
  ordinaryTensor,
  type Plan,
  readUntrusted,
  type Tensor,
} from '@batchnorm/core-api';
import { GpuJsTensor } from './device-tensor.js';
import type { GpuContext } from './gpu-context.js';
import { GpuJsKernels } from './kernels.js';
import { type GpuJsMode, gpuJsModes, type RejectedMode } from './modes.js';
import { type Opened, openContext } from './probe.js';

/** How a gpu.js backend is made. */
export interface GpuJsOptions {
  /** A mode of gpu.js, or `'auto'`: the first of `gpuJsModes` that works here. Default 'auto'. */
  readonly mode?: GpuJsMode | 'auto';
  /**
   * Fail with `BACKEND_FELL_BACK` when gpu.js runs a kernel in another mode; `false`: `execution` says so. Default
   * true.
   */
  readonly strict?: boolean;
}

/** A backend on gpu.js, in the mode that it was made in. */
export interface GpuJsBackend extends Backend {
  readonly mode: GpuJsMode;
  /** The modes that `'auto'` tried before this one, and why they don't work here. */
  readonly rejected: readonly RejectedMode[];
}

/**
 * BatchNorm on gpu.js, float32. Under a content security policy the mode 'cpu' needs script-src 'unsafe-eval', 'webasm'
 * needs 'wasm-unsafe-eval'; those on a GPU need neither.
 *
 * Errors: `INVALID_OPTION`; `BACKEND_UNAVAILABLE` with the reason where the mode does not work; `BACKEND_FELL_BACK`.
 */
export async function createGpuJsBackend(options: GpuJsOptions = {}): Promise<GpuJsBackend> {
  const { mode, strict } = readUntrusted('INVALID_OPTION', 'options', () => validateOptions(options));
  if (mode !== 'auto') return new Implementation(await openContext(mode, strict), []);
  const rejected: RejectedMode[] = [];
  for (const candidate of gpuJsModes) {
    try {
      return new Implementation(await openContext(candidate, true), rejected);
    } catch (error) {
      rejected.push({ mode: candidate, reason: (error as Error).message });
    }
  }
  const reasons = rejected.map(({ reason }) => reason).join('; ');
  throw new BatchNormError('BACKEND_UNAVAILABLE', `received mode 'auto', expected a mode that runs here: ${reasons}`);
}

class Implementation implements GpuJsBackend {
  readonly contractVersion = 2;
  readonly name = 'gpujs';
  readonly mode: GpuJsMode;
  readonly rejected: readonly RejectedMode[];
  readonly capabilities: Capabilities;
  readonly execution: Execution;
  readonly #context: GpuContext;
  #disposed = false;

  constructor({ context, accumulation }: Opened, rejected: readonly RejectedMode[]) {
    this.#context = context;
    this.mode = context.mode;
    this.rejected = rejected;
    this.capabilities = {
      dtypes: ['float32'],
      deviceTensors: true,
      deterministic: true,
      limits: { elements: context.maxElements },
    };
    this.execution = context.execution(accumulation);
  }

  prepare(plan: Plan): Kernels {
    this.#assertUsable();
    assertFloat32(plan.dtype);
    return new GpuJsKernels(this, this.#context, plan);
  }

  async upload(tensor: Tensor): Promise<DeviceTensor> {
    this.#assertUsable();
    const { data, shape } = checkedTensor(tensor);
    assertFloat32(dtypeOf(data));
    const { elements } = this.capabilities.limits;
    if (data.length > elements) {
      throw new BatchNormError(
        'LIMIT_EXCEEDED',
        `received a tensor of ${data.length} elements, expected at most ${elements}`,
      );
    }
    const values = this.#context.traits.onHost ? data.slice() : data;
    return new GpuJsTensor(this, await this.#context.upload(values), shape).freedWhenDropped();
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    this.#assertUsable();
    return ordinaryTensor(this, shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    this.#assertUsable();
    return copyOn(this, tensor);
  }

  allocatedBytes(): number {
    return this.#context.allocatedBytes;
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#context.destroy();
  }

  #assertUsable(): void {
    if (this.#disposed) {
      throw new BatchNormError('DISPOSED', "received a call after dispose() of backend 'gpujs', expected none");
    }
  }
}

function assertFloat32(dtype: Dtype): void {
  if (dtype !== 'float32') {
    throw new BatchNormError('DTYPE_MISMATCH', `received ${dtype}, expected float32: gpu.js has no other`);
  }
}

function validateOptions(options: GpuJsOptions): Required<GpuJsOptions> {
  assertOptionNames(options, ['mode', 'strict']);
  const { mode = 'auto', strict = true } = options;
  const modes = [...gpuJsModes, 'auto'];
  if (!modes.includes(mode)) {
    throw new BatchNormError('INVALID_OPTION', `received mode ${describe(mode)}, expected ${modes.join(', ')}`);
  }
  if (typeof strict !== 'boolean') {
    throw new BatchNormError('INVALID_OPTION', `received strict ${describe(strict)}, expected true or false`);
  }
  return { mode, strict };
}
