// A program that imports every package by its name. Throws when something is not as it should be.
import { createGpuJsBackend, type GpuJsBackend } from '@batchnorm/backend-gpujs';
import { createJsBackend } from '@batchnorm/backend-js';
import { createMpiCollective, sumGradients } from '@batchnorm/collective-mpi';
import { builtInFixtures, type CaseResult, runConformance } from '@batchnorm/conformance';
import { type Backend, BatchNorm, BatchNormError, inProcessCollective } from '@batchnorm/core-api';
import { type Selection, selectBackend } from '@batchnorm/select';
import { type FileTensor, findBatchNorms, openSafetensors, toPyTorch, writeSafetensors } from '@batchnorm/weights';

const gpujs: GpuJsBackend = await createGpuJsBackend({ mode: 'cpu' });
await gpujs.dispose();

const candidates = [
  { name: 'js', create: createJsBackend },
  { name: 'gpujs-cpu', create: () => createGpuJsBackend({ mode: 'cpu' }) },
];
const selection: Selection = await selectBackend(candidates, { shape: [16, 4], budgetMs: 20 });
if (!selection.report.candidates.every(({ available }) => available)) throw new Error(JSON.stringify(selection.report));

const backend: Backend = selection.backend;
const layer = new BatchNorm({ backend, numFeatures: 2 });
// Errors of one package are those of another: there is one copy of the contract.
const error: unknown = await layer
  .forward({ data: new Float32Array(2), shape: [1, 1, 2] })
  .catch((reason: unknown) => reason);
if (!(error instanceof BatchNormError) || error.code !== 'SHAPE_MISMATCH') throw error;

const trained = new BatchNorm({ backend, numFeatures: 2, varianceEstimator: 'sample' });
const tensors: Readonly<Record<string, FileTensor>> = toPyTorch(await trained.state()).stateDict;
const [found] = findBatchNorms(await openSafetensors(new Blob([writeSafetensors(tensors).slice()])));
await trained.loadState((await found!.load({ eps: 1e-5, momentum: 0.1 })).state);
await backend.dispose();

// A project that has no koffi, or no MPI, hears what to install.
const unavailable: unknown = await createMpiCollective({ library: 'no-mpi.so' }).catch((reason: unknown) => reason);
if (!(unavailable instanceof BatchNormError) || unavailable.code !== 'BACKEND_UNAVAILABLE') throw unavailable;
const gradients = [Float32Array.of(1, 2)];
await sumGradients(inProcessCollective(1)[0]!, gradients);
if (gradients[0]![1] !== 2) throw new Error(`the sum of one rank is ${gradients[0]![1]}`);

const results: readonly CaseResult[] = await runConformance(createJsBackend, { fixtures: await builtInFixtures() });
const failed = results.filter(({ status }) => status === 'failed');
if (results.length === 0 || failed.length > 0) throw new Error(`${failed.length} of ${results.length} cases failed`);
