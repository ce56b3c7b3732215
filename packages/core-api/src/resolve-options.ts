// A layer's options: checked one by one, and completed with their defaults.
import type { Backend } from './backend.js';
import { collectiveCheck } from './collective.js';
import { refuse } from './errors.js';
import { mostAxes } from './extent.js';
import { assertOption, assertOptionNames, assertOptions, type OptionCheck, oneOf } from './option-checks.js';
import {
  type BatchNormOptions,
  defaultOptions,
  type LayerOptions,
  type Momentum,
  type ResolvedOptions,
} from './options.js';
import type { Dtype } from './tensor.js';
import { readUntrusted } from './untrusted.js';

/** The most channels that a layer can have: a vector of float64 then takes one GiB, and a layer has six or more. */
const mostChannels = 2 ** 27;

const trueOrFalse = oneOf(true, false);
const estimators = oneOf('population', 'sample');

/** The check of each option of a layer. */
export const layerOptionChecks: Readonly<Record<keyof LayerOptions, OptionCheck>> = {
  numFeatures: [(value) => Number.isSafeInteger(value) && (value as number) > 0, 'a whole number of at least 1'],
  epsilon: [(value) => Number.isFinite(value) && (value as number) >= 0, 'a finite number that is not negative'],
  momentum: [
    (value) => value === 'cumulative' || value === 'exact' || (typeof value === 'number' && value >= 0 && value <= 1),
    "a number from 0 to 1, 'cumulative' or 'exact'",
  ],
  axis: [
    (value) => Number.isSafeInteger(value) && (value as number) < mostAxes && (value as number) >= -mostAxes,
    `a whole number from ${-mostAxes} to ${mostAxes - 1}`,
  ],
  affine: trueOrFalse,
  scale: trueOrFalse,
  center: trueOrFalse,
  trackRunningStatistics: trueOrFalse,
  varianceEstimator: estimators,
  runningVariance: estimators,
  activation: oneOf('none', 'relu'),
  dtype: oneOf('float16', 'float32', 'float64'),
  singleValue: oneOf('allow', 'reject'),
  emptyBatch: oneOf('reject', 'pass'),
  checks: trueOrFalse,
};

/** The version of the contract, which backends state. */
const contractVersion = 2;

/** Whether `value` is a backend of this version of the contract. */
export function isBackend(value: unknown): value is Backend {
  const given = Object(value);
  return given.contractVersion === contractVersion && typeof given.prepare === 'function';
}

/** Errors: `INVALID_OPTION` for what is no backend, or one of another version of the contract. */
function assertBackend(value: unknown): asserts value is Backend {
  const version = Object(value).contractVersion;
  if (typeof version === 'number' && version !== contractVersion) {
    const which = version < contractVersion ? 'the backend' : '@batchnorm/core-api';
    refuse(
      'INVALID_OPTION',
      `a backend '${Object(value).name}' of contractVersion ${version}`,
      `contractVersion ${contractVersion}: install a newer version of ${which}`,
    );
  }
  assertOption('backend', value, [isBackend, `a backend of contractVersion ${contractVersion}`]);
}

/**
 * Fills in the defaults of everything but the backend, for those who choose one for these options. Errors:
 * `INVALID_OPTION` for a value that its documentation does not allow, or a name that does not exist.
 */
export function resolveLayerOptions(options: LayerOptions): Readonly<Required<LayerOptions>> {
  return readUntrusted('INVALID_OPTION', 'options', () => resolved(options));
}

function resolved(options: LayerOptions): Readonly<Required<LayerOptions>> {
  assertOptionNames(options, Object.keys(layerOptionChecks));
  // What is undefined counts as absent.
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  const given = Object.fromEntries(entries) as unknown as LayerOptions;
  const { affine, ...others } = { ...defaultOptions, ...given };
  const all = { scale: affine, center: affine, affine, ...others };
  assertOptions(all, layerOptionChecks);
  return withOldName({ ...all, affine: all.scale || all.center, varianceEstimator: varianceEstimatorOf(given) });
}

/** Not enumerable: a copy of the options in which somebody changes the estimator must not contradict itself. */
function withOldName<Options extends LayerOptions>({ runningVariance: _, ...options }: Options): Options {
  return Object.defineProperty(options, 'runningVariance', { value: options.varianceEstimator }) as Options;
}

/** By either of its names. Errors: `INVALID_OPTION` where they contradict each other. */
function varianceEstimatorOf({
  runningVariance,
  varianceEstimator = runningVariance ?? defaultOptions.varianceEstimator,
}: LayerOptions): ResolvedOptions['varianceEstimator'] {
  if (runningVariance !== undefined && runningVariance !== varianceEstimator) {
    refuse(
      'INVALID_OPTION',
      `runningVariance '${runningVariance}'`,
      `'${varianceEstimator}', as varianceEstimator says`,
    );
  }
  return varianceEstimator;
}

/**
 * Fills in every default. Errors: those of `resolveLayerOptions`; `INVALID_OPTION` for what is no backend;
 * `DTYPE_MISMATCH` for a dtype that the backend does not have; `LIMIT_EXCEEDED` for more channels than it has elements.
 */
export function resolveOptions(options: BatchNormOptions): ResolvedOptions {
  const { backend, collective, ...layerOptions } = readUntrusted('INVALID_OPTION', 'options', () => {
    assertOptionNames(options, ['backend', 'collective', ...Object.keys(layerOptionChecks)]);
    return { ...options };
  });
  assertBackend(backend);
  if (collective !== undefined) {
    readUntrusted('INVALID_OPTION', 'fields of a collective', () =>
      assertOption('collective', collective, collectiveCheck),
    );
  }
  const resolved = withOldName({ backend, ...(collective && { collective }), ...resolveLayerOptions(layerOptions) });
  assertDtype(backend, resolved.dtype);
  const most = Math.min(backend.capabilities.limits.elements, mostChannels);
  if (resolved.numFeatures > most) {
    refuse(
      'LIMIT_EXCEEDED',
      `numFeatures ${resolved.numFeatures}`,
      `at most ${most}, the limit of backend '${backend.name}'`,
    );
  }
  return Object.freeze(resolved);
}

/** Errors: `DTYPE_MISMATCH` for a dtype that the backend does not have. */
export function assertDtype({ capabilities: { dtypes }, name }: Backend, dtype: Dtype): void {
  if (dtypes.includes(dtype)) return;
  refuse('DTYPE_MISMATCH', `dtype '${dtype}'`, `${dtypes.join(' or ')}, which backend '${name}' has`);
}

/** Errors: `INVALID_OPTION`. */
export function assertMomentum(value: unknown): asserts value is Momentum {
  assertOption('momentum', value, layerOptionChecks.momentum);
}
