// The adversarial problems as a golden file, for implementations in other languages: data, with where they come from.
import { adversarialProblems } from './adversarial-cases.js';
import type { FixtureCase, Golden, GoldenStep } from './fixture-format.js';
import { solve } from './problem.js';

/** Larger ones are quicker to generate than to read. */
const mostElements = 200;

/** The content of fixtures/oracle.json. */
export function generateFixtures(): string {
  const cases = adversarialProblems
    .filter(({ shape, steps = 1 }) => steps * shape.reduce((a, b) => a * b, 1) <= mostElements)
    .map((problem) => solve(problem))
    .filter(isSeedStyle)
    .map(toSeedStyle);
  const file = {
    format: 1,
    arithmetic: 'float64 with compensated sums',
    inputs: 'rounded to float32',
    generator: 'pnpm conformance:fixtures (packages/conformance/src/generated-fixtures.ts)',
    seed: 'Mersenne Twister, seeded with a hash of each name',
    source: 'the oracle of @batchnorm/conformance',
    cases,
  };
  return `${JSON.stringify(file)}\n`;
}

/** A seed-style case has these options, and no others. */
function isSeedStyle({ options }: FixtureCase): boolean {
  const { momentum, axis, affine, trackRunningStatistics, runningVariance } = options;
  return (
    typeof momentum === 'number' && axis === 1 && affine && trackRunningStatistics && runningVariance === 'population'
  );
}

function toSeedStyle({ name, why, options, gamma, beta, steps, inference }: FixtureCase): object {
  const { numFeatures, epsilon, momentum } = options;
  return {
    name,
    why,
    numFeatures,
    epsilon,
    momentum,
    gamma: toJson(gamma!),
    beta: toJson(beta!),
    steps: steps.map(stepToJson),
    inference: stepToJson(inference!),
  };
}

function stepToJson(step: GoldenStep): object {
  return Object.fromEntries(Object.entries(step).map(([name, array]) => [name, toJson(array as Golden)]));
}

function toJson({ shape, data }: Golden): object {
  return { shape, data: Array.from(data) };
}
