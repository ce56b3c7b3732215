// What a visitor copies: how to install the library, and a program that runs the layer on the shape that was timed.
import { families } from '@batchnorm/catalogue/registry';
import { product } from '@batchnorm/core-api';
import type { Operation } from '@batchnorm/select';
import { type BackendName, backends } from '../backends.js';
import type { Shape } from '../shape.js';

interface Use {
  readonly backend: BackendName;
  readonly shape: Shape;
  readonly operation: Operation;
  /** Whether x had better lie in memory of the backend. */
  readonly ownMemory: boolean;
}

export function installFor(name: BackendName): string {
  const { family } = backends[name];
  const onRequest = family === 'gpujs' ? ` @batchnorm/${families[family].folder}` : '';
  return `npm install batchnorm${onRequest}`;
}

export function codeFor({ backend, shape, operation, ownMemory }: Use): string {
  const tensor = (name: string, what: string) =>
    ownMemory
      ? `const ${name} = layer.empty(shape); // fill ${name}.data: ${what}`
      : `const ${name} = { data: new Float32Array(${product(shape)}), shape }; // ${what}`;
  const training = operation !== 'forward-inference';
  return [
    ...importsOf(backend),
    '',
    `const shape = [${shape.join(', ')}];`,
    ...creation(backend, shape, operation),
    tensor('x', 'your data'),
    `const y = await layer.forward(x${training ? '' : ', { training: false }'});`,
    ...(operation === 'training-step' || operation === 'backward'
      ? [tensor('dy', 'gradient of the loss'), 'const { dx, dgamma, dbeta } = await layer.backward(dy);']
      : []),
  ].join('\n');
}

function importsOf(name: BackendName): string[] {
  const { family } = backends[name];
  const { folder, factory } = families[family];
  const onRequest = family === 'gpujs' ? [`import { ${factory} } from '@batchnorm/${folder}';`] : [];
  return [...onRequest, "import { createBatchNorm } from 'batchnorm';"];
}

/** One that chooses by itself, wherever it runs. A mode of gpu.js it must be told of. */
function creation(name: BackendName, shape: Shape, operation: Operation): string[] {
  const entry = backends[name];
  const options = [
    `numFeatures: ${shape[1]}`,
    'shape',
    ...(operation === 'training-step' ? [] : [`operation: '${operation}'`]),
  ];
  if (entry.family !== 'gpujs') return [`const layer = await createBatchNorm({ ${options.join(', ')} });`];
  const { factory } = families.gpujs;
  return [
    `const create = () => ${factory}({ mode: '${entry.options.mode}' });`,
    `const backends = [{ name: '${name}', create }, 'wasm', 'js'];`,
    `const layer = await createBatchNorm({ ${[...options, 'backends'].join(', ')} });`,
  ];
}
