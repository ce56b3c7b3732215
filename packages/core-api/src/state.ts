// What a layer has learned, as plain JSON.

import { describe } from './describe.js';
import { BatchNormError } from './errors.js';

/** Plain, JSON-safe: numbers survive `JSON.parse(JSON.stringify(state))` to the bit. */
export interface BatchNormState {
  readonly formatVersion: 1;
  readonly numFeatures: number;
  /** [C], or empty without affine parameters. */
  readonly gamma: readonly number[];
  readonly beta: readonly number[];
  /** [C], or empty without running statistics. */
  readonly runningMean: readonly number[];
  readonly runningVariance: readonly number[];
  readonly batchesTracked: number;
}

const formatVersion = 1;
const vectors = ['gamma', 'beta', 'runningMean', 'runningVariance'] as const;

/** The arrays that a state is written from and read into, with their lengths as the layer has them. */
export type StateVectors = Readonly<Record<(typeof vectors)[number], Float64Array>>;

/** Errors: `INVALID_STATE` when a vector holds a number that JSON can't. */
export function writeState(numFeatures: number, source: StateVectors, batchesTracked: number): BatchNormState {
  for (const name of vectors) {
    source[name].forEach((value, c) => {
      if (!Number.isFinite(value)) fail(`${name}[${c}] = ${value}`, 'finite numbers: JSON has no others');
    });
  }
  return {
    formatVersion,
    numFeatures,
    gamma: [...source.gamma],
    beta: [...source.beta],
    runningMean: [...source.runningMean],
    runningVariance: [...source.runningVariance],
    batchesTracked,
  };
}

/** Copies `state` into `target`, all or nothing, and returns its count of batches. Errors: `INVALID_STATE`. */
export function readState(state: unknown, numFeatures: number, target: StateVectors): number {
  const { batchesTracked, ...values } = validateState(state, numFeatures, target);
  for (const name of vectors) target[name].set(values[name]);
  return batchesTracked;
}

function validateState(state: unknown, numFeatures: number, target: StateVectors): BatchNormState {
  if (typeof state !== 'object' || state === null) fail(describe(state), 'an object that state() returned');
  const fields = state as Record<string, unknown>;
  if (fields.formatVersion !== formatVersion) {
    fail(`formatVersion ${describe(fields.formatVersion)}`, `formatVersion ${formatVersion}`);
  }
  if (fields.numFeatures !== numFeatures) {
    fail(`numFeatures ${describe(fields.numFeatures)}`, `numFeatures ${numFeatures}, as the layer has`);
  }
  for (const name of vectors) {
    const values = fields[name];
    const { length } = target[name];
    if (!Array.isArray(values) || values.length !== length) {
      fail(`${name} ${describe(values)}`, `an array of ${length} numbers`);
    }
    // A copy, because forEach would step over holes.
    [...(values as unknown[])].forEach((value, c) => {
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        fail(`${name}[${c}] = ${describe(value)}`, 'a finite number');
      }
      if (name === 'runningVariance' && value < 0) fail(`${name}[${c}] = ${value}`, 'a number that is not negative');
    });
  }
  const { batchesTracked } = fields;
  if (!Number.isSafeInteger(batchesTracked) || (batchesTracked as number) < 0) {
    fail(`batchesTracked ${describe(batchesTracked)}`, 'a whole number that is not negative');
  }
  return state as BatchNormState;
}

function fail(received: string, expected: string): never {
  throw new BatchNormError('INVALID_STATE', `received ${received}, expected ${expected}`);
}
