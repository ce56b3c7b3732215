// What is timed: shapes of activations.

/** Sizes of an activation, channels on axis 1. */
export type Shape = readonly number[];
