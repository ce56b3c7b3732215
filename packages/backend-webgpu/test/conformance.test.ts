// The kit, in Node and in Chromium; without its large activations, for which software rendering takes minutes
// (accuracy.test.ts has some).
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { createWebGpuBackend } from '../src/index.js';

await describeBackend('webgpu', createWebGpuBackend, (name) =>
  describeConformance(name, createWebGpuBackend, vitest, { quick: true }),
);
