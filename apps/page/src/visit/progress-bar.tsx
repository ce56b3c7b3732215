// How far a visit is. The bar moves with every case; what is read aloud changes with every backend or shape only.
import type { Settings } from './settings.js';
import type { Progress, Stage, Visit } from './visit.js';

const titles: Readonly<Record<Stage, string>> = {
  availability: 'What is here',
  conformance: 'Checking',
  speed: 'Timing',
};

interface Properties {
  readonly state: Visit['state'];
  readonly progress: Progress | null;
  readonly settings: Settings;
}

export function ProgressBar({ state, progress, settings }: Properties) {
  return (
    <div class="progress" data-state={state}>
      <p role="status" aria-live="polite">
        {announcement(state, progress, settings)}
      </p>
      {progress && (
        <p class="quiet numbers" aria-hidden="true">
          {progress.done} of {progress.total || '…'}
        </p>
      )}
      <progress aria-label="Progress of this stage" max={progress?.total || 1} value={barValue(state, progress)} />
    </div>
  );
}

function barValue(state: Visit['state'], progress: Progress | null): number {
  return progress ? progress.done : state === 'done' ? 1 : 0;
}

function announcement(state: Visit['state'], progress: Progress | null, settings: Settings): string {
  if (state === 'done') return 'Done.';
  if (state === 'stopped') return 'Stopped. What had been found is below.';
  if (progress === null)
    return state === 'running' ? 'Starting.' : 'Takes some minutes with every backend; the page stays usable.';
  const stages: Stage[] = [
    'availability',
    ...(settings.kit ? (['conformance'] as const) : []),
    ...(settings.shapes.length > 0 ? (['speed'] as const) : []),
  ];
  return `Step ${stages.indexOf(progress.stage) + 1} of ${stages.length}. ${titles[progress.stage]}: ${progress.on}`;
}
