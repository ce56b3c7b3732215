// The passes over an activation that a backend in host memory is made of.
import type { SavedForward } from './saved-forward.js';
import type { FloatArray } from './tensor.js';

/**
 * The arithmetic of a backend in host memory, for one extent and dtype. Each pass goes through a whole activation. It
 * writes every element of its results, which are its last arguments, and nothing else. Vectors are [C].
 * invStd = 1/√(variance + epsilon), scale = gamma · invStd, and M values were normalised together.
 */
export interface HostPasses {
  /** mean, and m2 = Σ (x − mean)² */
  moments(x: FloatArray, mean: Float64Array, m2: Float64Array): void;
  /** y = (x − mean) · scale + beta. `y` may be `x` itself. */
  normalize(forward: Pick<Forward, 'x' | 'mean' | 'scale'>, beta: Float64Array, y: FloatArray): void;
  /** dgamma = Σ dy · xHat and dbeta = Σ dy, where xHat = (x − mean) · invStd. */
  gradientSums(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array): void;
  /** dx = scale · (dy − dbeta/M − xHat · dgamma/M). `dx` may be `dy` itself. */
  inputGradient(forward: Forward, dy: FloatArray, dgamma: Float64Array, dbeta: Float64Array, dx: FloatArray): void;
}

/** What a pass of a backend gets of its forward. */
export type Forward = Readonly<Pick<SavedForward, 'x' | 'M' | 'mean' | 'invStd' | 'scale'>>;
