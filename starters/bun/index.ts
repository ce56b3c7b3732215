// A training step and inference.
import { createBatchNorm } from 'batchnorm';

const layer = await createBatchNorm({ numFeatures: 2 }); // on the backend that is fastest here
console.log('backend:', layer.report.chosen);

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] }; // 3 rows of 2 features
const y = await layer.forward(x);
console.log('normalised:', y.data); // each column has mean 0 and variance 1

const dy = { data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] }; // the loss's gradient with respect to y
const { dx, dgamma, dbeta } = await layer.backward(dy);
console.log('gradients:', dx.data, dgamma, dbeta);

const z = await layer.forward(x, { training: false });
console.log('inference:', z.data); // with the running statistics, which one batch has moved a little
await layer.dispose();
