// TensorFlow.js: its operations before and after a training step, on its device; y and dx become its tensors without a
// copy.
import { createWebGpuBackend, type WebGpuBackend } from '@batchnorm/backend-webgpu';
import { BatchNorm, type DeviceTensor } from '@batchnorm/core-api';
import '@tensorflow/tfjs-backend-webgpu';
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import * as tf from '@tensorflow/tfjs-core';
import { length, numFeatures, type Results, shape, signal, target } from './program.js';

const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

export async function run(): Promise<Results> {
  await tf.setBackend('webgpu');
  const { device } = tf.backend() as WebGPUBackend;
  const backend = await createWebGpuBackend({ device });
  const layer = new BatchNorm({ backend, numFeatures });

  const x = tf.add(tf.mul(tf.tensor(signal, [...shape]), 3), 100);
  const y = emptyTensor(device);
  await layer.forward(await wrapped(backend, x), { out: await backend.wrap(y.buffer, shape) });

  const dy = tf.sub(y.tensor, tf.tensor(target, [...shape]));
  const dx = emptyTensor(device);
  await layer.backward(await wrapped(backend, dy), { out: { dx: await backend.wrap(dx.buffer, shape) } });

  const results = { y: (await y.tensor.data()) as Float32Array, dx: (await dx.tensor.data()) as Float32Array };
  await layer.dispose();
  await backend.dispose();
  return results;
}

/** A buffer of this program, and the TensorFlow.js tensor that looks at it. */
function emptyTensor(device: GPUDevice): { readonly buffer: GPUBuffer; readonly tensor: tf.Tensor } {
  const buffer = device.createBuffer({ size: length * 4, usage });
  return { buffer, tensor: tf.tensor({ buffer, zeroCopy: true }, [...shape], 'float32') };
}

/** What TensorFlow.js computed: it submits what is waiting, and hands out a copy on the device. */
function wrapped(backend: WebGpuBackend, tensor: tf.Tensor): Promise<DeviceTensor> {
  return backend.wrap(tensor.dataToGPU().buffer!, shape);
}
