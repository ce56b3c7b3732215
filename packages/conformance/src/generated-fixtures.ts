// The adversarial problems as a golden file, for implementations in other languages: data, with where they come from.
import { adversarialProblems } from './adversarial-cases.js';
import { toFormat2 } from './fixtures/format-2.js';
import { solve } from './problem.js';

/** Larger ones are quicker to generate than to read. */
const mostElements = 210;

/** The content of fixtures/oracle.json. */
export function generateFixtures(): string {
  const cases = adversarialProblems
    .filter(({ shape, steps = 1 }) => steps * shape.reduce((a, b) => a * b, 1) <= mostElements)
    .map((problem) => toFormat2(solve(problem)));
  const file = {
    format: 2,
    arithmetic: 'float64 with compensated sums',
    inputs: 'rounded to float32',
    generator: 'pnpm conformance:fixtures (packages/conformance/src/generated-fixtures.ts)',
    seed: 'Mersenne Twister, seeded with a hash of each name',
    source: 'the oracle of @batchnorm/conformance',
    cases,
  };
  return `${JSON.stringify(file)}\n`;
}
