// The kit, in Node and in Chromium; without its large activations, for which software rendering takes minutes
// (accuracy.test.ts has some). In Node, where the adapter has subgroups, on a device without them, too.
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { ownDevice } from './here.js';

const options = { quick: true };

async function isOtherForm(): Promise<boolean> {
  if ('document' in globalThis) return false;
  const backend = await createWebGpuBackend();
  const has = backend.device.features.has('subgroups');
  await backend.dispose();
  return has;
}

await describeBackend('webgpu', createWebGpuBackend, async (name) => {
  describeConformance(name, createWebGpuBackend, vitest, options);
  if (!(await isOtherForm())) return;
  const device = await ownDevice();
  describeConformance(`${name}, without subgroups`, () => createWebGpuBackend({ device }), vitest, options);
});
