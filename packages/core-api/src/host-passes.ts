// The passes over an activation that a backend in host memory is made of.
import type { GradientSums } from './backend.js';
import type { CountedPositions } from './counted-positions.js';
import type { SavedForward } from './saved-forward.js';
import type { FloatArray } from './tensor.js';

/**
 * The arithmetic of a backend in host memory, for one plan. Each pass goes through a whole activation. It writes every
 * element of its results, which are its last arguments, and nothing else. Vectors are [C].
 * invStd = 1/√(variance + epsilon), scale = gamma · invStd, and M values were normalised together.
 *
 * z = (x − mean) · scale + beta + residual, without the last where there is none. Where the plan's activation is 'relu',
 * g is 0 where z ≤ 0; elsewhere, and without it everywhere, g is dy. The z of a gradient is, to the bit, that of its y.
 */
export interface HostPasses {
  /** mean, and m2 = Σ (x − mean)², of the values that count; without a mask: of all. */
  moments(x: FloatArray, mask: CountedPositions | undefined, mean: Float64Array, m2: Float64Array): void;
  /** y = z; behind 'relu' 0 where z ≤ 0. `y` may be `x` itself. */
  normalize(forward: Forward, y: FloatArray): void;
  /** dgamma = Σ g · xHat and dbeta = Σ g, where xHat = (x − mean) · invStd. */
  gradientSums(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array): void;
  /**
   * dx = scale · (g − dbeta/M − xHat · dgamma/M) with the sums of `total`; for values that did not count, and without
   * `total`, dx = scale · g, whatever x is. `dx` may be `dy` itself. And dresidual = g, if it is there.
   */
  inputGradient(
    forward: Forward,
    dy: FloatArray,
    total: GradientSums | null,
    dx: FloatArray,
    dresidual: FloatArray | undefined,
  ): void;
}

/** What a pass of a backend gets of its forward. */
export type Forward = Readonly<Omit<SavedForward, 'keep' | 'dispose'>>;
