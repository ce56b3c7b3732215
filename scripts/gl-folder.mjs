// Where gl is, with which gpu.js reaches a GPU from Node. It is not a dependency of ours: what gpu.js resolves is what
// is meant.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';

const gpujs = createRequire(new URL('../packages/backend-gpujs/package.json', import.meta.url)).resolve('gpu.js');
export const glFolder = dirname(createRequire(gpujs).resolve('gl/package.json'));
