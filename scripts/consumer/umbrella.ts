// A program with one import, in Node and in a page. Throws when something is not as it should be.
import { BatchNormError, type BatchNormState, createBatchNorm, type SelectionReport } from 'batchnorm';

const layer = await createBatchNorm({ numFeatures: 2, momentum: 0.9, budgetMs: 50 });
const y = await layer.forward({ data: Float32Array.of(1, 10, 2, 20, 3, 30), shape: [3, 2] });
const { dbeta } = await layer.backward({ data: Float32Array.of(1, 0, 0, 0, 0, 1), shape: [3, 2] });
const state: BatchNormState = await layer.state();
const report: SelectionReport = layer.report;
if (Math.abs(y.data[0]! + 1.2247) > 1e-3) throw new Error(`y[0] is ${y.data[0]}`);
if (dbeta[0] !== 1 || state.batchesTracked !== 1) throw new Error('the training step went wrong');
await layer.dispose();

const error: unknown = await createBatchNorm({ numFeatures: 0 }).catch((reason: unknown) => reason);
if (!(error instanceof BatchNormError) || error.code !== 'INVALID_OPTION') throw error;

console.log(JSON.stringify(report));
