// The options of a selection, refused with a code or completed with their defaults.
import { describe, describeShape } from '../describe.js';
import { product } from '../extent.js';
import {
  assertOptionNames,
  assertOptions,
  fail,
  isPositiveInteger,
  layerOptionChecks,
  type OptionCheck,
  oneOf,
} from '../validate.js';
import { type Candidate, operations, type SelectOptions } from './selection.js';

type Defaulted = Omit<SelectOptions, 'shape' | 'cache' | 'signal'>;

/** Options with every default filled in. */
export type Question = Readonly<Required<Defaulted>> & Pick<SelectOptions, 'shape' | 'cache' | 'signal'>;

const defaults: Readonly<Required<Defaulted>> = {
  axis: 1,
  dtype: 'float32',
  operation: 'training-step',
  prefer: 'speed',
  budgetMs: 200,
  measure: true,
  timeoutMs: 5000,
};

/** Of as many axes as the option `axis` can name. A hole is no number: `every` alone would skip it. */
const isShape = (value: unknown) =>
  Array.isArray(value) &&
  value.length >= 2 &&
  layerOptionChecks.axis[0](-value.length) &&
  Array.from(value).every(isPositiveInteger);

const isSignal = (value: unknown) =>
  value === undefined ||
  ['throwIfAborted', 'addEventListener', 'removeEventListener'].every(
    (name) => typeof Object(value)[name] === 'function',
  );

const isDuration = (value: unknown) => Number.isFinite(value) && (value as number) > 0;

const checks: Readonly<Record<Exclude<keyof SelectOptions, 'cache'>, OptionCheck>> = {
  shape: [isShape, 'an array of two or more whole numbers of at least 1, and at most 64'],
  axis: layerOptionChecks.axis,
  dtype: layerOptionChecks.dtype,
  operation: oneOf(...operations),
  prefer: oneOf('speed', 'accuracy'),
  budgetMs: [isDuration, 'a finite number of milliseconds greater than 0; `measure: false` chooses without measuring'],
  measure: oneOf(true, false),
  timeoutMs: [isDuration, 'a finite number of milliseconds greater than 0'],
  signal: [isSignal, 'an AbortSignal'],
};

/** Fills in defaults. Errors: `INVALID_OPTION`; `LIMIT_EXCEEDED` for more elements than can be counted. */
export function resolveQuestion(options: SelectOptions): Question {
  assertOptionNames(options, [...Object.keys(checks), 'cache']);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const question = { ...defaults, ...Object.fromEntries(given) } as Question;
  assertOptions(question, checks);
  const { axis, shape } = question;
  if (axis >= shape.length || axis < -shape.length) {
    fail('INVALID_OPTION', `axis ${axis}`, `an axis of the ${shape.length} that shape has`);
  }
  if (!Number.isSafeInteger(product(shape))) {
    fail('LIMIT_EXCEEDED', `shape ${describeShape(shape)}`, `at most ${Number.MAX_SAFE_INTEGER} elements`);
  }
  return Object.freeze({ ...question, shape: Object.freeze([...shape]) });
}

/** Errors: `INVALID_OPTION` unless there is at least one candidate, each with a name of its own and a factory. */
export function assertCandidates(candidates: unknown): asserts candidates is readonly Candidate[] {
  if (!Array.isArray(candidates) || candidates.length === 0) {
    fail('INVALID_OPTION', `candidates ${describe(candidates)}`, 'an array of at least one candidate');
  }
  const names = new Set<string>();
  for (const [index, candidate] of candidates.entries()) {
    const { name, create } = Object(candidate) as Partial<Candidate>;
    if (typeof name !== 'string' || name === '' || typeof create !== 'function') {
      fail('INVALID_OPTION', `candidate ${index} ${describe(candidate)}`, '{ name: a text, create: a function }');
    }
    if (names.has(name)) fail('INVALID_OPTION', `two candidates '${name}'`, 'names that differ');
    names.add(name);
  }
}
