// The three lines that use a backend.
import { type BackendName, backends } from '../backends.js';
import type { Shape } from '../shape.js';

export function codeFor(name: BackendName, shape: Shape): string {
  const { package: from, factory, options } = backends[name];
  return [
    `import { ${factory} } from '${from}';`,
    `import { BatchNorm } from '@batchnorm/core-api';`,
    `const layer = new BatchNorm({ backend: await ${factory}(${options}), numFeatures: ${shape[1]} });`,
  ].join('\n');
}
