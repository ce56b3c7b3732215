// The README's example: one training step, and inference.
import { createJsBackend } from '@batchnorm/backend-js';
import { BatchNorm } from '@batchnorm/core-api';

const layer = new BatchNorm({ backend: createJsBackend(), numFeatures: 2 });

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] };
const y = await layer.forward(x);
console.log(y.data); // each column has mean 0 and variance 1

const dy = { data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] };
const { dx, dgamma, dbeta } = await layer.backward(dy);
console.log(dx.data, dgamma, dbeta);

const z = await layer.forward(x, { training: false });
console.log(z.data); // normalised with the running statistics
