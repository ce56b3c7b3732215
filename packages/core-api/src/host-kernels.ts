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
import {
  assertBackwardInRange,
  assertMergedMomentsInRange,
  assertMomentsInRange,
  assertScaleInRange,
} from './in-range.js';
import type { Moments } from './moments.js';
import { SavedForward } from './saved-forward.js';
import { correctSmallProducts } from './small-products.js';
import { allocate } from './tensor.js';

export class HostKernels implements Kernels {
  readonly #plan: Plan;
  readonly #passes: HostPasses;
  readonly #assertUsable: () => void;
  readonly #moments: { count: number } & Moments;
  readonly #sums: GradientSums;
  /** Disposed saved forwards, for reuse: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];

  constructor(plan: Plan, passes: HostPasses, assertUsable: () => void) {
    this.#plan = plan;
    this.#passes = passes;
    const vector = () => new Float64Array(plan.extent.channels);
    this.#moments = { count: 0, mean: vector(), m2: vector() };
    this.#sums = { dgamma: vector(), dbeta: vector() };
    this.#assertUsable = assertUsable;
  }

  moments({ x, epsilon, mask }: MomentsInput<HostMemory>): Moments {
    this.#assertUsable();
    const { extent } = this.#plan;
    const moments = this.#moments;
    moments.count = mask?.count ?? valuesPerChannel(extent);
    this.#passes.moments(x, mask, moments.mean, moments.m2);
    assertMomentsInRange(moments, x, extent, epsilon, mask);
    return moments;
  }

  normalize(input: NormalizeInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#assertUsable();
    const { x, mask, gamma, epsilon, by } = input;
    // Its own have been looked at; those of several batches, merged, have not.
    if (by.batch && by.batch !== this.#moments) {
      assertMergedMomentsInRange(by.batch, x, this.#plan.extent, epsilon, mask);
    }
    const saved = this.#free.pop() ?? new SavedForward(this.#plan.extent.channels, (one) => this.#free.push(one));
    try {
      saved.keep(input);
      assertScaleInRange(saved, gamma);
      const y = input.y ?? allocate(this.#plan.dtype, x.length);
      this.#passes.normalize(saved, y);
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
    const { dtype } = this.#plan;
    if (dtype === 'float64') correctSmallProducts(this.#passes, forward, this.#plan, dy, this.#sums);
    return this.#sums;
  }

  inputGradient(input: InputGradientInput<HostMemory>): BackwardOutput<HostMemory> {
    this.#assertUsable();
    const { dy, sums, total } = input;
    const { extent, dtype } = this.#plan;
    const saved = input.saved as SavedForward;
    if (sums) assertBackwardInRange(saved, extent, dy, sums, total);
    const { dx = allocate(dtype, dy.length) } = input;
    const dresidual = saved.residual && (input.dresidual ?? allocate(dtype, dy.length));
    const { dgamma = new Float64Array(extent.channels), dbeta = new Float64Array(extent.channels) } = input;
    if (sums) {
      dgamma.set(sums.dgamma);
      dbeta.set(sums.dbeta);
    }
    this.#passes.inputGradient(saved, dy, total, dx, dresidual);
    return { dx, dresidual, dgamma, dbeta };
  }

  dispose(): void {
    this.#free.length = 0;
  }
}
