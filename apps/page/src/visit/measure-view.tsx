// The first view: one button, the answer beside it, and below what it rests on.
import { useState } from 'preact/hooks';
import { BenchSection } from '../bench/bench-section.js';
import { DeviceSection } from '../device/device-section.js';
import { KitSection } from '../kit/kit-section.js';
import { links } from '../links.js';
import { Answer } from '../recommend/answer.js';
import type { Choice } from '../recommend/choice.js';
import { recommend } from '../recommend/recommend.js';
import { ReportButtons } from '../report/report-buttons.js';
import { ProgressBar } from './progress-bar.js';
import { runVisit } from './run-visit.js';
import { type Settings, writeSettings } from './settings.js';
import { SettingsForm } from './settings-form.js';
import { useStore } from './store.js';
import type { VisitStore } from './visit-store.js';

/** Outlives the view: a visit goes on while the other view is looked at. */
let controller = new AbortController();

interface Properties {
  readonly store: VisitStore;
  /** What the address says and the page does not know. */
  readonly problems: readonly string[];
}

export function MeasureView({ store, problems }: Properties) {
  const visit = useStore(store);
  const { settings, state, choice } = visit;
  const [unread, setUnread] = useState(problems);

  const start = () => {
    controller = new AbortController();
    void runVisit(store, controller.signal);
  };
  const onSettings = (changed: Settings) => {
    setUnread([]);
    history.replaceState(null, '', `${location.pathname}${writeSettings(changed)}${location.hash}`);
    store.reset(changed);
  };
  const onChoice = (chosen: Choice) => store.choose(chosen);

  const running = state === 'running';
  const nothingChosen = settings.backends.length === 0;
  const [best] = choice.shape ? recommend(visit, choice.shape, choice.operation).ranking : [];
  return (
    <>
      <section class="hero">
        <div>
          <h1>What runs best here?</h1>
          <p class="lead">
            Batch normalisation is a layer of neural networks. The library{' '}
            <a href={links.documentation}>
              <code>batchnorm</code>
            </a>{' '}
            can compute it in plain JavaScript, in WebAssembly or on the GPU. Find out which is fastest in this browser,
            and whether its results are right.
          </p>
          <p class="actions">
            <button
              type="button"
              class="primary"
              disabled={nothingChosen}
              aria-describedby="visit-status"
              onClick={running ? () => controller.abort(new DOMException('stopped', 'AbortError')) : start}
            >
              {running ? 'Stop' : state === 'ready' ? 'Measure this device' : 'Measure again'}
            </button>
          </p>
          {unread.length > 0 && <Unread problems={unread} />}
          <ProgressBar visit={visit} best={best?.backend} />
          <SettingsForm settings={settings} disabled={running} onChange={onSettings} />
        </div>
        <Answer visit={visit} onChoice={onChoice}>
          <ReportButtons visit={visit} />
        </Answer>
      </section>
      {state === 'ready' ? (
        <WhatHappens />
      ) : (
        <>
          <BenchSection visit={visit} onChoice={onChoice} />
          <KitSection visit={visit} />
          <DeviceSection visit={visit} />
        </>
      )}
    </>
  );
}

function WhatHappens() {
  return (
    <section aria-labelledby="steps-title">
      <h2 id="steps-title">What happens</h2>
      <ol class="steps">
        <li>
          <strong>Timing.</strong> Each way to compute the layer gets the same numbers. They take turns, several times,
          so that nothing else on this device favours one of them.
        </li>
        <li>
          <strong>Checking.</strong> Fast is not enough: results are compared with those of NumPy, PyTorch and Keras,
          and with what is known exactly. What computes wrong is out.
        </li>
        <li>
          <strong>Code.</strong> You get the lines that install and use the library, for your operation and the size of
          your data.
        </li>
      </ol>
    </section>
  );
}

function Unread({ problems }: { readonly problems: readonly string[] }) {
  return (
    <div class="unread" role="alert">
      <p>Not everything in this page's address was understood. In its place the defaults are measured.</p>
      <ul>
        {problems.map((problem) => (
          <li key={problem}>{problem}</li>
        ))}
      </ul>
    </div>
  );
}
