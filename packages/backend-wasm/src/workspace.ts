// What the operations of one plan work with in one linear memory: passes, and saved forwards to be used again.
import {
  type CountedPositions,
  type ForwardInput,
  type Memory,
  type MomentsInput,
  type Plan,
  valuesPerChannel,
} from '@batchnorm/core-api';
import type { Made } from './attempt.js';
import type { Instance } from './instance.js';
import { Passes } from './passes.js';
import { SavedForward } from './saved-forward.js';

export class Workspace {
  readonly instance: Instance;
  readonly plan: Plan;
  /** Of an activation. */
  readonly elements: number;
  readonly passes: Passes;
  /** Saved forwards that nobody holds: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];
  #disposed = false;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(instance: Instance, plan: Plan) {
    this.instance = instance;
    this.plan = plan;
    const { outer, channels, inner } = plan.extent;
    this.elements = outer * channels * inner;
    this.passes = new Passes(instance, plan);
  }

  /**
   * A saved forward with copies of the parameters and of the mask, and a gate if there is ReLU; the next calls have its
   * epsilon. Errors: `LIMIT_EXCEEDED`.
   */
  newSaved(
    { gamma, beta, epsilon, residual, mask }: ForwardInput<Memory> & Pick<MomentsInput<Memory>, 'mask'>,
    made: Made,
  ): SavedForward {
    const saved = this.newTables(epsilon, mask, made);
    saved.gamma = gamma;
    saved.beta = beta;
    saved.hasResidual = residual !== undefined;
    saved.keepGate(this.passes.tiling.gateBytes);
    return saved;
  }

  /** The same without parameters and gate, for the moments of one batch. Errors: `LIMIT_EXCEEDED`. */
  newTables(epsilon: number, mask: CountedPositions | undefined, made: Made): SavedForward {
    const tables = made.keep(this.#takeTables());
    tables.M = valuesPerChannel(this.plan.extent);
    tables.keepMask(mask);
    this.passes.job.epsilon = epsilon;
    return tables;
  }

  #takeTables(): SavedForward {
    return (
      this.#free.pop() ?? new SavedForward(this.instance.memory, this.plan.extent, (unheld) => this.#recycle(unheld))
    );
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const saved of this.#free.splice(0)) saved.free();
    this.passes.dispose();
  }

  #recycle(saved: SavedForward): void {
    if (this.#disposed) saved.free();
    else this.#free.push(saved);
  }
}
