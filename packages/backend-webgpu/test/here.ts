// What tests need of this platform: a device with buffers of their own, and refusals by code.
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { createWebGpuBackend } from '../src/index.js';

/** STORAGE | COPY_SRC | COPY_DST */
export const tensorUsage: number = 0x80 | 0x04 | 0x08;

/** Describes `body` where WebGPU runs; else it is one visible skip. */
export function describeHere(body: () => void): Promise<void> {
  return describeBackend('webgpu', createWebGpuBackend, body);
}

/** A device of the test's own, of the adapter that the backend takes by itself. */
export async function ownDevice(): Promise<GPUDevice> {
  const gpu = (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu ?? (await dawn());
  const adapter = await gpu.requestAdapter();
  return adapter!.requestDevice();
}

let ofDawn: GPU | undefined;

async function dawn(): Promise<GPU> {
  const name = 'webgpu';
  const { create } = (await import(/* @vite-ignore */ name)) as { create(flags: readonly string[]): GPU };
  ofDawn ??= create([]);
  return ofDawn;
}

export function bufferOf(device: GPUDevice, values: Float32Array, { offset = 0, usage = tensorUsage } = {}): GPUBuffer {
  const buffer = device.createBuffer({ size: offset + values.byteLength, usage, mappedAtCreation: true });
  new Float32Array(buffer.getMappedRange()).set(values, offset / 4);
  buffer.unmap();
  return buffer;
}

export async function contentsOf(device: GPUDevice, buffer: GPUBuffer): Promise<Float32Array> {
  const staging = device.createBuffer({ size: buffer.size, usage: 1 | 8 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const contents = new Float32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return contents;
}
