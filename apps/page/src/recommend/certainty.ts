// How sure the answer is, in a sentence: how often it was timed, and how far its results were checked.
import { countsOf } from '@batchnorm/conformance';
import type { Visit } from '../visit/visit.js';
import type { Ranked } from './recommend.js';

export interface Certainty {
  /** Timed as often and checked as far as the visitor asked for. */
  readonly sure: boolean;
  readonly text: string;
}

export function certaintyOf({ state, settings, backends }: Visit, { backend, rounds, checked }: Ranked): Certainty {
  const sure = rounds >= settings.rounds && (checked || settings.kit === 'off');
  const times = rounds === 1 ? 'once' : `${rounds} times`;
  const { passed } = countsOf(backends.find(({ name }) => name === backend)!.results);
  const right = checked
    ? `right in all ${passed} checks`
    : passed > 0
      ? `right in ${passed} checks`
      : 'its result was right';
  const what = `timed ${times}, ${right}`;
  if (sure) return { sure, text: `${capital(what)}.` };
  if (state === 'running') return { sure, text: `So far: ${what}. Still measuring.` };
  return { sure, text: `Stopped early: ${what}.` };
}

const capital = (text: string) => text[0]!.toUpperCase() + text.slice(1);
