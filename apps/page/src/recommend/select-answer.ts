// What the page says of a selection: what a program would choose, and whether its data should lie elsewhere.
import { timeText } from '@batchnorm/reporting';
import type { SelectionReport } from '@batchnorm/select';
import type { BackendName } from '../backends.js';
import type { Shape } from '../shape.js';

interface Asked {
  readonly best: BackendName;
  readonly shape: Shape;
}

/** From so many times as fast on, to have x in memory of the backend is worth a line of code. */
const worthwhile = 1.15;

export function answerText({ chosen, candidates }: SelectionReport, { best, shape }: Asked, seconds: number): string {
  const { milliseconds, allocatedMilliseconds } = candidates.find(({ name }) => name === chosen)!;
  // Nothing is timed where there is nothing to choose.
  const time = milliseconds === null ? 'the only one that works' : `${timeText(milliseconds / 1000)} a call`;
  const found = `${time}, found in ${timeText(seconds)} with loading`;
  const taken = chosen === best ? `takes ${chosen}, too: ${found}` : `takes ${chosen}: ${found}`;
  const ratio = milliseconds === null || allocatedMilliseconds === null ? 0 : milliseconds / allocatedMilliseconds;
  if (ratio < worthwhile) return taken;
  return `${taken}. ${ratio.toFixed(1)} times as fast where x.data lies in its memory: x = layer.empty([${shape}])`;
}
