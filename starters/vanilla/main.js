// Normalises three rows of two features, and shows the result.
import { createBatchNorm } from 'batchnorm';

const layer = await createBatchNorm({ numFeatures: 2 }); // on the backend that is fastest here
document.querySelector('#backend').textContent = layer.report.chosen;

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] };
const y = await layer.forward(x); // each column has mean 0 and variance 1
document.querySelector('#normalised').textContent = Array.from(y.data, (value) => value.toFixed(3)).join(', ');

await layer.dispose();
