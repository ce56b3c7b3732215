// What the layer keeps of a forward for its backward: its inputs, leased kernels, and the saved forward of the backend.
import type { Activation } from './activation.js';
import type { Memory, Saved } from './backend.js';
import type { LentInput } from './lent-input.js';
import type { StagedOperations } from './operations.js';

/** The half of the operations that a backward needs. */
export type BackwardOperations = Pick<StagedOperations<Memory>, 'backwardTraining' | 'backwardInference'>;

export class ForwardRecord {
  readonly x: LentInput;
  readonly residual: Activation | undefined;
  /** The same, where the backward needs it as it was. */
  readonly lentResidual: LentInput | undefined;
  readonly operations: BackwardOperations;
  readonly saved: Saved;
  readonly usesBatchStatistics: boolean;
  /** Which of the forwards that ranks did together it was, from 1 on; 0: none of these. */
  together = 0;
  readonly #releaseKernels: () => void;
  #released = false;

  constructor(
    x: LentInput,
    residual: Activation | undefined,
    lentResidual: LentInput | undefined,
    operations: BackwardOperations,
    saved: Saved,
    usesBatchStatistics: boolean,
    releaseKernels: () => void,
  ) {
    this.x = x;
    this.residual = residual;
    this.lentResidual = lentResidual;
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
