// The four operations on host arrays, made of passes over an activation.
import type {
  BackwardInput,
  BackwardOutput,
  ForwardInferenceInput,
  ForwardInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  HostMemory,
  Kernels,
  Plan,
  Statistics,
} from './backend.js';
import { assertBackwardInRange, assertForwardInRange } from './in-range.js';
import { assertFiniteStatistics } from './running-statistics.js';
import { SavedForward } from './saved-forward.js';
import { allocate, type FloatArray } from './tensor.js';

/**
 * The arithmetic of a backend in host memory, for one extent and dtype. Each pass goes through a whole activation. It
 * writes every element of its results, which are its last arguments, and nothing else. Vectors are [C].
 * invStd = 1/√(variance + epsilon), scale = gamma · invStd.
 */
export interface HostPasses {
  /** Batch mean and population variance. */
  statistics(x: FloatArray, result: Statistics): void;
  /** y = (x − mean) · scale + beta. `y` may be `x` itself. */
  normalize(forward: Pick<Forward, 'x' | 'mean' | 'scale'>, beta: Float64Array, y: FloatArray): void;
  /** dgamma = Σ dy · xHat and dbeta = Σ dy, where xHat = (x − mean) · invStd. */
  parameterGradients(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array): void;
  /** dx = scale · (dy − dbeta/M − xHat · dgamma/M). `dx` may be `dy` itself. */
  inputGradient(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array, dx: FloatArray): void;
}

/** What a pass of a backward gets of its forward. */
export type Forward = Readonly<Pick<SavedForward, 'x' | 'mean' | 'invStd' | 'scale'>>;

export class HostKernels implements Kernels {
  readonly #plan: Plan;
  readonly #passes: HostPasses;
  readonly #assertUsable: () => void;
  /** [C] */
  readonly #zeros: Float64Array;
  /** Where sums are kept until they are known to be finite: a backward that fails writes nothing. */
  readonly #sums: Pick<BackwardOutput<HostMemory>, 'dgamma' | 'dbeta'>;
  /** Disposed saved forwards, for reuse: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];

  constructor(plan: Plan, passes: HostPasses, assertUsable: () => void) {
    this.#plan = plan;
    this.#passes = passes;
    const vector = () => new Float64Array(plan.extent.channels);
    this.#zeros = vector();
    this.#sums = { dgamma: vector(), dbeta: vector() };
    this.#assertUsable = assertUsable;
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#assertUsable();
    const statistics = this.#newSaved();
    try {
      this.#passes.statistics(input.x, statistics);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      return { y: this.#normalize(input, statistics, true), saved: statistics, statistics };
    } catch (error) {
      statistics.dispose();
      throw error;
    }
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#assertUsable();
    const saved = this.#newSaved();
    try {
      saved.mean.set(input.mean);
      saved.variance.set(input.variance);
      return { y: this.#normalize(input, saved, false), saved };
    } catch (error) {
      saved.dispose();
      throw error;
    }
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    const output = this.#parameterGradients(input, true);
    const { dx, dgamma, dbeta } = output;
    this.#passes.inputGradient(input.saved as SavedForward, input.dy, dgamma, dbeta, dx);
    return output;
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    const output = input.parameterGradients ? this.#parameterGradients(input, false) : this.#outputs(input);
    // dx = scale · dy = (dy − 0) · scale + 0
    const { scale } = input.saved as SavedForward;
    this.#passes.normalize({ x: input.dy, mean: this.#zeros, scale }, this.#zeros, output.dx);
    return output;
  }

  dispose(): void {
    this.#free.length = 0;
  }

  /** y = (x − mean) · scale + beta, with the statistics in `saved`: of the batch, or given ones. */
  #normalize(input: ForwardInput<HostMemory>, saved: SavedForward, isOfBatch: boolean): FloatArray {
    const { x, gamma, beta, epsilon } = input;
    saved.keep(x, gamma, epsilon);
    assertForwardInRange(saved, this.#plan.extent, input, isOfBatch);
    const y = input.y ?? allocate(this.#plan.dtype, x.length);
    this.#passes.normalize(saved, beta, y);
    return y;
  }

  /** Outputs of which dgamma and dbeta have been written, and dx has not. Errors: those of `assertBackwardInRange`. */
  #parameterGradients(input: BackwardInput<HostMemory>, throughStatistics: boolean): BackwardOutput<HostMemory> {
    const output = this.#outputs(input);
    const { dgamma, dbeta } = this.#sums;
    const { dy } = input;
    const saved = input.saved as SavedForward;
    this.#passes.parameterGradients(saved, dy, dgamma, dbeta);
    assertBackwardInRange(saved, this.#plan.extent, { dy, dgamma, dbeta }, throughStatistics);
    output.dgamma.set(dgamma);
    output.dbeta.set(dbeta);
    return output;
  }

  /** The buffers that were given, or new ones. */
  #outputs({ dx, dy, dgamma, dbeta }: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    this.#assertUsable();
    const { extent, dtype } = this.#plan;
    return {
      dx: dx ?? allocate(dtype, dy.length),
      dgamma: dgamma ?? new Float64Array(extent.channels),
      dbeta: dbeta ?? new Float64Array(extent.channels),
    };
  }

  /** A saved forward, which whoever called this disposes if the forward fails. */
  #newSaved(): SavedForward {
    return this.#free.pop() ?? new SavedForward(this.#plan.extent.channels, (saved) => this.#free.push(saved));
  }
}
