// Every case of the kit.
import { adversarialCases } from './adversarial-cases.js';
import { behaviourCases } from './behaviours/behaviour-cases.js';
import { builtInFixtures } from './built-in-fixtures.js';
import type { ConformanceCase } from './conformance-case.js';
import { exactCases } from './exact-cases.js';
import { goldenCases } from './golden-cases.js';
import { programCases } from './programs/program-cases.js';

export const suite: readonly ConformanceCase[] = [
  ...goldenCases(builtInFixtures),
  ...exactCases,
  ...adversarialCases,
  ...behaviourCases,
  ...programCases,
];
