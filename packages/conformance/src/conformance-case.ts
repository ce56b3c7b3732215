// What the kit is made of: cases, each of which judges one backend in one dtype.
import type { Backend, Dtype, MaybePromise } from '@batchnorm/core-api';
import type { Comparison } from './compare.js';

/** `golden` results of others; inputs with `exact` results; `adversarial` inputs; `behaviour` of buffers, calls and errors. */
export type Group = 'golden' | 'exact' | 'adversarial' | 'behaviour';

/** One compared result: `what` it is, such as 'step 2 dx'. */
export interface Check extends Comparison {
  readonly what: string;
}

export interface Subject {
  readonly backend: Backend;
  readonly dtype: Dtype;
  /** Another backend of the same kind, which the case disposes; absent when the kit was given a backend, not a factory. */
  readonly create: (() => MaybePromise<Backend>) | undefined;
}

export interface ConformanceCase {
  readonly group: Group;
  /** The golden file, or the group. */
  readonly source: string;
  readonly name: string;
  readonly why: string;
  /** Why it says nothing about this subject, or undefined. */
  inapplicable?(subject: Subject): string | undefined;
  /** Errors: whatever the backend fails with. */
  run(subject: Subject): Promise<Check[]>;
}
