// The visit that is shown, and how what happens becomes part of it.
import type { BackendName } from '../backends.js';
import type { Choice } from '../recommend/choice.js';
import type { Shape } from '../shape.js';
import type { Settings } from './settings.js';
import { Store } from './store.js';
import { type BackendFindings, newVisit, type Progress, type Stage, type Visit } from './visit.js';
import { WorkerFailure } from './worker-client.js';

export class VisitStore extends Store<Visit> {
  constructor(settings: Settings) {
    super(newVisit(settings));
  }

  /** Begins anew, with other settings or the same. */
  reset(settings: Settings, state: Visit['state'] = 'ready'): void {
    const date = state === 'ready' ? '' : new Date().toISOString();
    this.update(({ choice }) => ({ ...newVisit(settings, choice), state, date }));
    this.show();
  }

  end(state: 'done' | 'stopped'): void {
    this.update((visit) => ({ ...visit, state, progress: null }));
    this.show();
  }

  /** What the visitor wants to know the answer for. */
  choose(choice: Choice): void {
    this.update((visit) => ({ ...visit, choice }));
    this.show();
  }

  progress(progress: Progress): void {
    this.update((visit) => ({ ...visit, progress }));
  }

  /** Changes what is known of one backend. */
  find(name: BackendName, change: (findings: BackendFindings) => Partial<BackendFindings>): void {
    this.update((visit) => ({
      ...visit,
      backends: visit.backends.map((one) => (one.name === name ? { ...one, ...change(one) } : one)),
    }));
  }

  /** Notes why a backend is out, or out of this stage. Errors: whatever is no failure of a worker, such as an abort. */
  trouble(name: BackendName, stage: Stage, error: unknown, shape?: Shape): void {
    if (!(error instanceof WorkerFailure)) throw error;
    const { code, message } = error;
    this.find(name, ({ troubles }) => ({ troubles: [...troubles, { stage, code, message, ...(shape && { shape }) }] }));
  }
}
