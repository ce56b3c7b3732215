// A backend without the operations that it has fused: with it the kit asks stages what it asks fused operations.
import type {
  AllocatedTensor,
  Backend,
  DeviceMemory,
  DeviceTensor,
  Dtype,
  Kernels,
  Plan,
  Stages,
  Tensor,
} from '@batchnorm/core-api';

/**
 * The same backend, whose kernels have no `fused`. Tensors belong to either of the two: what one has made is foreign to
 * the other. `dispose` disposes `backend`.
 */
export function unfused(backend: Backend): Backend {
  return new UnfusedBackend(backend);
}

/** Whether anything is fused, in host memory or on the device, of rows or of runs. Errors: those of `prepare`. */
export async function hasFused(backend: Backend, dtype: Dtype): Promise<boolean> {
  let found = false;
  for (const plan of [1, 3].flatMap((inner) =>
    (['none', 'relu'] as const).map((activation) => ({ extent: { outer: 4, channels: 3, inner }, activation })),
  )) {
    const kernels = await backend.prepare({ ...plan, dtype });
    found ||= kernels.fused !== undefined || kernels.device?.fused !== undefined;
    kernels.dispose();
  }
  return found;
}

class UnfusedBackend implements Backend {
  readonly contractVersion = 2;
  readonly #backend: Backend;
  /** For each tensor of `#backend` the one that layers on this backend have, and the other way round. */
  readonly #own = new WeakMap<DeviceTensor, DeviceTensor>();
  readonly #original = new WeakMap<DeviceTensor, DeviceTensor>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  get name() {
    return this.#backend.name;
  }

  /** Its tensors are wrapped in promises. */
  get capabilities() {
    return { ...this.#backend.capabilities, synchronous: false };
  }

  get execution() {
    return this.#backend.execution;
  }

  async prepare(plan: Plan): Promise<Kernels> {
    const kernels = await this.#backend.prepare(plan);
    const { device } = kernels;
    return {
      moments: (input) => kernels.moments(input),
      normalize: (input) => kernels.normalize(input),
      gradientSums: (input) => kernels.gradientSums(input),
      inputGradient: (input) => kernels.inputGradient(input),
      ...(device && { device: this.#onOwnTensors(device) }),
      dispose: () => kernels.dispose(),
    };
  }

  async upload(tensor: Tensor): Promise<DeviceTensor> {
    return this.#ownOf(await this.#backend.upload(tensor));
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    return this.#backend.empty(shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    return this.#backend.from(tensor);
  }

  resultLike(x: Tensor): AllocatedTensor | undefined {
    return this.#backend.resultLike?.(x);
  }

  dispose() {
    return this.#backend.dispose();
  }

  #onOwnTensors(device: Stages<DeviceMemory>): Stages<DeviceMemory> {
    const original = (tensor: DeviceTensor) => this.#original.get(tensor) ?? tensor;
    return {
      moments: (input) => device.moments({ ...input, x: original(input.x) }),
      normalize: async (input) => {
        const { x, residual, y } = input;
        const given = { x: original(x), residual: residual && original(residual), y: y && original(y) };
        const output = await device.normalize({ ...input, ...given });
        return { ...output, y: this.#ownOf(output.y) };
      },
      gradientSums: (input) => device.gradientSums({ ...input, dy: original(input.dy) }),
      inputGradient: async (input) => {
        const { dy, dx, dresidual } = input;
        const given = { dy: original(dy), dx: dx && original(dx), dresidual: dresidual && original(dresidual) };
        const output = await device.inputGradient({ ...input, ...given });
        return {
          ...output,
          dx: this.#ownOf(output.dx),
          dresidual: output.dresidual && this.#ownOf(output.dresidual),
        };
      },
    };
  }

  #ownOf(tensor: DeviceTensor): DeviceTensor {
    const known = this.#own.get(tensor);
    if (known) return known;
    const own: DeviceTensor = {
      backend: this,
      dtype: tensor.dtype,
      shape: tensor.shape,
      get disposed() {
        return tensor.disposed;
      },
      read: () => tensor.read(),
      ...(tensor.view && { view: () => tensor.view!() }),
      dispose: () => tensor.dispose(),
    };
    this.#own.set(tensor, own);
    this.#original.set(own, tensor);
    return own;
  }
}
