// What is timed: shapes of activations, and where they lie.
import type { SelectOptions } from '@batchnorm/select';

/** Sizes of an activation, channels on axis 1. */
export type Shape = readonly number[];

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((size, axis) => size === b[axis]);

/** Where x, dy and results lie: in arrays of the program, or in memory of the backend, as with `layer.empty`. */
export type Memory = NonNullable<SelectOptions['memory']>;
