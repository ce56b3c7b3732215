// The benchmark live: charts of one operation at a time, and the numbers behind them.

import { boundText, percentText, shapeText, timeText } from '@batchnorm/reporting';
import { useMemo } from 'preact/hooks';
import { backends as registry } from '../backends.js';
import { Chart } from '../chart/chart.js';
import { links } from '../links.js';
import type { Choice } from '../recommend/choice.js';
import { hopeless } from '../recommend/recommend.js';
import type { Shape } from '../shape.js';
import { TroubleBadges } from '../visit/trouble-badge.js';
import type { Visit } from '../visit/visit.js';
import { listedOperations, operationWords, shapeWords } from '../words.js';
import { chartHeight, type Row, rowsOf, shareChart, timeChart } from './bench-charts.js';

interface Properties {
  readonly visit: Visit;
  readonly onChoice: (choice: Choice) => void;
}

export function BenchSection({ visit, onChoice }: Properties) {
  const { choice } = visit;
  const { shapes, backends } = visit.settings;
  // Not with every case of the kit: charts are drawn again when a time has come in.
  const rows = useMemo(
    () => rowsOf(visit, choice.operation),
    [...visit.backends.map(({ timings }) => timings), choice.operation, shapes],
  );
  const content = { rows, shapes, backends };
  const height = chartHeight(shapes, backends);
  const troubles = visit.backends.flatMap(({ name, troubles }) =>
    troubles.filter(({ stage }) => stage === 'speed').map((trouble) => ({ name, trouble })),
  );
  return (
    <section aria-labelledby="bench-title">
      <h2 id="bench-title">How fast is it?</h2>
      <p class="quiet">
        The time of one call, from your arrays into your arrays: shorter is better. With a GPU that includes the way
        there and back. Results were right on the very numbers that are timed.{' '}
        {visit.settings.kit !== 'all' &&
          `What takes more than ${hopeless} times as long as the fastest is not tried on smaller data. `}
        <a href={links.performance}>More about speed</a>
      </p>
      {shapes.length === 0 ? (
        <p>No shape is chosen to be timed.</p>
      ) : (
        <>
          <fieldset class="segments">
            <legend class="visually-hidden">Operation in the charts</legend>
            {listedOperations.map((operation) => (
              <label key={operation}>
                <input
                  type="radio"
                  name="operation"
                  checked={operation === choice.operation}
                  onChange={() => onChoice({ ...choice, operation })}
                />
                <span>{operationWords[operation].title}</span>
              </label>
            ))}
          </fieldset>
          {troubles.map(({ name, trouble }, index) => (
            <p key={index}>
              {registry[name].title} <TroubleBadges troubles={[trouble]} />
            </p>
          ))}
          <figure>
            <figcaption>
              <strong>Time of {operationWords[choice.operation].one}</strong>{' '}
              <span class="quiet">on a logarithmic scale; the bar is where eight rounds in ten lie</span>
            </figcaption>
            <Chart
              label={`Time of ${operationWords[choice.operation].one}. ${summary(rows)}`}
              draw={timeChart(content)}
              data={[rows]}
              height={height}
              interval={1000}
            />
          </figure>
          <details>
            <summary>Could it be faster? Compared with only copying the data</summary>
            <figure>
              <figcaption>
                <strong>Share of the copy limit</strong>{' '}
                <span class="quiet">
                  100 % is as fast as one thread copies the bytes that must be read and written, computing nothing
                </span>
              </figcaption>
              <Chart
                label={`Share of the copy limit of ${operationWords[choice.operation].one}; the numbers are in the table below`}
                draw={shareChart(content)}
                data={[rows]}
                height={height}
                interval={1000}
              />
            </figure>
          </details>
          <details>
            <summary>The numbers</summary>
            <TimingTable visit={visit} rows={rows} shapes={shapes} operation={choice.operation} />
          </details>
        </>
      )}
    </section>
  );
}

/** Such as '256×64: js 0.1 ms is the fastest.' */
function summary(rows: readonly Row[]): string {
  if (rows.length === 0) return 'Nothing has been timed yet.';
  return rows
    .filter(({ best }) => best)
    .map(({ shape, backend, time }) => `${shape}: ${registry[backend].title} is the fastest, ${timeText(time.median)}.`)
    .join(' ');
}

interface TableProperties {
  readonly visit: Visit;
  readonly rows: readonly Row[];
  readonly shapes: readonly Shape[];
  readonly operation: string;
}

function TimingTable({ visit, rows, shapes, operation }: TableProperties) {
  return (
    <table class="timings">
      <caption class="visually-hidden">Times of {operation}</caption>
      <thead>
        <tr>
          <th scope="col">backend</th>
          <th scope="col" class="number">
            time
          </th>
          <th scope="col" class="number">
            eight rounds in ten took
          </th>
          <th scope="col" class="number">
            share of the copy limit
          </th>
          <th scope="col" class="number">
            error ÷ allowed
          </th>
        </tr>
      </thead>
      {shapes
        .map((sizes) => ({ shape: shapeText(sizes), words: shapeWords(sizes) }))
        .map(({ shape, words }) => (
          <tbody key={shape}>
            <tr>
              <th scope="rowgroup" colSpan={5}>
                {words} <code class="quiet">{shape}</code>
              </th>
            </tr>
            {rows
              .filter((row) => row.shape === shape)
              .map(({ backend, time, share, best }) => (
                <tr key={backend} data-backend={backend} class={best ? 'best' : ''}>
                  <th scope="row">{registry[backend].title}</th>
                  <td class="number">{timeText(time.median)}</td>
                  <td class="number">
                    {timeText(time.low)} to {timeText(time.high)}
                  </td>
                  <td class="number">{percentText(share.median)}</td>
                  <td class="number">{boundOf(visit, backend, shape)}</td>
                </tr>
              ))}
          </tbody>
        ))}
    </table>
  );
}

function boundOf({ backends }: Visit, name: string, shape: string): string {
  const verified = backends.find((one) => one.name === name)?.verified[shape];
  return verified ? boundText(verified.worst) : '';
}
