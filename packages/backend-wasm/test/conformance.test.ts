// The kit at one and at two threads, in Node; in Chromium without large activations, which the same kernels compute.
import { nameHere } from '@batchnorm/browser/describe-backend';
import { describeConformance } from '@batchnorm/conformance';
import * as vitest from 'vitest';
import { expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';

for (const threads of [1, 2]) {
  const create = () => createWasmBackend({ threads });
  describeConformance(nameHere(`wasm, ${threads} threads`), create, vitest, { quick: 'document' in globalThis });

  it(`${threads} threads are what really runs`, async () => {
    const backend = await create();
    expect(backend.execution).toMatchObject({ engine: expect.stringMatching(/SIMD$/), threads, fallbackReason: null });
    await backend.dispose();
  });
}
