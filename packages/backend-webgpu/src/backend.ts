// The backend: the device it runs on, what it can do there, and kernels on demand.
import {
  type AllocatedTensor,
  arrayOf,
  assertDtype,
  assertWithinLimits,
  type Backend,
  type Capabilities,
  checkedShape,
  checkedTensor,
  copyOn,
  type Dtype,
  describe,
  dtypeOf,
  type Execution,
  type Kernels,
  ordinaryTensor,
  type Plan,
  product,
  refuse,
  type Tensor,
} from '@batchnorm/core-api';
import { DeviceBuffer } from './device-buffer.js';
import { WebGpuTensor } from './device-tensor.js';
import { Gpu } from './gpu.js';
import { WebGpuKernels } from './kernels.js';
import { openDevice, type WebGpuOptions } from './options.js';

/** Where the elements of a tensor lie in a buffer of the caller. */
export interface WrapOptions {
  readonly dtype?: Dtype;
  /** In bytes, a multiple of `device.limits.minStorageBufferOffsetAlignment`. Default 0. */
  readonly offset?: number;
}

/** A backend on a WebGPU device, which also computes in buffers and encoders of the caller. */
export interface WebGpuBackend extends Backend {
  readonly device: GPUDevice;
  upload(tensor: Tensor): Promise<WebGpuTensor>;
  /**
   * A tensor of the elements that lie in `buffer`, which stays the caller's: nothing is copied, results may be written
   * there, and disposing the tensor does not destroy it. It needs the usage STORAGE | COPY_SRC | COPY_DST.
   *
   * Errors: `INVALID_TENSOR` for a buffer that is destroyed, mapped, too short, without that usage, of another device, or
   * an offset that is not aligned; `DTYPE_MISMATCH`, `LIMIT_EXCEEDED`, `DISPOSED`, `DEVICE_LOST`.
   */
  wrap(buffer: GPUBuffer, shape: readonly number[], options?: WrapOptions): Promise<WebGpuTensor>;
  /**
   * Calls of layers on device tensors within `work` are recorded into `encoder`, in their order, and nothing is submitted.
   * Calls that were made before are waited for, and so are those that `work` does not await. Between two awaited calls
   * `work` may record passes of its own. Calls with host arrays are submitted by themselves.
   *
   * Finish the encoder after `encode`, and submit it when you like, but after those whose results it needs and before
   * calls that need its own. Reading what it computes waits for that, and so do statistics: `read` and `settle` are
   * `UNSUPPORTED` meanwhile. What was computed too early is `DISPOSED`. Until it has been executed nobody else gets the
   * memory that it uses; the encoder before the latest is waited for. If `encode` fails, nothing has been computed, and
   * the device refuses the encoder. One that you will not submit, or can't, is to be abandoned.
   *
   * Errors: `INVALID_OPTION` for what is no open encoder of the device, or is finished within `work`; `UNSUPPORTED` within
   * another `encode`, for an encoder that had one, and of what reads within `work`; `INVALID_TENSOR`; those of `work`;
   * `DISPOSED`, `DEVICE_LOST`. An encoder in which a pass is open can't be told from others: its `finish()` fails.
   */
  encode<T>(encoder: GPUCommandEncoder, work: () => PromiseLike<T> | T): Promise<T>;
  /**
   * Gives up what `encode` recorded into an encoder that will not be submitted, or that the device refuses: it counts as
   * never computed (`DISPOSED`), the next `settle` reports the batches that are left out, and the memory is freed. The
   * device refuses the encoder from now on. Does nothing where it has been executed, or was abandoned before.
   *
   * Errors: `INVALID_OPTION` for what had no `encode`; `UNSUPPORTED` during it; `DISPOSED`, `DEVICE_LOST`.
   */
  abandon(encoder: GPUCommandEncoder): Promise<void>;
}

/**
 * BatchNorm on WebGPU, of float32, and of float16 as storage.
 *
 * Errors: `INVALID_OPTION`; `BACKEND_UNAVAILABLE` with the reason where there is no WebGPU.
 */
export async function createWebGpuBackend(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const { device, isOwn } = await openDevice(options);
  const lost = await Promise.race([device.lost, undefined]);
  if (lost) refuse('BACKEND_UNAVAILABLE', `a device that was lost (${lost.message})`, 'one that works');
  return new Implementation(new Gpu(device, isOwn));
}

/** Of `GPUBufferUsage`: STORAGE, COPY_SRC, COPY_DST. */
const usageOfTensors = { STORAGE: 0x80, COPY_SRC: 0x04, COPY_DST: 0x08 };

const accumulation = 'blocked-compensated-float32';

class Implementation implements WebGpuBackend {
  readonly contractVersion = 2;
  readonly name = 'webgpu';
  readonly capabilities: Capabilities;
  readonly execution: Execution;
  readonly #gpu: Gpu;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
    this.capabilities = {
      dtypes: ['float32', 'float16'],
      deviceTensors: true,
      deterministic: true,
      limits: { elements: Math.floor(gpu.mostBytes / 4) },
    };
    this.execution = {
      engine: 'WebGPU',
      device: nameOf(gpu.device),
      threads: 1,
      accumulation: { float32: accumulation, float16: accumulation },
      fallbackReason: null,
    };
  }

  get device(): GPUDevice {
    return this.#gpu.device;
  }

  prepare(plan: Plan): Kernels {
    this.#gpu.assertUsable();
    assertDtype(this, plan.dtype);
    return new WebGpuKernels(this, this.#gpu, plan);
  }

  async upload(tensor: Tensor): Promise<WebGpuTensor> {
    this.#gpu.assertUsable();
    const { data, shape } = checkedTensor(tensor);
    const dtype = dtypeOf(data);
    assertDtype(this, dtype);
    assertWithinLimits(this, shape, 'tensor');
    return new WebGpuTensor(this, this.#gpu, await this.#gpu.put(data), shape, dtype);
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    this.#gpu.assertUsable();
    return ordinaryTensor(this, shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    this.#gpu.assertUsable();
    return copyOn(this, tensor);
  }

  async wrap(buffer: GPUBuffer, shape: readonly number[], options: WrapOptions = {}): Promise<WebGpuTensor> {
    this.#gpu.assertUsable();
    const { dtype, offset } = checkedWrapOptions(options);
    const own = checkedShape(this, shape, dtype);
    const bytes = product(own) * arrayOf[dtype].BYTES_PER_ELEMENT;
    assertBuffer(buffer, Math.ceil(bytes / 4) * 4, offset, this.device.limits.minStorageBufferOffsetAlignment);
    const memory = new DeviceBuffer(buffer, bytes, offset);
    if (bytes > 0) await this.#gpu.assertAlive(memory);
    return new WebGpuTensor(this, this.#gpu, memory, own, dtype);
  }

  async encode<T>(encoder: GPUCommandEncoder, work: () => PromiseLike<T> | T): Promise<T> {
    if (typeof encoder?.beginComputePass !== 'function') {
      refuse('INVALID_OPTION', `encoder ${describe(encoder)}`, 'a GPUCommandEncoder');
    }
    if (typeof work !== 'function') refuse('INVALID_OPTION', `work ${describe(work)}`, 'a function');
    return this.#gpu.recordInto(encoder, work);
  }

  abandon(encoder: GPUCommandEncoder): Promise<void> {
    return this.#gpu.abandon(encoder);
  }

  allocatedBytes(): number {
    return this.#gpu.allocatedBytes;
  }

  dispose(): void {
    this.#gpu.destroy();
  }
}

/** Errors: `INVALID_OPTION`. */
function checkedWrapOptions(options: WrapOptions): Required<WrapOptions> {
  if (typeof options !== 'object' || options === null) {
    refuse('INVALID_OPTION', `options ${describe(options)}`, '{ dtype, offset }');
  }
  const { dtype = 'float32', offset = 0, ...unknown } = options;
  const [name] = Object.keys(unknown);
  if (name !== undefined) refuse('INVALID_OPTION', `an option '${name}'`, 'dtype, offset');
  return { dtype, offset };
}

/** Errors: `INVALID_TENSOR`. */
function assertBuffer(buffer: GPUBuffer, bytes: number, offset: number, alignment: number): void {
  const { size, usage, mapState } = Object(buffer) as GPUBuffer;
  if (typeof size !== 'number' || typeof usage !== 'number') refuse('INVALID_TENSOR', typeof buffer, 'a GPUBuffer');
  if (!Number.isSafeInteger(offset) || offset < 0 || offset % alignment !== 0) {
    refuse('INVALID_TENSOR', `an offset of ${offset} bytes`, `a multiple of ${alignment}`);
  }
  if (offset + bytes > size) {
    refuse('INVALID_TENSOR', `a buffer of ${size} bytes`, `${bytes} bytes from offset ${offset} on`);
  }
  const missing = Object.entries(usageOfTensors).filter(([, flag]) => (usage & flag) === 0);
  if (missing.length > 0) {
    const names = missing.map(([name]) => name).join(' and ');
    refuse('INVALID_TENSOR', `a buffer without the usage ${names}`, 'STORAGE | COPY_SRC | COPY_DST');
  }
  if (mapState !== undefined && mapState !== 'unmapped')
    refuse('INVALID_TENSOR', `a buffer that is ${mapState}`, 'one that is unmapped');
}

/** What the adapter calls itself. */
function nameOf(device: GPUDevice): string {
  const { vendor, architecture, description } = device.adapterInfo ?? {};
  return description || [vendor, architecture].filter(Boolean).join(' ') || 'unnamed adapter';
}
