// The state of a layer, what it has learned and its options, as plain JSON.
import { describe } from './describe.js';
import { frameworkOf } from './foreign-names.js';
import { readOptions, type StateOptions, stateOptionsOf } from './state-options.js';
import {
  assertCount,
  assertStateVector,
  copiedVector,
  type Numbers,
  refuseState,
  type StateVector,
  type StateVectors,
  type Tracked,
} from './state-vectors.js';
import { readUntrusted } from './untrusted.js';

/** Plain JSON: every number survives `JSON.parse(JSON.stringify(state))` to the bit, but for −0, which JSON lacks. */
export interface BatchNormState {
  readonly formatVersion: 2;
  readonly numFeatures: number;
  /** With them `new BatchNorm({ backend, numFeatures, ...options })` is such a layer again. */
  readonly options: StateOptions;
  /** [C], or empty without `scale`. */
  readonly gamma: readonly number[];
  /** [C], or empty without `center`. */
  readonly beta: readonly number[];
  /** [C], or empty without running statistics. */
  readonly runningMean: readonly number[];
  readonly runningVariance: readonly number[];
  readonly batchesTracked: number;
  /**
   * How many values per channel the running statistics have seen. Written, and required, with momentum 'exact', which
   * weighs the next batch against them.
   */
  readonly valuesTracked?: number;
}

/**
 * What `loadState` takes: a `BatchNormState`, whose vectors may be typed arrays, too, or one of format 1, which has no
 * options.
 */
export type LoadableState = Omit<BatchNormState, StateVector | 'formatVersion' | 'options'> &
  Readonly<Record<StateVector, Numbers>> &
  ({ readonly formatVersion: 1 } | Pick<BatchNormState, 'formatVersion' | 'options'>);

const formatVersion = 2;
const vectors = ['gamma', 'beta', 'runningMean', 'runningVariance'] as const;

/** Errors: those of `assertStateVector`. */
export function writeState(
  numFeatures: number,
  options: StateOptions,
  source: StateVectors,
  { batchesTracked, valuesTracked }: Tracked,
): BatchNormState {
  for (const name of vectors) assertStateVector(name, source[name], source[name].length);
  return {
    formatVersion,
    numFeatures,
    options: stateOptionsOf(options),
    gamma: [...source.gamma],
    beta: [...source.beta],
    runningMean: [...source.runningMean],
    runningVariance: [...source.runningVariance],
    batchesTracked,
    ...(valuesTracked !== undefined && { valuesTracked }),
  };
}

/** A state as it is now, for later: its vectors are copied where they have `numFeatures` numbers, as they must, or none. */
export function copyOfState(state: unknown, numFeatures: number): unknown {
  return readUntrusted('INVALID_STATE', 'fields of a state', () => {
    if (typeof state !== 'object' || state === null) return state;
    const fields: Record<string, unknown> = { ...state };
    for (const name of vectors) {
      const values = fields[name] as Float64Array;
      const isArray = Array.isArray(values) || ArrayBuffer.isView(values);
      if (isArray && values.length <= numFeatures) fields[name] = values.slice();
    }
    if (typeof fields.options === 'object' && fields.options !== null) fields.options = { ...fields.options };
    return fields;
  });
}

/**
 * Copies the vectors of `state` into `target`, those of a layer with these options, and returns its counts. Errors:
 * `INVALID_STATE`; `OPTIONS_MISMATCH` for a state of a layer that computes something else, unless those `mayDiffer`; and
 * then nothing has changed.
 */
export function readState(
  state: unknown,
  numFeatures: number,
  options: StateOptions,
  target: StateVectors,
  mayDiffer: boolean,
): Tracked {
  return readUntrusted('INVALID_STATE', 'fields of a state', () =>
    read(state, numFeatures, options, target, mayDiffer),
  );
}

function read(
  state: unknown,
  numFeatures: number,
  options: StateOptions,
  target: StateVectors,
  mayDiffer: boolean,
): Tracked {
  if (typeof state !== 'object' || state === null) refuseState(describe(state), 'an object that state() returned');
  // Every field is read once: a getter or proxy could answer the check with one value and the copy with another.
  const fields = { ...(state as Record<string, unknown>) };
  const { formatVersion: version } = fields;
  if (version === undefined) refuseForeign(fields);
  if (version !== 1 && version !== formatVersion) {
    refuseState(`formatVersion ${describe(version)}`, `formatVersion ${formatVersion} or 1`);
  }
  if (fields.numFeatures !== numFeatures) {
    refuseState(`numFeatures ${describe(fields.numFeatures)}`, `numFeatures ${numFeatures}, as the layer has`);
  }
  const copies = vectors.map((name) => copiedVector(name, fields[name], target[name].length));
  const { batchesTracked, valuesTracked } = fields;
  assertCount('batchesTracked', batchesTracked);
  const needsValues = options.momentum === 'exact' && batchesTracked !== 0;
  if (valuesTracked !== undefined || needsValues) assertCount('valuesTracked', valuesTracked);
  if (valuesTracked !== undefined && (valuesTracked < batchesTracked || (batchesTracked === 0 && valuesTracked > 0))) {
    refuseState(`valuesTracked ${valuesTracked} of ${batchesTracked} batches`, 'at least one value of each batch');
  }
  if (version === formatVersion) readOptions(fields.options, options, mayDiffer);
  for (const [index, name] of vectors.entries()) target[name].set(copies[index]!);
  return { batchesTracked, valuesTracked: valuesTracked as number | undefined };
}

/** Errors: `INVALID_STATE` for fields that another framework has; its numbers need more than other names. */
function refuseForeign(fields: object): void {
  const found = frameworkOf(Object.keys(fields));
  if (found === undefined) return;
  const { name, framework, translator } = found;
  refuseState(
    `'${name}', as ${framework} calls it`,
    `what state() returned: ${translator} of @batchnorm/weights makes it`,
  );
}
