// What translations to and from all frameworks ask: what has to be given, and what the other side can't hold.
import { assertOptionNames, assertOptions, oneOf, refuse, type StateOptions } from '@batchnorm/core-api';

/**
 * Errors: `INVALID_OPTION` where hyperparameters are missing: a default would be a guess, and a wrong one gives wrong
 * numbers without an error.
 */
export function assertGiven(given: object, names: readonly string[], why: string): void {
  const missing = names.filter((name) => (given as Readonly<Record<string, unknown>>)[name] === undefined);
  if (missing.length > 0) refuse('INVALID_OPTION', `no ${missing.join(', no ')}`, `${names.join(', ')}: ${why}`);
}

/** What a translated batch norm is for. */
export interface TranslationOptions {
  /**
   * `'training'`: nothing that later training depends on may change, and what the other side can't hold is refused.
   * `'inference'`: momentum and variance estimator may differ, which inference does not read; a gamma of ones or a beta of
   * zeros stands for one that is absent. Default 'training'.
   */
  readonly purpose?: 'training' | 'inference';
  /** Of the numbers that are written, each rounded once. Default 'F32', which the frameworks have. */
  readonly dtype?: 'F32' | 'F64';
}

/** The options with their defaults. Errors: `INVALID_OPTION`. */
export function translationOptions(options: TranslationOptions): Required<TranslationOptions> {
  assertOptionNames(options, ['purpose', 'dtype']);
  const { purpose = 'training', dtype = 'F32' } = options;
  assertOptions({ purpose, dtype }, { purpose: oneOf('training', 'inference'), dtype: oneOf('F32', 'F64') });
  return { purpose, dtype };
}

/** Errors: `UNSUPPORTED` where a layer has what `framework` can't hold. */
export function refuseUnheld(condition: boolean, received: string, framework: string, expected: string): void {
  if (condition) refuse('UNSUPPORTED', `a layer with ${received} for ${framework}`, expected);
}

/** What Keras and ONNX can't hold. Errors: `UNSUPPORTED`. */
export function assertHeld(
  framework: string,
  { trackRunningStatistics, activation, varianceEstimator, momentum }: StateOptions,
  purpose: 'training' | 'inference',
): void {
  const refuseIf = (condition: boolean, received: string, expected: string) =>
    refuseUnheld(condition, received, framework, expected);
  refuseIf(!trackRunningStatistics, 'trackRunningStatistics false', 'running statistics');
  refuseIf(activation !== 'none', `activation '${activation}'`, "activation 'none', and a layer for it");
  if (purpose === 'inference') return;
  refuseIf(varianceEstimator !== 'population', "varianceEstimator 'sample'", "'population', or purpose 'inference'");
  refuseIf(typeof momentum !== 'number', `momentum '${momentum}'`, "a number, or purpose 'inference'");
}
