// What the layer keeps of a forward for its backward: its inputs, leased kernels, and the saved forward of the backend.
import type { Activation } from './activation.js';
import type { Memory, Saved } from './backend.js';
import type { LentInput } from './lent-input.js';
import type { StagedOperations } from './operations.js';

/** The half of the operations that a backward needs. */
export type BackwardOperations = Pick<StagedOperations<Memory>, 'backwardTraining' | 'backwardInference'>;

/** What was given to a forward, and what of it its backward will read again. */
export interface ForwardInputs {
  readonly x: Activation;
  readonly residual: Activation | undefined;
  readonly lent: readonly LentInput[];
}

export class ForwardRecord {
  readonly inputs: ForwardInputs;
  readonly operations: BackwardOperations;
  readonly saved: Saved;
  readonly usesBatchStatistics: boolean;
  readonly #releaseKernels: () => void;
  #released = false;

  constructor(
    inputs: ForwardInputs,
    operations: BackwardOperations,
    saved: Saved,
    usesBatchStatistics: boolean,
    releaseKernels: () => void,
  ) {
    this.inputs = inputs;
    this.operations = operations;
    this.saved = saved;
    this.usesBatchStatistics = usesBatchStatistics;
    this.#releaseKernels = releaseKernels;
  }

  /** Disposes the saved forward and ends the lease of the kernels. May be called again, and then does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.saved.dispose();
    this.#releaseKernels();
  }
}
