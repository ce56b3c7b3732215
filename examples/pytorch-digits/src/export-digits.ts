// Writes the digits for train.py: `node dist/export-digits.js`. PyTorch then learns from those that train-digits does.
import { mkdirSync, writeFileSync } from 'node:fs';
import { type FileTensor, writeSafetensors } from '@batchnorm/weights';
import { digits } from './digits.js';

const folder = new URL('../results/', import.meta.url);
const tensors = Object.entries(digits()).flatMap(([name, { images, labels }]): [string, FileTensor][] => [
  [`${name}_images`, { dtype: 'F32', shape: images.shape, data: Float32Array.from(images.data) }],
  [`${name}_labels`, { dtype: 'U8', shape: [labels.length], data: labels }],
]);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('digits.safetensors', folder), writeSafetensors(new Map(tensors)));
