// Why something was not timed: one line for each contender and reason.
import { shapeText } from '@batchnorm/reporting';
import type { Missing } from '../runners/participants.js';
import type { Untimed } from '../timing/measure.js';

const words: Readonly<Record<Untimed['status'], string>> = {
  skipped: 'skipped',
  wrong: 'WRONG, so it is not timed',
  failed: 'FAILED',
};

export function untimedLines(untimed: readonly (Missing | Untimed)[]): string[] {
  const placesOf = new Map<string, Set<string>>();
  for (const one of untimed) {
    const line = `${nameOf(one)} ${words[one.status]}: ${one.reason}`;
    const places = placesOf.get(line) ?? new Set<string>();
    if ('setting' in one) {
      places.add(`${one.operation ? `${one.operation} ` : ''}${shapeText(one.setting.shape)} ${one.setting.dtype}`);
    }
    placesOf.set(line, places);
  }
  return [...placesOf].map(([line, places]) => (places.size === 0 ? line : `${line} (${[...places].join(', ')})`));
}

function nameOf({ participant }: Missing | Untimed): string {
  const chromium = 'runner' in participant && participant.runner.platform === 'chromium';
  return chromium ? `${participant.name}@chromium` : participant.name;
}
