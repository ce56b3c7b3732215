// The four operations, as passes over an extent.
import {
  allocate,
  assertFiniteStatistics,
  type BackwardInput,
  type BackwardOutput,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type HostMemory,
  type Kernels,
  type Plan,
} from '@batchnorm/core-api';
import { Passes } from './passes.js';
import { SavedForward } from './saved-forward.js';

export class JsKernels implements Kernels {
  readonly #plan: Plan;
  readonly #passes: Passes;
  readonly #assertUsable: () => void;
  /** Saved forwards that were disposed: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];

  constructor(plan: Plan, assertUsable: () => void) {
    this.#plan = plan;
    this.#passes = new Passes(plan);
    this.#assertUsable = assertUsable;
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#assertUsable();
    const statistics = this.#free.pop() ?? this.#newSaved();
    this.#passes.statistics(input.x, statistics);
    if (input.requireFinite) this.#assertFinite(statistics);
    const { y, saved } = this.#normalize(input, statistics);
    return { y, saved, statistics };
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#assertUsable();
    const statistics = this.#free.pop() ?? this.#newSaved();
    statistics.mean.set(input.mean);
    statistics.variance.set(input.variance);
    return this.#normalize(input, statistics);
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    const output = this.#parameterGradients(input);
    const { dx, dgamma, dbeta } = output;
    this.#passes.inputGradient(input.saved as SavedForward, input.dy, dgamma, dbeta, dx);
    return output;
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    const output = this.#parameterGradients(input);
    this.#passes.scaledGradient(input.saved as SavedForward, input.dy, output.dx);
    return output;
  }

  dispose(): void {
    this.#free.length = 0;
  }

  /** y = (x − mean) · scale + beta, with the statistics in `saved`. */
  #normalize(input: ForwardInput<HostMemory>, saved: SavedForward): ForwardOutput<HostMemory> {
    const { x, gamma, beta, epsilon } = input;
    saved.keep(x, gamma, epsilon);
    const y = input.y ?? allocate(this.#plan.dtype, x.length);
    this.#passes.normalize(saved, beta, y);
    return { y, saved };
  }

  #parameterGradients(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    this.#assertUsable();
    const { extent, dtype } = this.#plan;
    const dgamma = input.dgamma ?? new Float64Array(extent.channels);
    const dbeta = input.dbeta ?? new Float64Array(extent.channels);
    const dx = input.dx ?? allocate(dtype, input.dy.length);
    this.#passes.parameterGradients(input.saved as SavedForward, input.dy, dgamma, dbeta);
    return { dx, dgamma, dbeta };
  }

  #assertFinite(statistics: SavedForward): void {
    try {
      assertFiniteStatistics(statistics);
    } catch (error) {
      statistics.dispose();
      throw error;
    }
  }

  #newSaved(): SavedForward {
    return new SavedForward(this.#plan.extent.channels, (saved) => this.#free.push(saved));
  }
}
