// A training step, inference, and what was learned kept in a file.
import { readFile, writeFile } from 'node:fs/promises';
import { createBatchNorm } from 'batchnorm';

const layer = await createBatchNorm({ numFeatures: 2 }); // on the backend that is fastest here
console.log('backend:', layer.report.chosen);

const x = { data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] }; // 3 rows of 2 features
const y = await layer.forward(x);
console.log('normalised:', y.data); // each column has mean 0 and variance 1

const dy = { data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] }; // the loss's gradient with respect to y
const { dx, dgamma, dbeta } = await layer.backward(dy);
for (let channel = 0; channel < 2; channel += 1) {
  layer.gamma[channel] -= 0.1 * dgamma[channel];
  layer.beta[channel] -= 0.1 * dbeta[channel];
}
console.log('gradient of x:', dx.data);

await writeFile('layer.json', JSON.stringify(await layer.state()));
await layer.dispose();

const loaded = await createBatchNorm({ numFeatures: 2 });
await loaded.loadState(JSON.parse(await readFile('layer.json', 'utf8')));
const z = await loaded.forward(x, { training: false });
console.log('inference:', z.data); // with the running statistics, which one batch has moved a little
await loaded.dispose();
