// What is tested: rows of features, each brought to mean 0 and variance 1.
import { createBatchNorm } from 'batchnorm';

/** `rows`: arrays of the same number of features. */
export async function standardize(rows) {
  const shape = [rows.length, rows[0].length];
  const layer = await createBatchNorm({ numFeatures: shape[1], affine: false, shape });
  const { data } = await layer.forward({ data: Float32Array.from(rows.flat()), shape });
  await layer.dispose();
  return rows.map((row, index) => Array.from(data.subarray(index * row.length, (index + 1) * row.length)));
}
