// Options of layers, calls and factories are checked against tables, so that all are refused in the same words.
import { describe } from './describe.js';
import { refuse } from './errors.js';

/** What an option may be, and the same in words. */
export type OptionCheck = readonly [isValid: (value: unknown) => boolean, expected: string];

/** An option with these values and no others. */
export const oneOf = (...values: readonly unknown[]): OptionCheck => [
  (value) => values.includes(value),
  values.map(describe).join(' or '),
];

/** Errors: `INVALID_OPTION` unless `value` passes the check. */
export function assertOption(name: string, value: unknown, [isValid, expected]: OptionCheck): void {
  if (!isValid(value)) refuse('INVALID_OPTION', `${name} ${describe(value)}`, expected);
}

/** Errors: `INVALID_OPTION` for the first value that does not pass the check of its name. */
export function assertOptions(values: object, checks: Readonly<Record<string, OptionCheck>>): void {
  for (const [name, check] of Object.entries(checks)) assertOption(name, values[name as keyof typeof values], check);
}

/** Errors: `INVALID_OPTION` unless `options` is an object whose keys are all among `names`. */
export function assertOptionNames(options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null)
    refuse('INVALID_OPTION', describe(options), 'an object of options');
  const unknown = Object.keys(options).find((name) => !names.includes(name));
  if (unknown !== undefined) refuse('INVALID_OPTION', `an option '${unknown}'`, names.join(', '));
}

/** Errors: `INVALID_OPTION`. As `oneOf(true, false)`, and as good as free, because every forward asks it. */
export function assertBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') refuse('INVALID_OPTION', `${name} ${describe(value)}`, 'true or false');
}
