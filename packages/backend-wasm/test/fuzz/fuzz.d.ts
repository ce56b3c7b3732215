import type { Backend } from '@batchnorm/core-api';
import type { Arbitrary } from 'fast-check';

export interface FuzzCase {
  readonly seed: number;
}

export const cases: Arbitrary<FuzzCase>;
export function mismatches(backend: Backend, fuzzCase: FuzzCase): Promise<string[]>;
