// Shapes that are timed, and how they are told from one another.

/** Sizes of an activation, channels on axis 1. */
export type Shape = readonly number[];

/** '32×64×28×28' */
export function shapeText(shape: Shape): string {
  return shape.join('×');
}
