// The answer, from the first time that is known on: what to run here for the visitor's operation and shape, how sure
// that is, and the code that does it.
import { percentText, timeText } from '@batchnorm/reporting';
import type { Operation } from '@batchnorm/select';
import type { ComponentChildren } from 'preact';
import { backends } from '../backends.js';
import { links } from '../links.js';
import { CopyButton } from '../report/copy-button.js';
import { sameShape } from '../shape.js';
import type { Visit } from '../visit/visit.js';
import { listedOperations, operationWords, shapeWords } from '../words.js';
import { AskSelectBackend } from './ask-select-backend.js';
import { certaintyOf } from './certainty.js';
import type { Choice } from './choice.js';
import { codeFor, installFor } from './code.js';
import { overlap, ownMemoryPays, type Ranked, type Recommendation, recommend } from './recommend.js';

interface Properties {
  readonly visit: Visit;
  readonly onChoice: (choice: Choice) => void;
  readonly children: ComponentChildren;
}

export function Answer({ visit, onChoice, children }: Properties) {
  const { state, settings, choice } = visit;
  const recommendation = choice.shape ? recommend(visit, choice.shape, choice.operation) : undefined;
  const [best] = recommendation?.ranking ?? [];
  const ended = state === 'done' || state === 'stopped';
  return (
    <aside class="answer" aria-labelledby="answer-title" data-state={state} data-backend={best?.backend}>
      <h2 id="answer-title">Fastest on this device</h2>
      {settings.shapes.length > 0 && <ChoiceForm visit={visit} onChoice={onChoice} />}
      <div class="result">
        {best ? (
          <Result visit={visit} recommendation={recommendation!} best={best} />
        ) : ended && recommendation ? (
          <Nothing state={state} out={recommendation.out} />
        ) : (
          <Placeholder visit={visit} />
        )}
      </div>
      {ended && children}
    </aside>
  );
}

function ChoiceForm({ visit: { settings, choice }, onChoice }: Pick<Properties, 'visit' | 'onChoice'>) {
  return (
    <div class="choice">
      <label>
        <span>for</span>
        <select
          value={choice.operation}
          onChange={(event) => onChoice({ ...choice, operation: event.currentTarget.value as Operation })}
        >
          {listedOperations.map((operation) => (
            <option key={operation} value={operation}>
              {operationWords[operation].title}
            </option>
          ))}
        </select>
      </label>
      <label>
        <span>of</span>
        <select
          value={settings.shapes.findIndex((shape) => sameShape(shape, choice.shape!))}
          onChange={(event) => onChoice({ ...choice, shape: settings.shapes[event.currentTarget.selectedIndex] })}
        >
          {settings.shapes.map((shape, index) => (
            <option key={shape.join()} value={index}>
              {shapeWords(shape)}
            </option>
          ))}
        </select>
      </label>
    </div>
  );
}

function Placeholder({ visit: { state, settings } }: { readonly visit: Visit }) {
  const text =
    settings.shapes.length === 0
      ? 'No shape is chosen to be timed, so there is nothing to compare.'
      : state === 'running'
        ? 'Measuring. The first answer comes in a moment.'
        : 'Not measured yet. What you will find here: the fastest way to compute batch normalisation in this browser, and the code that uses it.';
  return <p class="quiet placeholder">{text}</p>;
}

function Nothing({ state, out }: { readonly state: Visit['state']; readonly out: Recommendation['out'] }) {
  return (
    <>
      <p class="name">Nothing</p>
      <p>
        {state === 'stopped'
          ? 'It was stopped before a backend was timed for this.'
          : 'None of the chosen backends can be recommended.'}
      </p>
      <Reasons out={out} open />
    </>
  );
}

interface ResultProperties {
  readonly visit: Visit;
  readonly recommendation: Recommendation;
  readonly best: Ranked;
}

function Result({ visit, recommendation, best }: ResultProperties) {
  const { ranking, shape, operation, out } = recommendation;
  const ownMemory = ownMemoryPays(best);
  const install = installFor(best.backend);
  const code = codeFor({ backend: best.backend, shape, operation, ownMemory });
  const { sure, text } = certaintyOf(visit, best);
  return (
    <>
      <p class="name">
        {backends[best.backend].title} <code class="quiet">{best.backend}</code>
      </p>
      <p>
        <strong>{timeText(best.time.median)}</strong> for {operationWords[operation].one}
        {comparison(best, ranking[1])}.
      </p>
      <p class="certainty" data-sure={sure}>
        <span class={`badge ${sure ? 'passed' : 'skipped'}`}>{sure ? '✓' : '…'}</span> {text}
      </p>
      <Code title="Install" text={install} />
      <Code title="Use" text={code} />
      <p class="small quiet">
        {ownMemory && (
          <>
            <code>layer.empty</code> makes it {best.gainOfMemory!.toFixed(1)} times as fast here: x lies where the
            backend computes, and is not copied.{' '}
          </>
        )}
        <code>createBatchNorm</code> chooses anew on each device that runs your program.{' '}
        <a href={links.documentation}>How to use it</a>
      </p>
      <details>
        <summary>In exact terms</summary>
        <ExactTerms recommendation={recommendation} best={best} />
        <AskSelectBackend
          key={`${operation} ${shape}`}
          backends={ranking.map(({ backend }) => backend)}
          shape={shape}
          operation={operation}
          patience={visit.settings.patience}
        />
      </details>
      {visit.state !== 'running' && <Reasons out={out} />}
    </>
  );
}

function Code({ title, text }: { readonly title: string; readonly text: string }) {
  return (
    <div class="code">
      <div class="title">
        <span>{title}</span>
        <CopyButton text={() => text} label={`Copy: ${title}`}>
          Copy
        </CopyButton>
      </div>
      <pre>
        {text.split('\n').map((line, index) => (
          <code key={index}>{line || ' '}</code>
        ))}
      </pre>
    </div>
  );
}

/** From so many times as fast on, one is called faster. */
const noticeable = 1.1;

function comparison(best: Ranked, next: Ranked | undefined): string {
  if (next === undefined) return '';
  const { title } = backends[next.backend];
  const ratio = next.time.median / best.time.median;
  if (ratio < noticeable) return `. ${title} is about as fast`;
  const unsure = overlap(best, next) ? '. Times vary so much here that it may come out the other way' : '';
  return `, ${ratio.toPrecision(2)} times as fast as ${title}, the next${unsure}`;
}

function ExactTerms({ recommendation: { shape, operation }, best }: Pick<ResultProperties, 'recommendation' | 'best'>) {
  const { time, rounds, share } = best;
  return (
    <dl class="terms">
      <dt>{operation}</dt>
      <dd>{operationWords[operation].exactly}, from your arrays into arrays that are used again</dd>
      <dt>[{shape.join(', ')}]</dt>
      <dd>the shape, in float32 with the channels on axis 1</dd>
      <dt>{timeText(time.median)}</dt>
      <dd>
        the median of {rounds} {rounds === 1 ? 'round' : 'rounds'}; eight rounds in ten took from {timeText(time.low)}{' '}
        to {timeText(time.high)}
      </dd>
      {!Number.isNaN(share.median) && (
        <>
          <dt>{percentText(share.median)} of the copy limit</dt>
          <dd>
            a plain copy of the bytes that must be read and written takes {percentText(share.median)} of this time on
            one thread
          </dd>
        </>
      )}
    </dl>
  );
}

function Reasons({ out, open = false }: { readonly out: Recommendation['out']; readonly open?: boolean }) {
  if (out.length === 0) return null;
  return (
    <details open={open}>
      <summary>Why not the other {out.length === 1 ? 'one' : out.length}</summary>
      <ul class="reasons">
        {out.map(({ backend, reason }) => (
          <li key={backend}>
            <strong>{backend}</strong> {reason}
          </li>
        ))}
      </ul>
    </details>
  );
}
