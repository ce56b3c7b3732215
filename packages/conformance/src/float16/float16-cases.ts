// Every case of float16.
import type { ConformanceCase } from '../conformance-case.js';
import { besideFloat32Cases } from './beside-float32-cases.js';
import { boundCases } from './bound-cases.js';
import { refusalCases } from './refusal-cases.js';
import { storageCases } from './storage-cases.js';

export const float16Cases: readonly ConformanceCase[] = [
  ...boundCases,
  ...besideFloat32Cases,
  ...storageCases,
  ...refusalCases,
];
