// Whether what a candidate made is a backend, and has everything that a selection reads.
import { assertOptions, type Backend, describe, isBackend, type OptionCheck, refuse } from '@batchnorm/core-api';

const text: OptionCheck = [(value) => typeof value === 'string', 'a text'];
const number: OptionCheck = [(value) => typeof value === 'number', 'a number'];

const checks: Readonly<Record<string, OptionCheck>> = {
  'name of the backend': text,
  'capabilities.dtypes': [Array.isArray, 'an array of dtypes'],
  'capabilities.limits.elements': number,
  'execution.engine': text,
  'execution.device': text,
  'execution.threads': number,
};

/** Errors: `INVALID_OPTION` unless `made` is a backend whose fields pass these checks. */
export function assertUsable(made: unknown): asserts made is Backend {
  if (!isBackend(made)) refuse('INVALID_OPTION', `${describe(made)} from create()`, 'a backend of contractVersion 2');
  const { name, capabilities, execution } = made as Partial<Backend>;
  const read = {
    'name of the backend': name,
    'capabilities.dtypes': capabilities?.dtypes,
    'capabilities.limits.elements': capabilities?.limits?.elements,
    'execution.engine': execution?.engine,
    'execution.device': execution?.device,
    'execution.threads': execution?.threads,
  };
  assertOptions(read, checks);
}
