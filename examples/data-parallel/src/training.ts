// What every job trains: a small network, by as many ranks as there are, on the same minibatches.

export interface TrainingResult {
  readonly ranks: number;
  /** The mean loss of each step's minibatch, over all ranks. */
  readonly losses: readonly number[];
  /** Milliseconds of each step. */
  readonly times: readonly number[];
  /** Of rank 0, per step. */
  readonly gathers: number;
  readonly bytes: number;
  /** Whether all ranks ended with the same parameters and statistics, to the bit. */
  readonly same: boolean;
  /** Of the network, on digits that it has not learned from. */
  readonly accuracy: number;
}

export const sizes: readonly number[] = [64, 100, 100, 100, 10];
export const minibatch = 60;
export const learningRate = 1;
export const seed = 2015;
