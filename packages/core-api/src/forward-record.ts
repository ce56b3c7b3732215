// What a forward leaves for its backward: its x, what differentiates it, and what was saved, until it is released.
import type { Memory, Operations, Saved } from './backend.js';
import type { LentInput } from './lent-input.js';

/** The half of the operations that a backward needs. */
export type BackwardOperations = Pick<Operations<Memory>, 'backwardTraining' | 'backwardInference'>;

export class ForwardRecord {
  readonly input: LentInput;
  readonly operations: BackwardOperations;
  readonly saved: Saved;
  readonly usesBatchStatistics: boolean;
  readonly #releaseKernels: () => void;
  #released = false;

  constructor(
    input: LentInput,
    operations: BackwardOperations,
    saved: Saved,
    usesBatchStatistics: boolean,
    releaseKernels: () => void,
  ) {
    this.input = input;
    this.operations = operations;
    this.saved = saved;
    this.usesBatchStatistics = usesBatchStatistics;
    this.#releaseKernels = releaseKernels;
  }

  /** Again is allowed and does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.saved.dispose();
    this.#releaseKernels();
  }
}
