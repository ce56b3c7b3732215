// The three lines that use a backend.
import { families } from '@batchnorm/catalogue/registry';
import { type BackendName, backends } from '../backends.js';
import type { Shape } from '../shape.js';

export function codeFor(name: BackendName, shape: Shape): string {
  const { family, options } = backends[name];
  const { folder, factory } = families[family];
  const given = Object.entries(options).map(([option, value]) => `{ ${option}: '${value}' }`);
  return [
    `import { ${factory} } from '@batchnorm/${folder}';`,
    `import { BatchNorm } from '@batchnorm/core-api';`,
    `const layer = new BatchNorm({ backend: await ${factory}(${given}), numFeatures: ${shape[1]} });`,
  ].join('\n');
}
