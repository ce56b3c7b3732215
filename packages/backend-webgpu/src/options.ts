// What a WebGPU backend is made with, and the device that it runs on.
import { describe, readUntrusted, refuse } from '@batchnorm/core-api';

/** Which WebGPU device a backend runs on. */
export interface WebGpuOptions {
  /** The device to run on, which stays the caller's. Default: one of its own, of `adapter`. */
  readonly device?: GPUDevice;
  /** Where a device of its own comes from. Default: what `navigator.gpu` gives; in Node without it, the package webgpu. */
  readonly adapter?: GPUAdapter;
  /** Which adapter to ask for, where there is a choice. */
  readonly powerPreference?: GPUPowerPreference;
}

/** A device, and what is known of where it comes from. */
export interface Opened {
  readonly device: GPUDevice;
  readonly isOwn: boolean;
}

/** Errors: `INVALID_OPTION`; `BACKEND_UNAVAILABLE` with the reason. */
export async function openDevice(options: WebGpuOptions): Promise<Opened> {
  const { device, adapter, powerPreference } = readUntrusted('INVALID_OPTION', 'options', () => checked(options));
  if (device) return { device, isOwn: false };
  try {
    const found = adapter ?? (await requestAdapter(powerPreference));
    const { maxBufferSize, maxStorageBufferBindingSize } = found.limits;
    const requiredLimits = { maxBufferSize, maxStorageBufferBindingSize };
    const requiredFeatures = (['subgroups'] as const).filter((feature) => found.features.has(feature));
    return { device: await found.requestDevice({ requiredLimits, requiredFeatures }), isOwn: true };
  } catch (cause) {
    refuse('BACKEND_UNAVAILABLE', 'no WebGPU device', `one: ${(cause as Error).message}`, { cause });
  }
}

function checked(options: WebGpuOptions): WebGpuOptions {
  if (typeof options !== 'object' || options === null) {
    refuse('INVALID_OPTION', `options ${describe(options)}`, '{ device, adapter, powerPreference }');
  }
  const { device, adapter, powerPreference, ...unknown } = options;
  const [name] = Object.keys(unknown);
  if (name !== undefined) refuse('INVALID_OPTION', `an option '${name}'`, 'device, adapter, powerPreference');
  if (device !== undefined && typeof device?.createComputePipeline !== 'function') {
    refuse('INVALID_OPTION', `device ${describe(device)}`, 'a GPUDevice');
  }
  if (adapter !== undefined && typeof adapter?.requestDevice !== 'function') {
    refuse('INVALID_OPTION', `adapter ${describe(adapter)}`, 'a GPUAdapter');
  }
  if (powerPreference !== undefined && !['low-power', 'high-performance'].includes(powerPreference)) {
    refuse('INVALID_OPTION', `powerPreference ${describe(powerPreference)}`, "'low-power' or 'high-performance'");
  }
  return { ...(device && { device }), ...(adapter && { adapter }), ...(powerPreference && { powerPreference }) };
}

async function requestAdapter(powerPreference: GPUPowerPreference | undefined): Promise<GPUAdapter> {
  const gpu = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu ?? (await dawn());
  const adapter = await gpu.requestAdapter(powerPreference && { powerPreference });
  if (!adapter) throw new Error('there is no adapter for it');
  return adapter;
}

let ofDawn: GPU | undefined;

/** WebGPU of the package webgpu, an optional peer dependency, which is for Node. */
async function dawn(): Promise<GPU> {
  if (ofDawn) return ofDawn;
  if (!('process' in globalThis)) throw new Error('navigator.gpu is not there');
  let module: { create(flags: readonly string[]): GPU };
  try {
    // Not a literal: bundlers for pages must not look for it.
    const name = 'webgpu';
    module = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as typeof module;
  } catch (cause) {
    throw new Error(
      `neither navigator.gpu is there nor the package webgpu (npm install webgpu): ${(cause as Error).message}`,
    );
  }
  ofDawn = module.create([]);
  return ofDawn;
}
