// The stages on host arrays, made of passes over an activation.
import type {
  BackwardOutput,
  ForwardOutput,
  GradientSums,
  GradientSumsInput,
  HostMemory,
  InputGradientInput,
  Kernels,
  MomentsInput,
  NormalizeInput,
  Plan,
} from './backend.js';
import { valuesPerChannel } from './extent.js';
import type { HostPasses } from './host-passes.js';
import { assertBackwardInRange, assertMomentsInRange, assertScaleInRange } from './in-range.js';
import type { Moments } from './moments.js';
import { SavedForward } from './saved-forward.js';
import { correctSmallProducts } from './small-products.js';
import { allocate } from './tensor.js';

export class HostKernels implements Kernels {
  readonly #plan: Plan;
  readonly #passes: HostPasses;
  readonly #assertUsable: () => void;
  /** [C] */
  readonly #zeros: Float64Array;
  readonly #moments: Moments;
  readonly #sums: GradientSums;
  /** Disposed saved forwards, for reuse: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];

  constructor(plan: Plan, passes: HostPasses, assertUsable: () => void) {
    this.#plan = plan;
    this.#passes = passes;
    const vector = () => new Float64Array(plan.extent.channels);
    this.#zeros = vector();
    this.#moments = { count: valuesPerChannel(plan.extent), mean: vector(), m2: vector() };
    this.#sums = { dgamma: vector(), dbeta: vector() };
    this.#assertUsable = assertUsable;
  }

  moments({ x, epsilon }: MomentsInput<HostMemory>): Moments {
    this.#assertUsable();
    this.#passes.moments(x, this.#moments.mean, this.#moments.m2);
    assertMomentsInRange(this.#moments, x, this.#plan.extent, epsilon);
    return this.#moments;
  }

  normalize(input: NormalizeInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#assertUsable();
    const { x, gamma, beta, epsilon, by } = input;
    // Its own have been looked at; those of several batches, merged, have not.
    if (by.batch && by.batch !== this.#moments) assertMomentsInRange(by.batch, x, this.#plan.extent, epsilon);
    const saved = this.#free.pop() ?? new SavedForward(this.#plan.extent.channels, (one) => this.#free.push(one));
    try {
      saved.keep(input);
      assertScaleInRange(saved, gamma);
      const y = input.y ?? allocate(this.#plan.dtype, x.length);
      this.#passes.normalize(saved, beta, y);
      return { y, saved };
    } catch (error) {
      saved.dispose();
      throw error;
    }
  }

  gradientSums({ saved, dy }: GradientSumsInput<HostMemory>): GradientSums {
    this.#assertUsable();
    const { dgamma, dbeta } = this.#sums;
    const forward = saved as SavedForward;
    this.#passes.gradientSums(forward, dy, dgamma, dbeta);
    // Products of float32 numbers are never too small for float64.
    const { extent, dtype } = this.#plan;
    if (dtype === 'float64') correctSmallProducts(this.#passes, forward, extent, dy, this.#sums);
    return this.#sums;
  }

  inputGradient(input: InputGradientInput<HostMemory>): BackwardOutput<HostMemory> {
    this.#assertUsable();
    const { dy, sums, total } = input;
    const { extent, dtype } = this.#plan;
    const saved = input.saved as SavedForward;
    if (sums) assertBackwardInRange(saved, extent, dy, sums, total);
    const { dx = allocate(dtype, dy.length) } = input;
    const { dgamma = new Float64Array(extent.channels), dbeta = new Float64Array(extent.channels) } = input;
    if (sums) {
      dgamma.set(sums.dgamma);
      dbeta.set(sums.dbeta);
    }
    if (total) this.#passes.inputGradient(saved, dy, total.dgamma, total.dbeta, dx);
    // dx = scale · dy = (dy − 0) · scale + 0
    else this.#passes.normalize({ x: dy, mean: this.#zeros, scale: saved.scale }, this.#zeros, dx);
    return { dx, dgamma, dbeta };
  }

  dispose(): void {
    this.#free.length = 0;
  }
}
