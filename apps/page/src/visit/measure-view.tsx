// The first view: one button, the answer beside it, and below what it rests on.
import { useState } from 'preact/hooks';
import { BenchSection } from '../bench/bench-section.js';
import { DeviceSection } from '../device/device-section.js';
import { KitSection } from '../kit/kit-section.js';
import { Answer } from '../recommend/answer.js';
import { type Choice, choiceAmong } from '../recommend/choice.js';
import { ReportButtons } from '../report/report-buttons.js';
import { ProgressBar } from './progress-bar.js';
import { runVisit } from './run-visit.js';
import { type Settings, writeSettings } from './settings.js';
import { SettingsForm } from './settings-form.js';
import { useStore } from './store.js';
import type { VisitStore } from './visit-store.js';

/** Outlives the view: a visit goes on while the other view is looked at. */
let controller = new AbortController();

export function MeasureView({ store }: { readonly store: VisitStore }) {
  const visit = useStore(store);
  const { settings, state, progress } = visit;
  const [wanted, setWanted] = useState<Partial<Choice>>({});
  const choice = choiceAmong(settings.shapes, wanted);

  const start = () => {
    controller = new AbortController();
    void runVisit(store, controller.signal);
  };
  const onSettings = (changed: Settings) => {
    history.replaceState(null, '', `${location.pathname}${writeSettings(changed)}${location.hash}`);
    store.reset(changed);
  };

  const running = state === 'running';
  return (
    <>
      <section class="hero">
        <div>
          <h1>What runs best here?</h1>
          <p class="lead">
            Batch normalisation on this device: every backend checked against NumPy and PyTorch, timed side by side, and
            the one to use.
          </p>
          <p class="actions">
            <button
              type="button"
              class="primary"
              disabled={settings.backends.length === 0}
              onClick={running ? () => controller.abort(new DOMException('stopped', 'AbortError')) : start}
            >
              {running ? 'Stop' : state === 'ready' ? 'Measure this device' : 'Measure again'}
            </button>
          </p>
          <ProgressBar state={state} progress={progress} settings={settings} />
          <SettingsForm settings={settings} disabled={running} onChange={onSettings} />
        </div>
        <Answer visit={visit} choice={choice} onChoice={setWanted}>
          <ReportButtons visit={visit} choice={choice} />
        </Answer>
      </section>
      <DeviceSection visit={visit} />
      <KitSection visit={visit} />
      <BenchSection visit={visit} choice={choice} onChoice={setWanted} />
    </>
  );
}
