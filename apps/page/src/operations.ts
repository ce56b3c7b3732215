// What is timed and recommended: the operations, by the names that they have everywhere in this project, and shapes.

export const operations = ['forward-training', 'forward-inference', 'backward', 'training-step'] as const;

export type Operation = (typeof operations)[number];

/** Sizes of an activation, channels on axis 1. */
export type Shape = readonly number[];

/** '32×64×28×28', which is also how a shape is told from another. */
export function shapeText(shape: Shape): string {
  return shape.join('×');
}
