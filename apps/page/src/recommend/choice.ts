// What the recommendation is for: the visitor's operation and shape.
import type { Operation } from '@batchnorm/select';
import { type Shape, sameShape } from '../shape.js';

export interface Choice {
  readonly operation: Operation;
  /** Undefined where nothing is timed. */
  readonly shape: Shape | undefined;
}

/** What is wanted, as far as it is among the measured shapes; else the largest, where a backend matters most. */
export function choiceAmong(shapes: readonly Shape[], { operation, shape }: Partial<Choice>): Choice {
  const same = shape && shapes.find((one) => sameShape(one, shape));
  return { operation: operation ?? 'training-step', shape: same ?? shapes.at(-1) };
}
