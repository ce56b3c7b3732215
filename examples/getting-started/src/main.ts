// The README's example: one training step, and inference.
import { createBatchNorm } from 'batchnorm';

const layer = await createBatchNorm({ numFeatures: 2 }); // on the backend that is fastest here
console.log(layer.report.chosen, layer.report.candidates); // each one's time and error, or why it is out

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] };
const y = await layer.forward(x);
console.log(y.data); // each column has mean 0 and variance 1

const dy = { data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] };
const { dx, dgamma, dbeta } = await layer.backward(dy);
console.log(dx.data, dgamma, dbeta);

const z = await layer.forward(x, { training: false });
console.log(z.data); // normalised with the running statistics

await layer.dispose();
