// The options that a state carries, and whether a layer may take a state that has others.
import { describe } from './describe.js';
import { refuse } from './errors.js';
import type { BatchNormOptions } from './options.js';
import { layerOptionChecks } from './resolve-options.js';

/** On which what a layer computes depends. */
const computing = [
  'epsilon',
  'momentum',
  'axis',
  'scale',
  'center',
  'trackRunningStatistics',
  'varianceEstimator',
  'activation',
] as const;

/** Which only decide what is refused: a layer may be stricter than the one that has learned. */
const refusing = ['singleValue', 'emptyBatch'] as const;

type Carried = (typeof computing)[number] | (typeof refusing)[number];

/** The names of `StateOptions`. */
export const stateOptionNames: readonly (keyof StateOptions)[] = [...computing, ...refusing];

/** What a layer is, wherever it runs: without backend, collective, dtype and checks. */
export type StateOptions = Readonly<Required<Pick<BatchNormOptions, Carried>>>;

/** How a state is loaded. */
export interface LoadStateOptions {
  /**
   * A state of a layer whose epsilon, momentum, axis, `varianceEstimator`, … are other than this one's: `'reject'` fails
   * with `OPTIONS_MISMATCH`; `'allow'` takes its numbers, and the layer keeps its options. Default 'reject'.
   */
  readonly otherOptions?: 'reject' | 'allow';
}

/** Those of `options`, in an object of their own. */
export function stateOptionsOf(options: StateOptions): StateOptions {
  return Object.fromEntries(stateOptionNames.map((name) => [name, options[name]])) as unknown as StateOptions;
}

/**
 * Errors: `INVALID_STATE` for what are no options of a state; `OPTIONS_MISMATCH` where a layer with the options `own`
 * computes something else, unless they `mayDiffer`.
 */
export function readOptions(given: unknown, own: StateOptions, mayDiffer: boolean): void {
  if (typeof given !== 'object' || given === null) {
    refuse('INVALID_STATE', `options ${describe(given)}`, 'the options of the layer that had this state');
  }
  const options = { ...(given as Readonly<Record<Carried, unknown>>) };
  for (const name of stateOptionNames) {
    const [isValid, expected] = layerOptionChecks[name];
    if (!isValid(options[name])) refuse('INVALID_STATE', `options.${name} ${describe(options[name])}`, expected);
  }
  const different = mayDiffer ? [] : computing.filter((name) => options[name] !== own[name]);
  if (different.length === 0) return;
  const texts = (of: Readonly<Record<Carried, unknown>>) =>
    different.map((name) => `${name} ${describe(of[name])}`).join(', ');
  refuse(
    'OPTIONS_MISMATCH',
    `a state of a layer with ${texts(options)}`,
    `${texts(own)}, as this layer has, or { otherOptions: 'allow' }`,
  );
}
