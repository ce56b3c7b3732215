// What a clock is.
import type { MaybePromise } from '@batchnorm/core-api';

/** All in seconds. Many short samples tell more than a few long ones: what disturbs one leaves the others alone. */
export interface Sampling {
  /**
   * Of calls that no sample counts, before the first: a training loop runs warm, and a processor that has just slept finds neither
   * its caches nor its clock frequency as they were.
   */
  readonly warmUp: number;
  /** Of one sample, at least: many calls of a fast case, one of a slow one. */
  readonly sampleTime: number;
  /** Of all samples together, at least. */
  readonly totalTime: number;
}

/** Seconds per call in each of some samples. Errors: those of `run`. */
export type Clock = (name: string, run: () => MaybePromise<void>, sampling: Sampling) => Promise<readonly number[]>;

/** Errors: those of `run`. */
export async function warmUp(run: () => MaybePromise<void>, { warmUp }: Sampling): Promise<void> {
  const begin = performance.now();
  while (performance.now() - begin < 1000 * warmUp) await run();
}
