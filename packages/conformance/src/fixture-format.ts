// The format of golden files, seed-style and PyTorch-style, and the one kind of case that both become.
import type { BatchNormOptions } from '@batchnorm/core-api';
import * as v from 'valibot';

/** An array of a golden file, row-major. */
export interface Golden {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** One call sequence with its expected results; what is absent is not checked. */
export interface GoldenStep {
  readonly x: Golden;
  readonly y: Golden;
  readonly dy?: Golden | null | undefined;
  readonly dx?: Golden | null | undefined;
  readonly dgamma?: Golden | null | undefined;
  readonly dbeta?: Golden | null | undefined;
  readonly runningMean?: Golden | null | undefined;
  readonly runningVariance?: Golden | null | undefined;
  readonly batchesTracked?: number | null | undefined;
}

/** A layer, training steps in order, and then inference: forward, and backward where there is a dy. */
export interface FixtureCase {
  readonly name: string;
  readonly why: string;
  readonly options: Omit<Required<BatchNormOptions>, 'backend' | 'dtype' | 'singleValue'>;
  readonly gamma: Golden | null;
  readonly beta: Golden | null;
  readonly steps: readonly GoldenStep[];
  readonly inference: GoldenStep | null;
}

export interface FixtureFile {
  /** Where it came from, for reports. */
  readonly name: string;
  readonly cases: readonly FixtureCase[];
}

/** A golden file that is not in the format: which, and why. */
export class FixtureFormatError extends Error {
  override readonly name = 'FixtureFormatError';
}

const size = v.pipe(v.number(), v.integer(), v.minValue(0));

const golden = v.pipe(
  v.object({ shape: v.array(size), data: v.array(v.number()) }),
  v.check(
    ({ shape, data }) => data.length === shape.reduce((count, extent) => count * extent, 1),
    'data does not have as many numbers as shape says',
  ),
);

const step = v.pipe(
  v.object({
    x: golden,
    y: golden,
    dy: v.nullish(golden),
    dx: v.nullish(golden),
    dgamma: v.nullish(golden),
    dbeta: v.nullish(golden),
    runningMean: v.nullish(golden),
    runningVariance: v.nullish(golden),
    batchesTracked: v.nullish(size),
  }),
  v.check(({ dy, dx, dgamma, dbeta }) => Boolean(dy) || !(dx ?? dgamma ?? dbeta), 'gradients without a dy'),
);

const caseFields = {
  name: v.pipe(v.string(), v.nonEmpty()),
  why: v.optional(v.string(), ''),
  numFeatures: v.pipe(size, v.minValue(1)),
  epsilon: v.number(),
  gamma: v.nullish(golden, null),
  beta: v.nullish(golden, null),
  steps: v.array(step),
};

const seedCase = v.object({
  ...caseFields,
  momentum: v.number(),
  inference: v.nullish(step, null),
});

const pytorchCase = v.object({
  ...caseFields,
  layout: v.optional(v.picklist(['channels-first', 'channels-last']), 'channels-first'),
  torchMomentum: v.nullable(v.number()),
  affine: v.boolean(),
  trackRunningStats: v.boolean(),
  evaluation: v.nullish(step, null),
});

const file = v.object({ format: v.optional(v.literal(1)), cases: v.pipe(v.array(v.unknown()), v.nonEmpty()) });

/**
 * Reads the parsed JSON of a golden file. Errors: `FixtureFormatError`, which names the file, the place in it and the
 * reason.
 */
export function parseFixtureFile(name: string, json: unknown): FixtureFile {
  const { cases } = parse(name, file, json);
  return { name, cases: cases.map((value, index) => parseCase(`${name}: cases[${index}]`, value)) };
}

function parseCase(place: string, value: unknown): FixtureCase {
  const parsed =
    Object(value).torchMomentum === undefined
      ? fromSeed(parse(place, seedCase, value))
      : fromPyTorch(parse(place, pytorchCase, value));
  assertShapesAgree(place, parsed);
  return parsed;
}

function fromSeed(seed: v.InferOutput<typeof seedCase>): FixtureCase {
  return {
    ...common(seed),
    options: {
      numFeatures: seed.numFeatures,
      epsilon: seed.epsilon,
      momentum: seed.momentum,
      axis: 1,
      affine: true,
      trackRunningStatistics: true,
      runningVariance: 'population',
    },
    inference: seed.inference,
  };
}

function fromPyTorch(torch: v.InferOutput<typeof pytorchCase>): FixtureCase {
  return {
    ...common(torch),
    options: {
      numFeatures: torch.numFeatures,
      epsilon: torch.epsilon,
      momentum: torch.torchMomentum === null ? 'cumulative' : 1 - torch.torchMomentum,
      axis: torch.layout === 'channels-first' ? 1 : -1,
      affine: torch.affine,
      trackRunningStatistics: torch.trackRunningStats,
      runningVariance: 'sample',
    },
    inference: torch.evaluation,
  };
}

function common({ name, why, gamma, beta, steps }: v.InferOutput<typeof seedCase | typeof pytorchCase>) {
  return { name, why, gamma, beta, steps };
}

/** Activations of a step have one shape, with the channels where the layout says; vectors have [C]. */
function assertShapesAgree(place: string, { options, gamma, beta, steps, inference }: FixtureCase): void {
  const { numFeatures, axis } = options;
  const expectShape = (path: string, array: Golden | null | undefined, shape: readonly number[]) => {
    if (array && array.shape.join() !== shape.join()) {
      throw new FixtureFormatError(`${place}.${path}: received shape [${array.shape}], expected [${shape}]`);
    }
  };
  expectShape('gamma', gamma, [numFeatures]);
  expectShape('beta', beta, [numFeatures]);
  const all: [path: string, step: GoldenStep][] = steps.map((value, index) => [`steps[${index}]`, value]);
  if (inference) all.push(['inference', inference]);
  for (const [path, { x, y, dy, dx, ...vectors }] of all) {
    if (x.shape.length < 2 || x.shape.at(axis) !== numFeatures) {
      throw new FixtureFormatError(
        `${place}.${path}.x: received shape [${x.shape}], expected ${numFeatures} channels on axis ${axis}`,
      );
    }
    for (const [name, array] of Object.entries({ y, dy, dx })) expectShape(`${path}.${name}`, array, x.shape);
    for (const name of ['dgamma', 'dbeta', 'runningMean', 'runningVariance'] as const) {
      expectShape(`${path}.${name}`, vectors[name], [numFeatures]);
    }
  }
}

function parse<const Schema extends v.GenericSchema>(
  place: string,
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new FixtureFormatError(`${[place, v.getDotPath(issue)].filter(Boolean).join('.')}: ${issue.message}`);
}
