// The kernels of one plan: the stages on device tensors, and on host arrays, which go to the device and come back.
import type { Backend, DeviceMemory, Kernels, Plan, Stages } from '@batchnorm/core-api';
import { DeviceStages } from './device-stages.js';
import type { Gpu } from './gpu.js';
import { HostStages } from './host-stages.js';
import { Passes } from './passes.js';

export class WebGpuKernels extends HostStages implements Kernels {
  readonly device: Stages<DeviceMemory>;

  constructor(backend: Backend, gpu: Gpu, plan: Plan) {
    const passes = new Passes(gpu, plan);
    super(backend, gpu, passes, new DeviceStages(backend, gpu, passes, true));
    this.device = new DeviceStages(backend, gpu, passes, false);
  }

  /** Shaders are the backend's, for all plans, and memory is that of each call. */
  dispose(): void {}
}
