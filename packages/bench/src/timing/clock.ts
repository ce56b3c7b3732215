// What a clock is.
import type { MaybePromise } from '@batchnorm/core-api';

/** Both in seconds. Many short samples tell more than a few long ones: what disturbs one leaves the others alone. */
export interface Sampling {
  /** Of one sample, at least: many calls of a fast case, one of a slow one. */
  readonly sampleTime: number;
  /** Of all samples together, at least. */
  readonly totalTime: number;
}

/** Seconds per call in each of some samples. Errors: those of `run`. */
export type Clock = (name: string, run: () => MaybePromise<void>, sampling: Sampling) => Promise<readonly number[]>;
