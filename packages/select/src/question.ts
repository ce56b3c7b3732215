// The options of a selection, refused with a code or completed with their defaults.
import {
  assertOption,
  assertOptionNames,
  assertOptions,
  describeShape,
  layerOptionChecks,
  type OptionCheck,
  oneOf,
  product,
  refuse,
} from '@batchnorm/core-api';
import { type Candidate, operations, type SelectOptions } from './selection.js';

type Defaulted = Omit<SelectOptions, 'shape' | 'cache' | 'pin' | 'signal'>;

/** What a selection is asked: its options with every default filled in. */
export type Question = Readonly<Required<Defaulted>> & Pick<SelectOptions, 'shape' | 'cache' | 'pin' | 'signal'>;

const defaults: Readonly<Required<Defaulted>> = {
  axis: 1,
  dtype: 'float32',
  operation: 'training-step',
  memory: 'host',
  out: true,
  prefer: 'speed',
  budgetMs: 200,
  measure: true,
  timeoutMs: 5000,
};

const [isPositiveInteger] = layerOptionChecks.numFeatures;

/** Positive integers, one for each axis that the option `axis` can name. `every` alone would skip holes. */
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

const isPin = (value: unknown) =>
  value === undefined || ['name', 'engine', 'device'].every((field) => typeof Object(value)[field] === 'string');

const mostAxes = 64;
const shapeExpected = `an array of two or more whole numbers of at least 1, and at most ${mostAxes}`;
const pinExpected = 'the `report.pin` of a selection: { name, engine, device }';

const isDuration = (value: unknown) => Number.isFinite(value) && (value as number) > 0;

const checks: Readonly<Record<Exclude<keyof SelectOptions, 'cache'>, OptionCheck>> = {
  shape: [isShape, shapeExpected],
  axis: layerOptionChecks.axis,
  dtype: layerOptionChecks.dtype,
  operation: oneOf(...operations),
  memory: oneOf('host', 'allocated'),
  out: oneOf(true, false),
  prefer: oneOf('speed', 'accuracy'),
  budgetMs: [isDuration, 'a finite number of milliseconds greater than 0; `measure: false` chooses without measuring'],
  measure: oneOf(true, false),
  timeoutMs: [isDuration, 'a finite number of milliseconds greater than 0'],
  pin: [isPin, pinExpected],
  signal: [isSignal, 'an AbortSignal'],
};

/** Fills in defaults. Errors: `INVALID_OPTION`; `LIMIT_EXCEEDED` for more elements than can be counted. */
export function resolveQuestion(options: SelectOptions): Question {
  assertOptionNames(options, [...Object.keys(checks), 'cache']);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const question = { ...defaults, ...Object.fromEntries(given) } as Question;
  const { axis, shape, pin } = question;
  // Of these a message shows what is in them.
  if (Array.isArray(shape) && shape.length <= mostAxes && !isShape(shape)) {
    refuse('INVALID_OPTION', `shape ${describeShape(shape)}`, shapeExpected);
  }
  if (Object(pin) === pin && !isPin(pin))
    refuse('INVALID_OPTION', `pin { ${Object.keys(pin!).join(', ')} }`, pinExpected);
  assertOptions(question, checks);
  if (axis >= shape.length || axis < -shape.length) {
    refuse('INVALID_OPTION', `axis ${axis}`, `an axis of the ${shape.length} that shape has`);
  }
  if (!Number.isSafeInteger(product(shape))) {
    refuse('LIMIT_EXCEEDED', `shape [${shape.join(', ')}]`, `at most ${Number.MAX_SAFE_INTEGER} elements`);
  }
  return Object.freeze({ ...question, shape: Object.freeze([...shape]) });
}

const isFilledArray = (value: unknown) => Array.isArray(value) && value.length > 0;

const isCandidate = (value: unknown) => {
  const { name, create } = Object(value) as Partial<Candidate>;
  return typeof name === 'string' && name !== '' && typeof create === 'function';
};

/** Errors: `INVALID_OPTION` unless there is at least one candidate, each with a name of its own and a factory. */
export function assertCandidates(candidates: unknown): asserts candidates is readonly Candidate[] {
  assertOption('candidates', candidates, [isFilledArray, 'an array of at least one candidate']);
  const names = new Set<string>();
  for (const [index, candidate] of (candidates as readonly Candidate[]).entries()) {
    assertOption(`candidate ${index}`, candidate, [isCandidate, '{ name: a text, create: a function }']);
    const { name } = candidate;
    if (names.has(name)) refuse('INVALID_OPTION', `two candidates '${name}'`, 'names that differ');
    names.add(name);
  }
}
