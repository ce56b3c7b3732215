// What the page says of a selection: what a program would choose.
import { timeText } from '@batchnorm/reporting';
import type { SelectionReport } from '@batchnorm/select';
import { type BackendName, backends } from '../backends.js';

/** `best`: what the page recommends. `seconds`: what the selection took. */
export function answerText({ chosen, candidates }: SelectionReport, best: BackendName, seconds: number): string {
  const { milliseconds } = candidates.find(({ name }) => name === chosen)!;
  const { title } = backends[chosen as BackendName];
  const too = chosen === best ? ', too' : '';
  // Nothing is timed where there is nothing to choose.
  const time = milliseconds === null ? 'there was nothing to compare' : timeText(milliseconds / 1000);
  return `It chose ${title}${too}: ${time}. Loading and choosing took ${timeText(seconds)}.`;
}
