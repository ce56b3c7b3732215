// Golden files on a right backend: what others computed, what format 2 can say, and what must not pass.
import { readFile } from 'node:fs/promises';
import * as core from '@batchnorm/core-api';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { toFormat2 } from '../src/fixtures/format-2.js';
import {
  type CaseResult,
  type FixtureCase,
  type Problem,
  parseFixtureFile,
  runConformance,
  solve,
} from '../src/index.js';
import { createPlainBackend } from './plain-backend.js';

const run = (...cases: readonly FixtureCase[]): Promise<CaseResult[]> =>
  runConformance(() => createPlainBackend(core), { fixtures: [{ name: 'mine.json', cases }] });
const parse = (...cases: unknown[]) => parseFixtureFile('mine.json', { format: 2, cases }).cases;

/** Status and first message, of both dtypes. */
const outcomesOf = (results: readonly CaseResult[]) => results.map(({ status, messages: [first] }) => [status, first]);
const passed = ['passed', undefined];

const outside = JSON.parse(await readFile(new URL('./fixtures/outside.json', import.meta.url), 'utf8'));
const outsideCases = new Map(parseFixtureFile('outside.json', outside).cases.map((one) => [one.name, one]));
const outsideCase = (name: string) => outsideCases.get(name)!;

describe('what another library computed passes:', () => {
  it.each([...outsideCases])('%s', async (_, fixture) => {
    expect(outcomesOf(await run(fixture))).toEqual([passed, passed]);
    expect(parse(JSON.parse(JSON.stringify(toFormat2(fixture))))).toEqual([fixture]);
  });
});

describe('given statistics count:', () => {
  it.each(['runningMean', 'runningVariance', 'gamma', 'beta'] as const)('%s', async (name) => {
    const { [name]: _, ...without } = outsideCase('ONNX BatchNormalization');
    expect(await run(without)).toMatchObject([{ status: 'failed' }, { status: 'failed' }]);
  });

  it('batchesTracked, in a cumulative average', async () => {
    const fixture = solve({ ...problem('cumulative'), options: { momentum: 'cumulative' } });
    expect(outcomesOf(await run(fixture))).toEqual([passed, passed]);
    expect(await run({ ...fixture, batchesTracked: 6 })).toMatchObject([{ status: 'failed' }, { status: 'failed' }]);
  });
});

const problem = (name: string): Problem => ({
  name,
  why: '',
  shape: [5, 3],
  running: { mean: () => 1, variance: () => 2, batchesTracked: 7 },
  x: (random) => 4 * random(),
});

describe('a tolerance', () => {
  const fixture = outsideCase('PyTorch, printed with four decimals');
  const within = (tolerance: object) => ({
    ...fixture,
    steps: fixture.steps.map((step) => ({ ...step, tolerance })),
  });

  it('is half a unit of the last digit, and nothing that is wrong by more passes', async () => {
    expect(outcomesOf(await run(within({ absolute: 5e-5 })))).toEqual([passed, passed]);
    for (const tolerance of [{}, { absolute: 3e-5 }]) {
      expect(await run(within(tolerance))).toMatchObject([{ status: 'failed' }, { status: 'failed' }]);
    }
  });

  it('may be relative to each value', async () => {
    const exact = solve({ ...problem('relative'), beta: () => 1e3 });
    const [training, inference] = exact.steps;
    const rounded = { shape: [5, 3], data: Array.from(training!.y!.data, (value) => Number(value.toPrecision(4))) };
    const steps = (tolerance: object) => [{ ...training!, y: rounded, tolerance }, inference!];
    expect(outcomesOf(await run({ ...exact, steps: steps({ relative: 5e-4 }) }))).toEqual([passed, passed]);
    expect(await run({ ...exact, steps: steps({ relative: 1e-6 }) })).toMatchObject([
      { status: 'failed' },
      { status: 'failed' },
    ]);
  });

  it('leaves the reported error to what rounding does not explain', async () => {
    const [float32, float64] = await run(within({ absolute: 1e-4 }));
    expect([float32!.ulps, float64!.ulps]).toEqual([0, 0]);
  });
});

describe('a step that must be refused', () => {
  afterEach(() => vi.restoreAllMocks());
  const options = { numFeatures: 3, singleValue: 'reject' };
  const x = { shape: [1, 3], data: [1, 2, 3] };
  const refused = { training: true, x, error: 'SINGLE_VALUE' };

  it('passes when it is', async () => {
    const empty = { training: false, x: { shape: [0, 3], data: [] }, error: 'EMPTY_BATCH' };
    const poisoned = {
      training: true,
      x: { shape: [2, 3], data: [1, 2, 'NaN', 3, 4, 5] },
      error: 'NON_FINITE_STATISTICS',
    };
    const steps = [refused, empty, poisoned];
    expect(outcomesOf(await run(...parse({ name: 'a', options, steps })))).toEqual([passed, passed]);
  });

  it('fails when it is not', async () => {
    vi.spyOn(core.BatchNorm.prototype, 'forward').mockImplementation(async (given) => given as never);
    const outcome = ['failed', 'step 1 forward: received no error, expected SINGLE_VALUE'];
    expect(outcomesOf(await run(...parse({ name: 'a', options, steps: [refused] })))).toEqual([outcome, outcome]);
  });

  it('fails when something has changed', async () => {
    vi.spyOn(core.BatchNorm.prototype, 'forward').mockImplementation(function (this: core.BatchNorm) {
      this.runningMean.fill(5);
      return Promise.reject(new core.BatchNormError('SINGLE_VALUE', 'too late'));
    });
    const outcome = ['failed', 'step 1 state: received another than before, expected the same'];
    expect(outcomesOf(await run(...parse({ name: 'a', options, steps: [refused] })))).toEqual([outcome, outcome]);
  });
});

describe('any solved problem', () => {
  const problems: fc.Arbitrary<Problem> = fc
    .record({
      name: fc.string().filter((name) => name.trim() !== ''),
      why: fc.string(),
      shape: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 5 }),
      axis: fc.nat(4),
      fromTheEnd: fc.boolean(),
      options: fc.record({
        epsilon: fc.double({ min: 1e-8, max: 2, noNaN: true }),
        momentum: fc.oneof(fc.constant('cumulative' as const), fc.double({ min: 0, max: 1, noNaN: true })),
        affine: fc.boolean(),
        trackRunningStatistics: fc.boolean(),
        runningVariance: fc.constantFrom('population' as const, 'sample' as const),
        singleValue: fc.constantFrom('allow' as const, 'reject' as const),
      }),
      given: fc.boolean(),
      batchesTracked: fc.nat(100),
      steps: fc.nat(3),
      deviation: fc.double({ min: 1e-3, max: 1e3, noNaN: true }),
      mean: fc.double({ min: -1e3, max: 1e3, noNaN: true }),
    })
    .map(({ axis, fromTheEnd, given, batchesTracked, mean, deviation, options, ...rest }) => {
      const { length } = rest.shape;
      return {
        ...rest,
        options: { ...options, axis: (axis % length) - (fromTheEnd ? length : 0) },
        x: (random) => mean + deviation * (random() - 0.5),
        ...(given && {
          running: { mean: (random) => mean + random(), variance: (random) => deviation * random(), batchesTracked },
        }),
      };
    });
  /** Whether the layer takes batches of this shape. */
  const isTaken = ({ shape, options }: Problem) => {
    const M = core.valuesPerChannel(core.extentOf(shape, options!.axis!));
    return M > 1 || (options!.runningVariance === 'population' && options!.singleValue === 'allow');
  };

  it('survives JSON in format 2, and passes', async () => {
    await fc.assert(
      fc.asyncProperty(problems.filter(isTaken), async (problem) => {
        const written = JSON.parse(JSON.stringify(toFormat2(solve(problem))));
        const [read] = parse(written);
        expect(JSON.parse(JSON.stringify(toFormat2(read!)))).toEqual(written);
        expect(outcomesOf(await run(read!))).toEqual([passed, passed]);
      }),
      { seed: 20261122, numRuns: 200 },
    );
  });
});
