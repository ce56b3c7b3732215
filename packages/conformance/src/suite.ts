// Every case of the kit.
import { adversarialCases } from './adversarial-cases.js';
import { behaviourCases } from './behaviours/behaviour-cases.js';
import type { ConformanceCase } from './conformance-case.js';
import { exactCases } from './exact-cases.js';
import { float16Cases } from './float16/float16-cases.js';
import { builtInCases } from './golden-cases.js';
import { kernelCases } from './kernels/kernel-cases.js';
import { programCases } from './programs/program-cases.js';
import { scaledCases } from './scaled-cases.js';

/** All of the kit's own cases. */
export const suite: readonly ConformanceCase[] = [
  ...builtInCases,
  ...exactCases,
  ...adversarialCases,
  ...scaledCases,
  ...behaviourCases,
  ...kernelCases,
  ...programCases,
  ...float16Cases,
];
