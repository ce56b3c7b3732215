// Behind 'relu': which elements pass, where rounding may decide it.
import type { Bound } from './bounds.js';

/** z of every element, and how far a backend's may lie from it. */
export interface Preactivation {
  readonly z: Float64Array;
  readonly bound: Bound;
}

/**
 * z as a backend has it, as far as its sign goes: exactly, but where z is within its bound of 0 as the backend's own y
 * shows it. A gradient has the gates of its y.
 */
export function shownBy(y: ArrayLike<number>, { z, bound: { tolerance, magnitude } }: Preactivation): Float64Array {
  const shown = z.slice();
  for (let k = 0; k < z.length; k++) if (Math.abs(z[k]!) <= tolerance[k]! * magnitude[k]!) shown[k] = y[k]!;
  return shown;
}
