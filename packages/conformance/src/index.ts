// The public names of @batchnorm/conformance.
export { adversarialProblems } from './adversarial-cases.js';
export { accumulationOf, describeAccumulation } from './arithmetic.js';
export { type Bound, boundsOf, exactly, RunningErrors, type Step, type TrackedBatch } from './bounds.js';
export { builtInFixtures } from './built-in-fixtures.js';
export { type Check, type Comparison, compare, type Expected } from './compare.js';
export { type CaseResult, type ConformanceOptions, dtypes, type Run, runConformance, runsOf } from './conformance.js';
export {
  type Cell,
  type ConformanceCase,
  type Group,
  groups,
  type Layout,
  type MemoryKind,
  type Refusal,
  type SizeClass,
  type Subject,
} from './conformance-case.js';
export {
  type CountText,
  caseName,
  countsLine,
  countsOf,
  countTexts,
  explanations,
  reasonOf,
  type Status,
  signs,
  statuses,
} from './counts.js';
export { describeConformance, type TestApi } from './describe-conformance.js';
export type { FixtureCase, FixtureFile, Golden, GoldenStep, Rounding } from './fixtures/fixture-case.js';
export { FixtureFormatError } from './fixtures/format-error.js';
export { parseFixtureFile } from './fixtures/parse-fixture-file.js';
export { type Magnitudes, magnitudes, type Normalization } from './magnitudes.js';
export * as oracle from './oracle.js';
export { normal, type Problem, type Random, randomSeededBy, solve } from './problem.js';
export type { Program } from './programs/program.js';
export { runProgram } from './programs/run-program.js';
export { replay } from './replay.js';
export { type BackendOptions, type BackendReport, nothing, runBackend } from './report/backend-report.js';
export {
  accuracyText,
  countsText,
  failedFirst,
  firstMessages,
  isMeasured,
  measureTexts,
  ulpTexts,
  worstOf,
} from './report/kit-summary.js';
export { type SeededBatch, type SeededBatchOptions, seededBatch } from './seeded-batch.js';
export { suite } from './suite.js';
export type { Quantity } from './tolerance.js';
export { unfused } from './unfused.js';
