// Golden files of both formats are read; what is wrong with others is said with file, case, key, received and expected.
import { describe, expect, it } from 'vitest';
import { FixtureFormatError, parseFixtureFile } from '../src/index.js';

const array = (shape: readonly number[], value: unknown = 1) => ({
  shape,
  data: new Array(shape.reduce((a, b) => a * b, 1)).fill(value),
});
const [activation, vector] = [array([2, 3]), array([3])];

const seed = {
  name: 'a',
  numFeatures: 3,
  epsilon: 1e-5,
  momentum: 0.9,
  gamma: vector,
  beta: vector,
  steps: [{ x: activation, y: activation, dy: activation, dx: activation, dgamma: vector, dbeta: vector }],
};
const { momentum, ...withoutMomentum } = seed;
const torch = { ...withoutMomentum, torchMomentum: 0.1, affine: true, trackRunningStats: true };
const step = { training: true, x: activation, y: activation };
const layer = { name: 'a', options: { numFeatures: 3 }, steps: [step] };

const parse = (format: number, ...cases: unknown[]) => parseFixtureFile('mine.json', { format, cases }).cases;

describe('format 1', () => {
  it('is what a file has that names none', () => {
    expect(parseFixtureFile('old.json', { cases: [seed] })).toEqual({ name: 'old.json', cases: parse(1, seed) });
  });

  it('has seed cases, which average the population variance and keep the fraction momentum', () => {
    expect(parse(1, seed)[0]!.options).toEqual({
      numFeatures: 3,
      epsilon: 1e-5,
      momentum: 0.9,
      axis: 1,
      affine: true,
      trackRunningStatistics: true,
      runningVariance: 'population',
      activation: 'none',
      singleValue: 'allow',
      scale: true,
      center: true,
      emptyBatch: 'reject',
    });
  });

  it('has PyTorch cases, which average the sample variance; their momentum is the other fraction', () => {
    expect(parse(1, torch)[0]!.options).toMatchObject({ momentum: 0.9, runningVariance: 'sample', axis: 1 });
  });

  it('averages all batches alike when torchMomentum is null', () => {
    expect(parse(1, { ...torch, torchMomentum: null })[0]!.options).toMatchObject({ momentum: 'cumulative' });
  });

  it('may be channels-last', () => {
    const last = { x: array([2, 4, 3]), y: array([2, 4, 3]) };
    expect(parse(1, { ...torch, layout: 'channels-last', steps: [last] })[0]!.options).toMatchObject({ axis: -1 });
  });

  it('runs training steps, and then inference or evaluation', () => {
    const [last] = seed.steps;
    const training = (cases: ReturnType<typeof parse>) => cases[0]!.steps.map((each) => each.training);
    expect(training(parse(1, { ...seed, inference: last }))).toEqual([true, false]);
    expect(training(parse(1, { ...torch, evaluation: last }))).toEqual([true, false]);
    expect(training(parse(1, { ...seed, steps: [], inference: last }))).toEqual([false]);
  });

  it('takes null for what is absent', () => {
    const bare = { ...torch, affine: false, gamma: null, beta: null, evaluation: null };
    const steps = [{ x: activation, y: activation, dy: null, batchesTracked: null }];
    expect(parse(1, { ...bare, steps })[0]!.steps).toHaveLength(1);
  });

  it('may say where it comes from', () => {
    const metadata = { source: 'a', arithmetic: 'b', inputs: 'c', generator: 'd', seed: 'e', rngSeed: 1 };
    expect(parseFixtureFile('mine.json', { format: 1, ...metadata, cases: [seed] }).cases).toHaveLength(1);
  });
});

describe('format 2', () => {
  it("has the layer's options, and its defaults for what is absent", () => {
    expect(parse(2, layer)[0]!.options).toEqual({
      numFeatures: 3,
      epsilon: 1e-5,
      momentum: 0.9,
      axis: 1,
      affine: true,
      trackRunningStatistics: true,
      runningVariance: 'population',
      activation: 'none',
      singleValue: 'allow',
      scale: true,
      center: true,
      emptyBatch: 'reject',
    });
    const options = {
      numFeatures: 3,
      epsilon: 1e-3,
      momentum: 'cumulative',
      axis: -1,
      affine: false,
      trackRunningStatistics: false,
      runningVariance: 'sample',
      activation: 'none',
      singleValue: 'reject',
      emptyBatch: 'pass',
    };
    const none = { scale: false, center: false };
    expect(parse(2, { ...layer, options })[0]!.options).toEqual({ ...options, ...none });
  });

  it('keeps steps in their order', () => {
    const steps = [false, true, false].map((training) => ({ ...step, training }));
    expect(parse(2, { ...layer, steps })[0]!.steps.map(({ training }) => training)).toEqual([false, true, false]);
  });

  it('takes the tolerance of the step, else of the case, else of the file', () => {
    const [ofFile, ofCase, ofStep] = [{ absolute: 1 }, { relative: 2 }, { absolute: 3, relative: 4 }];
    const steps = [step, { ...step, tolerance: ofStep }, { ...step, tolerance: {} }];
    const cases = [
      { ...layer, steps },
      { ...layer, name: 'b', steps, tolerance: ofCase },
    ];
    const file = parseFixtureFile('mine.json', { format: 2, tolerance: ofFile, cases });
    const tolerances = file.cases.map((one) => one.steps.map(({ tolerance }) => tolerance));
    expect(tolerances).toEqual([
      [ofFile, ofStep, {}],
      [ofCase, ofStep, {}],
    ]);
  });

  it('has words for what JSON has no numbers for', () => {
    const y = { shape: [2, 3], data: ['NaN', 'Infinity', '-Infinity', -0, 1e-310, 1] };
    const [read] = parse(2, { ...layer, steps: [{ ...step, y }] });
    const data = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0, 1e-310, 1];
    expect(read!.steps[0]!.y!.data).toEqual(data);
  });

  it('expects a refusal where the layer refuses', () => {
    const single = { training: true, x: array([1, 3]), error: 'SINGLE_VALUE' };
    const empty = { training: false, x: array([0, 3]), error: 'EMPTY_BATCH' };
    const options = { numFeatures: 3, singleValue: 'reject' };
    expect(parse(2, { ...layer, options, steps: [single, empty] })[0]!.steps).toMatchObject([single, empty]);
  });
});

/** The lines of the error that `json` gets. */
function problemsOf(json: unknown): readonly string[] {
  try {
    parseFixtureFile('mine.json', json);
  } catch (error) {
    expect(error).toBeInstanceOf(FixtureFormatError);
    expect((error as FixtureFormatError).message).toBe((error as FixtureFormatError).problems.join('\n'));
    return (error as FixtureFormatError).problems;
  }
  return [];
}

const keysOfFile1 = 'format, source, arithmetic, inputs, generator, seed, rngSeed, cases';
const keysOfFile2 = 'format, source, arithmetic, inputs, generator, seed, rngSeed, tolerance, cases';
const keysOfSeed = 'name, why, numFeatures, epsilon, gamma, beta, steps, momentum, inference';
const keysOfTorch =
  'name, why, numFeatures, epsilon, gamma, beta, steps, layout, torchMomentum, affine, trackRunningStats, evaluation';
const keysOfStep1 = 'x, y, dy, dx, dgamma, dbeta, runningMean, runningVariance, batchesTracked';
const keysOfStep2 =
  'training, x, mask, residual, y, dy, dx, dresidual, dgamma, dbeta, runningMean, runningVariance, batchesTracked, error, tolerance';
const keysOfCase = 'name, why, options, gamma, beta, runningMean, runningVariance, batchesTracked, tolerance, steps';
const keysOfOptions =
  'numFeatures, epsilon, momentum, axis, affine, scale, center, trackRunningStatistics, runningVariance, activation, singleValue, emptyBatch';

type Malformed = Readonly<Record<string, readonly [json: unknown, problem: string]>>;

describe('a file that is malformed', () => {
  const malformed: Malformed = {
    'an array': [[], `mine.json: received an array of 0, expected an object of ${keysOfFile1}`],
    'null, as a whole': [null, `mine.json: received null, expected an object of ${keysOfFile1}`],
    'an unknown format': [{ format: 3, cases: [layer] }, 'mine.json: format: received 3, expected 1 or 2'],
    'a format that is a text': [{ format: '2', cases: [layer] }, "mine.json: format: received '2', expected 1 or 2"],
    'no cases': [{ format: 1 }, 'mine.json: cases: received nothing, expected an array of cases'],
    'an empty list of cases': [
      { format: 2, cases: [] },
      'mine.json: cases: received an array of 0, expected at least one case',
    ],
    'an unknown key': [
      { format: 1, sauce: 'PyTorch', cases: [seed] },
      `mine.json: sauce: received an unknown key, expected one of ${keysOfFile1}`,
    ],
    'a tolerance in format 1': [
      { format: 1, tolerance: { absolute: 1 }, cases: [seed] },
      `mine.json: tolerance: received an unknown key, expected one of ${keysOfFile1}`,
    ],
    'an unknown key in format 2': [
      { format: 2, momentum: 0.9, cases: [layer] },
      `mine.json: momentum: received an unknown key, expected one of ${keysOfFile2}`,
    ],
    'a negative tolerance': [
      { format: 2, tolerance: { absolute: -1 }, cases: [layer] },
      'mine.json: tolerance.absolute: received -1, expected a finite number of at least 0',
    ],
    'a case that is none': [
      { format: 2, cases: [layer, 7] },
      `mine.json: cases[1]: received 7, expected an object of ${keysOfCase}`,
    ],
    'a case without a name': [
      { format: 2, cases: [layer, { ...layer, name: undefined }] },
      'mine.json: cases[1].name: received nothing, expected a name',
    ],
    'a case with an empty name': [
      { format: 1, cases: [{ ...seed, name: '' }] },
      "mine.json: cases[0].name: received '', expected a name",
    ],
    'a name twice': [
      { format: 2, cases: [layer, { ...layer, name: 'b' }, layer] },
      "mine.json: case 'a' (cases[2]).name: received the name of cases[0], expected one of its own",
    ],
    'a name twice in format 1': [
      { cases: [seed, torch] },
      "mine.json: case 'a' (cases[1]).name: received the name of cases[0], expected one of its own",
    ],
  };
  it.each(Object.entries(malformed))('%s', (_, [json, problem]) => expect(problemsOf(json)).toEqual([problem]));

  it('is told of the first problem of each of its cases', () => {
    const cases = [{ ...layer, name: '' }, layer, { ...layer, name: 'b', steps: [] }];
    expect(problemsOf({ format: 2, cases })).toEqual([
      "mine.json: cases[0].name: received '', expected a name",
      "mine.json: case 'b' (cases[2]).steps: received no steps, expected at least one",
    ]);
  });
});

/** Cases by what is wrong with them; the problem stands after the case's place. */
function describeCases(title: string, format: number, malformed: Malformed): void {
  describe(title, () => {
    it.each(Object.entries(malformed))('%s', (_, [one, problem]) => {
      expect(problemsOf({ format, cases: [one] })).toEqual([`mine.json: case 'a' (cases[0])${problem}`]);
    });
  });
}

const seedStep = (change: object) => ({ ...seed, steps: [{ ...seed.steps[0], ...change }] });

describeCases('a case of format 1 that is malformed', 1, {
  'an evaluation in a seed case': [
    { ...seed, evaluation: seed.steps[0] },
    `.evaluation: received an unknown key, expected one of ${keysOfSeed}`,
  ],
  'a layout in a seed case': [
    { ...seed, layout: 'channels-last' },
    `.layout: received an unknown key, expected one of ${keysOfSeed}`,
  ],
  'an axis': [{ ...seed, axis: -1 }, `.axis: received an unknown key, expected one of ${keysOfSeed}`],
  'initial statistics': [{ ...seed, initial: {} }, `.initial: received an unknown key, expected one of ${keysOfSeed}`],
  'a tolerance': [{ ...seed, tolerance: {} }, `.tolerance: received an unknown key, expected one of ${keysOfSeed}`],
  'an inference in a PyTorch case': [
    { ...torch, inference: seed.steps[0] },
    `.inference: received an unknown key, expected one of ${keysOfTorch}`,
  ],
  'both momentums': [{ ...torch, momentum }, `.momentum: received an unknown key, expected one of ${keysOfTorch}`],
  'a misspelt required key': [
    { ...withoutMomentum, momentun: 0.9 },
    `.momentun: received an unknown key, expected one of ${keysOfSeed}`,
  ],
  'a misspelt key of a step': [
    seedStep({ runningVar: vector }),
    `.steps[0].runningVar: received an unknown key, expected one of ${keysOfStep1}`,
  ],
  'a misspelt key of the inference': [
    { ...seed, inference: { ...seed.steps[0], dX: activation } },
    `.inference.dX: received an unknown key, expected one of ${keysOfStep1}`,
  ],
  'an unknown key of an array': [
    { ...seed, gamma: { ...vector, dtype: 'float64' } },
    '.gamma.dtype: received an unknown key, expected one of shape, data',
  ],
  'no momentum': [withoutMomentum, ".momentum: received nothing, expected a number from 0 to 1, or 'cumulative'"],
  'a momentum beyond 1': [
    { ...seed, momentum: 2 },
    ".momentum: received 2, expected a number from 0 to 1, or 'cumulative'",
  ],
  'a torchMomentum below 0': [
    { ...torch, torchMomentum: -0.1 },
    '.torchMomentum: received -0.1, expected a number from 0 to 1, or null',
  ],
  'a negative epsilon': [
    { ...seed, epsilon: -1 },
    '.epsilon: received -1, expected a finite number that is not negative',
  ],
  'no features': [{ ...seed, numFeatures: 0 }, '.numFeatures: received 0, expected a whole number of at least 1'],
  'another layout': [
    { ...torch, layout: 'NCHW' },
    ".layout: received 'NCHW', expected channels-first or channels-last",
  ],
  'no steps and no inference': [{ ...seed, steps: [] }, '.steps: received no steps, expected at least one'],
  'a step without y': [seedStep({ y: undefined }), `.steps[0].y: received nothing, expected an object of shape, data`],
  'data that do not fill the shape': [
    seedStep({ y: { shape: [2, 3], data: [1, 2] } }),
    '.steps[0].y.data: received 2 numbers, expected 6, as shape [2, 3] has',
  ],
  'null, as JSON writes NaN': [
    { ...seed, gamma: { shape: [3], data: [1, null, 3] } },
    ".gamma.data[1]: received null, expected a finite number, 'NaN', 'Infinity' or '-Infinity'",
  ],
  'gradients without dy': [
    seedStep({ dy: undefined }),
    '.steps[0].dx: received a gradient, expected none without a dy',
  ],
  'parameters of another length': [{ ...seed, gamma: array([4]) }, '.gamma: received shape [4], expected [3]'],
  'y of another shape than x': [
    seedStep({ y: array([3, 2]) }),
    '.steps[0].y: received shape [3, 2], expected [2, 3], the shape of x',
  ],
  'channels elsewhere': [
    { ...seed, steps: [{ x: array([3, 2]), y: array([3, 2]) }] },
    '.steps[0].x: received x of shape [3, 2] with 2 channels on axis 1, expected 3 channels, as numFeatures says',
  ],
  'an evaluation of another shape': [
    { ...torch, evaluation: { x: activation, y: array([3, 2]) } },
    '.evaluation.y: received shape [3, 2], expected [2, 3], the shape of x',
  ],
  'parameters without affine': [
    { ...torch, affine: false, steps: [{ x: activation, y: activation }] },
    '.gamma: received a value, expected none, as affine or scale is false',
  ],
  'one value per channel in a PyTorch case': [
    { ...torch, steps: [{ x: array([1, 3]), y: array([1, 3]) }] },
    ".steps[0].x: received 1 value per channel, expected at least 2: the factor M/(M−1) of varianceEstimator 'sample' has no value",
  ],
});

const withOptions = (options: object, change: object = {}) => ({
  ...layer,
  options: { ...layer.options, ...options },
  ...change,
});
const withStep = (change: object, options: object = {}) =>
  withOptions(options, { steps: [step, { ...step, ...change }] });

describeCases('a case of format 2 that is malformed', 2, {
  'no options': [
    { ...layer, options: undefined },
    `.options: received nothing, expected an object of ${keysOfOptions}`,
  ],
  'an option beside the options': [
    { ...layer, epsilon: 1e-3 },
    `.epsilon: received an unknown key, expected one of ${keysOfCase}`,
  ],
  'an unknown option': [
    withOptions({ trackRunningStats: true }),
    `.options.trackRunningStats: received an unknown key, expected one of ${keysOfOptions}`,
  ],
  'a dtype, which every run chooses': [
    withOptions({ dtype: 'float64' }),
    `.options.dtype: received an unknown key, expected one of ${keysOfOptions}`,
  ],
  'an option with a meaning in Object.prototype': [
    withOptions({ constructor: 1 }),
    `.options.constructor: received an unknown key, expected one of ${keysOfOptions}`,
  ],
  'no numFeatures': [
    { ...layer, options: {} },
    '.options.numFeatures: received nothing, expected a whole number of at least 1',
  ],
  'a momentum that is no average of batches': [
    withOptions({ momentum: 'exact' }),
    ".options.momentum: received 'exact', expected a number from 0 to 1, or 'cumulative'",
  ],
  'an epsilon below 0': [
    withOptions({ epsilon: -1 }),
    '.options.epsilon: received -1, expected a finite number that is not negative',
  ],
  'an epsilon that is null': [
    withOptions({ epsilon: null }),
    '.options.epsilon: received null, expected a finite number that is not negative',
  ],
  'a momentum beyond 1': [
    withOptions({ momentum: 1.5 }),
    ".options.momentum: received 1.5, expected a number from 0 to 1, or 'cumulative'",
  ],
  'half an axis': [withOptions({ axis: 0.5 }), '.options.axis: received 0.5, expected a whole number from -64 to 63'],
  'an axis that x does not have': [
    withOptions({ axis: 5 }),
    '.steps[0].x: received x of shape [2, 3], expected rank 2 or more, with an axis 5 for channels',
  ],
  'an affine that is no boolean': [
    withOptions({ affine: 'no' }),
    ".options.affine: received 'no', expected true or false",
  ],
  'another running variance': [
    withOptions({ runningVariance: 'unbiased' }),
    ".options.runningVariance: received 'unbiased', expected 'population' or 'sample'",
  ],
  'another singleValue': [
    withOptions({ singleValue: 'refuse' }),
    ".options.singleValue: received 'refuse', expected 'allow' or 'reject'",
  ],
  'a given gamma without affine': [
    withOptions({ affine: false }, { gamma: vector }),
    '.gamma: received a value, expected none, as affine or scale is false',
  ],
  'given statistics without tracking': [
    withOptions({ trackRunningStatistics: false }, { runningMean: vector }),
    '.runningMean: received a value, expected none, as trackRunningStatistics is false',
  ],
  'a given variance below 0': [
    { ...layer, runningVariance: { shape: [3], data: [1, -1, 1] } },
    '.runningVariance.data[1]: received -1, expected a finite number of at least 0',
  ],
  'a given mean that is infinite': [
    { ...layer, runningMean: array([3], 'Infinity') },
    '.runningMean.data[0]: received Infinity, expected a finite number',
  ],
  'a given mean of another length': [
    { ...layer, runningMean: array([2]) },
    '.runningMean: received shape [2], expected [3]',
  ],
  'fewer than no batches': [
    { ...layer, batchesTracked: -1 },
    '.batchesTracked: received -1, expected a whole number of at least 0',
  ],
  'no steps': [{ ...layer, steps: undefined }, '.steps: received nothing, expected an array of steps'],
  'an empty list of steps': [{ ...layer, steps: [] }, '.steps: received no steps, expected at least one'],
  'a step that does not say whether it is training': [
    withStep({ training: undefined }),
    '.steps[1].training: received nothing, expected true or false',
  ],
  'a step that checks nothing': [
    withStep({ y: undefined }),
    '.steps[1]: received nothing to check, expected any of y, dx, dresidual, dgamma, dbeta, runningMean, runningVariance, batchesTracked; or an error',
  ],
  'a mask with the channel axis': [
    withStep({ mask: array([2, 3], 1) }),
    '.steps[1].mask: received shape [2, 3], expected [2], the shape of x without channels, or the beginning of it',
  ],
  'a mask with a 2': [
    withStep({ mask: { shape: [2], data: [1, 2] } }),
    '.steps[1].mask.data[1]: received 2, expected 0 or 1',
  ],
  'a mask that does not fill its shape': [
    withStep({ mask: { shape: [2], data: [1] } }),
    '.steps[1].mask.data: received 1 numbers, expected 2, as shape [2] has',
  ],
  'a mask by which nothing counts, without its error': [
    withStep({ mask: { shape: [2], data: [0, 0] } }),
    '.steps[1].x: received a mask by which no position counts, expected at least one',
  ],
  'a residual of another shape': [
    withStep({ residual: array([3, 2]) }),
    '.steps[1].residual: received shape [3, 2], expected [2, 3], the shape of x',
  ],
  'a dresidual without a residual': [
    withStep({ dy: activation, dresidual: activation }),
    '.steps[1].dresidual: received a gradient, expected none without a residual',
  ],
  'a dresidual without dy': [
    withStep({ residual: activation, dresidual: activation }),
    '.steps[1].dresidual: received a gradient, expected none without a dy',
  ],
  'another activation': [
    withOptions({ activation: 'gelu' }),
    ".options.activation: received 'gelu', expected 'none' or 'relu'",
  ],
  'a misspelt result': [
    withStep({ runningVar: vector }),
    `.steps[1].runningVar: received an unknown key, expected one of ${keysOfStep2}`,
  ],
  'a misspelt tolerance': [
    withStep({ tolerance: { abs: 1 } }),
    '.steps[1].tolerance.abs: received an unknown key, expected one of absolute, relative',
  ],
  'an infinite tolerance': [
    withStep({ tolerance: { relative: 'Infinity' } }),
    ".steps[1].tolerance.relative: received 'Infinity', expected a finite number of at least 0",
  ],
  'nested arrays': [
    withStep({ x: [[1, 2, 3]] }),
    '.steps[1].x: received an array of 1, expected an object of shape, data',
  ],
  'a number that is a text': [
    withStep({ y: { shape: [2, 3], data: [1, 2, 3, 4, 5, '6'] } }),
    ".steps[1].y.data[5]: received '6', expected a finite number, 'NaN', 'Infinity' or '-Infinity'",
  ],
  'a negative extent': [
    withStep({ x: { shape: [-2, 3], data: [] } }),
    '.steps[1].x.shape[0]: received -2, expected a whole number of at least 0',
  ],
  'dx of another shape than x': [
    withStep({ dy: activation, dx: array([3, 2]) }),
    '.steps[1].dx: received shape [3, 2], expected [2, 3], the shape of x',
  ],
  'a dgamma without a dy': [
    withStep({ dgamma: vector }),
    '.steps[1].dgamma: received a gradient, expected none without a dy',
  ],
  'a dgamma without affine': [
    withStep({ dy: activation, dgamma: vector }, { affine: false }),
    '.steps[1].dgamma: received a value, expected none, as affine or scale is false',
  ],
  'a running mean without tracking': [
    withStep({ runningMean: vector }, { trackRunningStatistics: false }),
    '.steps[1].runningMean: received a value, expected none, as trackRunningStatistics is false',
  ],
  'a count of batches without tracking': [
    withStep({ batchesTracked: 0 }, { trackRunningStatistics: false }),
    '.steps[1].batchesTracked: received a value, expected none, as trackRunningStatistics is false',
  ],
  'an x that is a vector': [
    withStep({ x: vector, y: vector }),
    '.steps[1].x: received x of shape [3], expected rank 2 or more, with an axis 1 for channels',
  ],
  'an empty batch without its error': [
    withStep({ x: array([0, 3]), y: array([0, 3]) }),
    '.steps[1].x: received x of shape [0, 3], expected at least one value per channel',
  ],
  'one value per channel without its error': [
    withStep({ x: array([1, 3]), y: array([1, 3]) }, { singleValue: 'reject' }),
    ".steps[1].x: received 1 value per channel, expected at least 2, as singleValue 'reject' says",
  ],
  'NaN in a batch that is tracked, without its error': [
    withStep({ x: { shape: [2, 3], data: [1, 'NaN', 1, 1, 1, 1] } }),
    '.steps[1].x: received a batch whose mean of channel 1 is NaN, expected finite values: it would poison the running statistics',
  ],
  'another error than that of the layer': [
    withStep({ x: array([0, 3]), y: undefined, error: 'SINGLE_VALUE' }),
    ".steps[1].error: received 'SINGLE_VALUE', expected 'EMPTY_BATCH'",
  ],
  'an error that no x can have': [
    withStep({ y: undefined, error: 'DISPOSED' }),
    ".steps[1].error: received 'DISPOSED', expected EMPTY_BATCH or SINGLE_VALUE or NON_FINITE_STATISTICS",
  ],
  'results beside an error': [
    withStep({ error: 'NON_FINITE_STATISTICS' }),
    '.steps[1].y: received a value, expected none beside an error, which leaves all as it was',
  ],
});
