// The stages on host arrays that lie anywhere, tile by tile; and the operations, which copy x and dy into linear memory
// once for all of their stages. A stage by itself copies them again, because they may have changed since the one before.
import {
  allocate,
  type BackwardInput,
  type BackwardOutput,
  type CountedPositions,
  type FloatArray,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type Moments,
  type MomentsInput,
  type NormalizeInput,
  type Operations,
  type Stages,
  type Statistics,
} from '@batchnorm/core-api';
import { attempt, Made } from './attempt.js';
import { BatchMoments, useMoments } from './batch-moments.js';
import { HostArrayPasses } from './host-arrays.js';
import { assertSums, copySums, gradientBuffers } from './host-results.js';
import type { Instances } from './instance.js';
import type { SavedForward } from './saved-forward.js';
import type { Workspace } from './workspace.js';

export class TiledStages implements Stages<HostMemory>, Operations<HostMemory> {
  readonly #instances: Instances;
  readonly #workspace: Workspace;
  readonly #passes: HostArrayPasses;
  readonly #moments: BatchMoments;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(instances: Instances, workspace: Workspace) {
    const { instance, passes, plan } = workspace;
    this.#instances = instances;
    this.#workspace = workspace;
    this.#passes = new HostArrayPasses(instance.memory, passes, plan);
    this.#moments = new BatchMoments(plan.extent);
  }

  moments({ x, epsilon, mask }: MomentsInput<HostMemory>): Moments {
    this.#instances.assertUsable();
    const made = new Made();
    try {
      return this.#momentsOf(x, mask, this.#workspace.newTables(epsilon, mask, made), false);
    } finally {
      made.dispose();
    }
  }

  normalize(input: NormalizeInput<HostMemory>): ForwardOutput<HostMemory> {
    const { batch, given } = input.by;
    if (given) return this.#normalizeBy(given, input);
    this.#instances.assertUsable();
    return attempt((made) => {
      const { x, residual } = input;
      const saved = this.#workspace.newSaved(input, made);
      useMoments(saved, batch, input, this.#workspace.plan.extent);
      const y = input.y ?? this.#newLike(x);
      this.#passes.copyAndNormalize(saved, x, residual, y);
      return { y, saved };
    });
  }

  gradientSums({ saved, dy }: GradientSumsInput<HostMemory>): GradientSums {
    this.#instances.assertUsable();
    this.#passes.gradientSums(saved as SavedForward, dy);
    return this.#passes.sums.copy();
  }

  inputGradient(input: InputGradientInput<HostMemory>): BackwardOutput<HostMemory> {
    this.#instances.assertUsable();
    const { dy, sums, total } = input;
    const saved = input.saved as SavedForward;
    const buffers = gradientBuffers(this.#workspace.plan, saved, input);
    if (total) {
      this.#passes.bindTotal(saved, total);
      if (!this.#passes.gradientCoefficients()) assertSums(this.#workspace.plan, sums ?? total, saved, dy);
      this.#passes.copiedInputGradient(saved, dy, buffers);
    } else this.#passes.scaledGradient(saved, dy, buffers);
    if (sums) copySums(sums, buffers);
    return buffers;
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#instances.assertUsable();
    return attempt((made) => {
      const { x, residual, mask, requireFinite } = input;
      const saved = this.#workspace.newSaved(input, made);
      const moments = this.#momentsOf(x, mask, saved, requireFinite);
      const y = input.y ?? this.#newLike(x);
      this.#passes.normalize(saved, residual, y);
      return { y, saved, moments };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    return this.#normalizeBy(input, input);
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, buffers) => {
      this.#passes.bringX(saved);
      this.#passes.gradientSums(saved, input.dy);
      if (!this.#passes.gradientCoefficients())
        assertSums(this.#workspace.plan, this.#passes.gradients, saved, input.dy);
      this.#passes.inputGradient(saved, buffers);
    });
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, buffers) => {
      if (input.parameterGradients === false) this.#passes.scaledGradient(saved, input.dy, buffers);
      else this.#passes.backwardInference(saved, input.dy, buffers);
    });
  }

  dispose(): void {
    this.#passes.dispose();
    this.#workspace.dispose();
  }

  /** The moments of x, which go into `tables` with a copy of x. Errors: `NON_FINITE_STATISTICS`. */
  #momentsOf(x: FloatArray, mask: CountedPositions | undefined, tables: SavedForward, requireFinite: boolean): Moments {
    this.#passes.moments(tables, x, mask);
    return this.#moments.checked(tables, x, mask, requireFinite);
  }

  #normalizeBy({ mean, variance }: Statistics, input: ForwardInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#instances.assertUsable();
    return attempt((made) => {
      const saved = this.#workspace.newSaved(input, made);
      saved.mean = mean;
      saved.variance = variance;
      const y = input.y ?? this.#newLike(input.x);
      this.#passes.forwardInference(saved, input.x, input.residual, y);
      return { y, saved };
    });
  }

  #backward(
    input: BackwardInput<HostMemory>,
    compute: (saved: SavedForward, buffers: BackwardOutput<HostMemory>) => void,
  ): BackwardOutput<HostMemory> {
    this.#instances.assertUsable();
    const saved = input.saved as SavedForward;
    const buffers = gradientBuffers(this.#workspace.plan, saved, input);
    compute(saved, buffers);
    copySums(this.#passes.gradients, buffers);
    return buffers;
  }

  #newLike({ length }: FloatArray): FloatArray {
    return allocate(this.#workspace.plan.dtype, length);
  }
}
