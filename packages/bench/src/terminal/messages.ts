// Why something was not timed: one line for each contender and reason.
import { groupBy, shapeText } from '@batchnorm/reporting';
import type { Missing } from '../runners/participants.js';
import type { Untimed } from '../timing/measure.js';

const words: Readonly<Record<Untimed['status'], string>> = {
  skipped: 'skipped',
  wrong: 'WRONG, so it is not timed',
  failed: 'FAILED',
};

export function untimedLines(untimed: readonly (Missing | Untimed)[]): string[] {
  const lines = groupBy(untimed, (one) => `${nameOf(one)} ${words[one.status]}: ${one.reason}`);
  return [...lines].map(([line, all]) => {
    const places = new Set(all.flatMap((one) => ('setting' in one ? placeOf(one) : [])));
    return places.size === 0 ? line : `${line} (${[...places].join(', ')})`;
  });
}

function placeOf({ operation, setting: { shape, dtype } }: Untimed): string {
  return `${operation ? `${operation} ` : ''}${shapeText(shape)} ${dtype}`;
}

function nameOf({ participant }: Missing | Untimed): string {
  const chromium = 'runner' in participant && participant.runner.platform === 'chromium';
  return chromium ? `${participant.name}@chromium` : participant.name;
}
