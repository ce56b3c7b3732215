// The code that visitors copy: what it says, and that it runs as it stands.
import { createGpuJsBackend } from '@batchnorm/backend-gpujs';
import { type Operation, operations } from '@batchnorm/select';
import { createBatchNorm } from 'batchnorm';
import { describe, expect, it } from 'vitest';
import { codeFor, installFor } from '../src/recommend/code.js';

const shape = [256, 64];
const operation = 'backward';

describe('the code', () => {
  it('installs the library, and lets it choose', () => {
    expect(installFor('wasm')).toBe('npm install batchnorm');
    const use = { backend: 'wasm', shape: [8, 64, 28, 28], ownMemory: true } as const;
    expect(codeFor({ ...use, operation: 'training-step' })).toBe(
      `import { createBatchNorm } from 'batchnorm';

const shape = [8, 64, 28, 28];
const layer = await createBatchNorm({ numFeatures: 64, shape });
const x = layer.empty(shape); // fill x.data: your data
const y = await layer.forward(x);
const dy = layer.empty(shape); // fill dy.data: gradient of the loss
const { dx, dgamma, dbeta } = await layer.backward(dy);`,
    );
    const inference = codeFor({ ...use, operation: 'forward-inference', ownMemory: false });
    expect(inference).toContain("createBatchNorm({ numFeatures: 64, shape, operation: 'forward-inference' })");
    expect(inference).toContain('const x = { data: new Float32Array(401408), shape };');
    expect(inference).toContain('layer.forward(x, { training: false })');
    expect(inference).not.toContain('backward');
  });

  it('hands over a mode of gpu.js, which the library does not choose by itself', () => {
    expect(installFor('gpujs-webgl')).toBe('npm install batchnorm @batchnorm/backend-gpujs');
    expect(codeFor({ backend: 'gpujs-webgl', shape, operation, ownMemory: false })).toContain(
      `const create = () => createGpuJsBackend({ mode: 'webgl' });
const backends = [{ name: 'gpujs-webgl', create }, 'wasm', 'js'];
const layer = await createBatchNorm({ numFeatures: 64, shape, operation: 'backward', backends });`,
    );
  });

  it.for(operations)('runs as it stands: %s', async (operation) => {
    const results: number[][] = [];
    for (const backend of ['wasm', 'gpujs-cpu'] as const) {
      for (const ownMemory of [true, false]) {
        results.push(await run(codeFor({ backend, shape: [6, 3, 2], operation, ownMemory }), operation));
      }
    }
    // Wherever it runs and x lies, results are the same.
    const [first, ...others] = results;
    expect(first).toHaveLength(36);
    expect(new Set(first).size).toBeGreaterThan(18);
    for (const other of others) {
      for (const [k, value] of other.entries()) expect(value).toBeCloseTo(first![k]!, 5);
    }
  });
});

/** Runs the code as a module would, with numbers in x and dy, and gives the elements of its last result. */
function run(code: string, operation: Operation): Promise<number[]> {
  const names = {
    createBatchNorm,
    createGpuJsBackend,
    numbers: (k: number, name: string) => Math.sin(k * k + name.length),
  };
  const last = operation === 'training-step' || operation === 'backward' ? 'dx' : 'y';
  const body = code
    .replace(/^import .*$/gm, '')
    .replace(/^const (x|dy) = .*$/gm, '$&\nfor (const k of $1.data.keys()) $1.data[k] = numbers(k, "$1");')
    .concat(`\nconst made = [...${last}.data];\nawait layer.dispose();\nreturn made;`);
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  return new AsyncFunction(...Object.keys(names), body)(...Object.values(names));
}
