// The answer: what to run here for the visitor's operation and shape, and the code that does.

import { percentText, ratioText, shapeText, timeText } from '@batchnorm/reporting';
import { type Operation, operations } from '@batchnorm/select';
import type { ComponentChildren } from 'preact';
import { backends } from '../backends.js';
import { CopyButton } from '../report/copy-button.js';
import type { Visit } from '../visit/visit.js';
import { AskSelectBackend } from './ask-select-backend.js';
import type { Choice } from './choice.js';
import { codeFor } from './code.js';
import { overlap, type Ranked, type Recommendation, recommend } from './recommend.js';

interface Properties {
  readonly visit: Visit;
  readonly choice: Choice;
  readonly onChoice: (choice: Choice) => void;
  readonly children: ComponentChildren;
}

export function Answer({ visit, choice, onChoice, children }: Properties) {
  const { shapes } = visit.settings;
  const ended = visit.state === 'done' || visit.state === 'stopped';
  const recommendation = ended && choice.shape ? recommend(visit, choice.shape, choice.operation) : undefined;
  return (
    <aside class="answer" aria-labelledby="answer-title" data-backend={recommendation?.ranking[0]?.backend}>
      <h2 id="answer-title">Run this here</h2>
      <div class="choice">
        <label>
          <span>For</span>
          <select
            value={choice.operation}
            onChange={(event) => onChoice({ ...choice, operation: event.currentTarget.value as Operation })}
          >
            {operations.map((operation) => (
              <option key={operation}>{operation}</option>
            ))}
          </select>
        </label>
        <label>
          <span>of</span>
          <select
            value={choice.shape ? shapeText(choice.shape) : ''}
            onChange={(event) => onChoice({ ...choice, shape: shapes[event.currentTarget.selectedIndex] })}
          >
            {shapes.map(shapeText).map((shape) => (
              <option key={shape}>{shape}</option>
            ))}
          </select>
        </label>
      </div>
      <div class="result">
        {recommendation ? (
          <Result recommendation={recommendation} patience={visit.settings.patience} />
        ) : (
          <Placeholder visit={visit} />
        )}
      </div>
      {ended && children}
    </aside>
  );
}

function Placeholder({ visit: { state, settings } }: { readonly visit: Visit }) {
  const nothingTimed = settings.shapes.length === 0;
  return (
    <p class="quiet placeholder">
      {nothingTimed
        ? 'Without a shape to time there is nothing to recommend.'
        : state === 'running'
          ? 'Measuring …'
          : 'The fastest backend that passes every check, measured on this device, and three lines of code that use it.'}
    </p>
  );
}

interface ResultProperties {
  readonly recommendation: Recommendation;
  readonly patience: number;
}

function Result({ recommendation, patience }: ResultProperties) {
  const { ranking, shape, operation, out } = recommendation;
  const [best, next] = ranking;
  if (best === undefined) {
    return (
      <>
        <p class="name">Nothing</p>
        <p>No backend that was measured can be recommended.</p>
        <Reasons out={out} open />
      </>
    );
  }
  const code = codeFor(best.backend, shape);
  return (
    <>
      <p class="name">
        {best.backend} <span class="quiet">{backends[best.backend].title}</span>
      </p>
      <p>
        <strong>{timeText(best.time.median)}</strong> a call, {percentText(best.share.median)} of the copy limit
        {next && `; ${comparison(best, next)}`}.
      </p>
      <div class="code">
        <pre>
          {code.split('\n').map((line) => (
            <code key={line}>{line}</code>
          ))}
        </pre>
        <CopyButton text={() => code}>Copy code</CopyButton>
      </div>
      <AskSelectBackend
        key={`${operation} ${shapeText(shape)}`}
        backends={ranking.map(({ backend }) => backend)}
        shape={shape}
        operation={operation}
        patience={patience}
      />
      <Reasons out={out} />
    </>
  );
}

function comparison(best: Ranked, next: Ranked): string {
  if (overlap(best, next)) return `${next.backend} is about as fast: their ranges overlap`;
  return `${ratioText(next.time.median / best.time.median)} as fast as ${next.backend}, the next`;
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
