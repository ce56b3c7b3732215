// A layer without choosing a backend by hand.
import {
  assertOptionNames,
  BatchNormError,
  type BatchNormOptions,
  layerOptionChecks,
  readUntrusted,
  resolveLayerOptions,
} from '@batchnorm/core-api';
import { type Candidate, type SelectOptions, selectBackend } from '@batchnorm/select';
import { type BackendName, candidates } from './candidates.js';
import { SelectedBatchNorm } from './selected-batch-norm.js';

/** A layer's options, and how its backend is chosen: for the layer's own axis and dtype. */
export interface CreateBatchNormOptions
  extends Omit<BatchNormOptions, 'backend'>,
    Omit<SelectOptions, 'shape' | 'axis' | 'dtype'> {
  /**
   * The shape of the activation to choose for. Default: 256 values per channel, fewer where there are more than 16,384
   * channels: [256, numFeatures], or its like with another axis. The layer takes any shape all the same.
   */
  readonly shape?: readonly number[];
  /** What to choose from, by name or as candidates of your own; others are not loaded. Default: every name. */
  readonly backends?: readonly (BackendName | Candidate)[];
}

/**
 * A layer on the backend that runs it best here: `selectBackend` loads each, checks it against known results, and times
 * it where there are several. `pin: layer.report.pin` takes the same backend again, and loads no other.
 *
 * Errors: `INVALID_OPTION`; `SHAPE_MISMATCH` when `shape` has another number of channels than `numFeatures`;
 * `LIMIT_EXCEEDED` when `shape` has 2⁵³ elements or more; `BACKEND_UNAVAILABLE` with every reason, or
 * where the pinned one does not work here; the reason of `signal`.
 */
export async function createBatchNorm(options: CreateBatchNormOptions): Promise<SelectedBatchNorm> {
  const read: CreateBatchNormOptions = readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, [...Object.keys(layerOptionChecks), 'collective', ...namesOfHow]);
    return { ...options };
  });
  const { shape: given, backends = Object.values(candidates), ...others } = read;
  const { operation, memory, out, prefer, budgetMs, measure, timeoutMs, cache, pin, signal, ...ownOptions } = others;
  const { collective, ...layerOptions } = ownOptions;
  const { numFeatures, axis, dtype } = resolveLayerOptions(layerOptions);
  const shape = given ?? sampleShape(numFeatures, axis);
  // What is no shape, `selectBackend` refuses.
  const channels: unknown = Array.isArray(shape) ? shape.at(axis) : undefined;
  if (typeof channels === 'number' && channels !== numFeatures) {
    throw new BatchNormError(
      'SHAPE_MISMATCH',
      `received a shape with ${channels} channels on axis ${axis}, expected ${numFeatures}, as numFeatures says`,
    );
  }
  // What is undefined counts as absent.
  const how = { operation, memory, out, prefer, budgetMs, measure, timeoutMs, cache, pin, signal } as SelectOptions;
  const selection = await selectBackend(toCandidates(backends), { ...how, shape, axis, dtype });
  try {
    return new SelectedBatchNorm(ownOptions, selection);
  } catch (error) {
    await selection.backend.dispose();
    throw error;
  }
}

/** How the backend is chosen. */
const namesOfHow: readonly Exclude<keyof CreateBatchNormOptions, keyof BatchNormOptions>[] = [
  'shape',
  'backends',
  'operation',
  'memory',
  'out',
  'prefer',
  'budgetMs',
  'measure',
  'timeoutMs',
  'pin',
  'cache',
  'signal',
];

/** A batch that takes a moment to compute with, however many channels it has. */
const mostSampleElements = 2 ** 22;

/** 256 values per channel, or as many as there is room for, in the lowest rank that has this axis. */
function sampleShape(numFeatures: number, axis: number): number[] {
  const rank = Math.max(2, axis < 0 ? -axis : axis + 1);
  const shape = new Array<number>(rank).fill(1);
  const channelAxis = axis < 0 ? rank + axis : axis;
  shape[channelAxis] = numFeatures;
  shape[channelAxis === 0 ? 1 : 0] = Math.min(256, Math.max(2, Math.floor(mostSampleElements / numFeatures)));
  return shape;
}

/** Names as candidates. What is neither, `selectBackend` refuses. */
function toCandidates(backends: unknown): readonly Candidate[] {
  if (!Array.isArray(backends)) return backends as readonly Candidate[];
  return backends.map((backend: BackendName | Candidate) => {
    if (typeof backend !== 'string') return backend;
    if (Object.hasOwn(candidates, backend)) return candidates[backend];
    const names = Object.keys(candidates).join(', ');
    throw new BatchNormError('INVALID_OPTION', `received a backend '${backend}', expected ${names}, or a candidate`);
  });
}
