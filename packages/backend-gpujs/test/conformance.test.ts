// The kit in every mode, in Node and in Chromium; large activations in Node's cpu mode alone, because software
// rendering takes minutes for them (accuracy.test.ts has large ones in every mode).
import { describeBackend } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { expect, it } from 'vitest';
import { createGpuJsBackend } from '../src/index.js';

const inBrowser = 'document' in globalThis;
const modes = inBrowser
  ? (['cpu', 'webasm', 'webgl', 'webgl2', 'webgpu'] as const)
  : (['cpu', 'webasm', 'headlessgl'] as const);

if (inBrowser) {
  it('the page is cross-origin isolated: webasm may use threads', () => {
    expect(globalThis).toHaveProperty('crossOriginIsolated', true);
  });
}

for (const mode of modes) {
  const create = () => createGpuJsBackend({ mode });
  await describeBackend(`gpujs-${mode}`, create, (name) =>
    describeConformance(name, create, vitest, { quick: inBrowser || mode !== 'cpu' }),
  );
}
