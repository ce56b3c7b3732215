// What a clock is.
import type { MaybePromise } from '@batchnorm/core-api';

/** Times calls of `run` in samples of at least `seconds` each. Seconds per call of each sample. Errors: those of `run`. */
export type Clock = (name: string, run: () => MaybePromise<void>, seconds: number) => Promise<readonly number[]>;
