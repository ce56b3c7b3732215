// How far a visit is. The bar moves with every case; what is read aloud changes with every backend or shape only.
import { percentText } from '@batchnorm/reporting';
import { type BackendName, backends } from '../backends.js';
import type { Visit } from './visit.js';

interface Properties {
  readonly visit: Visit;
  /** The fastest so far. */
  readonly best: BackendName | undefined;
}

export function ProgressBar({ visit, best }: Properties) {
  const { state, progress } = visit;
  return (
    <div class="progress" data-state={state}>
      <p id="visit-status" role="status" aria-live="polite">
        {announcement(visit, best)}
      </p>
      {progress && (
        <p class="quiet numbers" aria-hidden="true">
          {progress.total > 0 && percentText(progress.done / progress.total)}
        </p>
      )}
      <progress aria-label="Progress of this step" max={progress?.total || 1} value={barValue(visit)} />
    </div>
  );
}

function barValue({ state, progress }: Visit): number {
  return progress ? progress.done : state === 'done' ? 1 : 0;
}

function announcement({ state, progress, settings }: Visit, best: BackendName | undefined): string {
  const fastest = best ? ` Fastest so far: ${backends[best].title}.` : '';
  if (settings.backends.length === 0) return 'Choose at least one backend below.';
  if (state === 'ready') {
    return 'The first answer comes within seconds, and then becomes more certain. Stop when you have seen enough.';
  }
  if (state === 'done') return 'Done: everything is measured.';
  if (state === 'stopped') return 'Stopped. The answer rests on what was found by then.';
  if (progress === null) return 'Starting.';
  if (progress.stage === 'availability') return `Looking for ${backends[progress.on as BackendName].title}.`;
  if (progress.stage === 'speed') return `Timing ${progress.on}.${fastest}`;
  return `Checking ${backends[progress.on as BackendName].title}.${fastest}`;
}
