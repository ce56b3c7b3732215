// The benchmark live: charts of one operation at a time, and the numbers behind them.

import { boundText, percentText, shapeText, timeText } from '@batchnorm/reporting';
import { operations } from '@batchnorm/select';
import { useMemo } from 'preact/hooks';
import { Chart } from '../chart/chart.js';
import type { Choice } from '../recommend/choice.js';
import type { Shape } from '../shape.js';
import { TroubleBadges } from '../visit/trouble-badge.js';
import type { Visit } from '../visit/visit.js';
import { chartHeight, type Row, rowsOf, shareChart, timeChart } from './bench-charts.js';

interface Properties {
  readonly visit: Visit;
  readonly choice: Choice;
  readonly onChoice: (choice: Choice) => void;
}

export function BenchSection({ visit, choice, onChoice }: Properties) {
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
        One call of the layer in float32, from host memory into host memory, transfers included; verified on the very
        numbers that are timed. All backends take turns in every round, and so does the copy.
      </p>
      {shapes.length === 0 ? (
        <p>Left out, as chosen.</p>
      ) : (
        <>
          <fieldset class="segments">
            <legend class="visually-hidden">Operation in the charts</legend>
            {operations.map((operation) => (
              <label key={operation}>
                <input
                  type="radio"
                  name="operation"
                  checked={operation === choice.operation}
                  onChange={() => onChoice({ ...choice, operation })}
                />
                <span>{operation}</span>
              </label>
            ))}
          </fieldset>
          {troubles.map(({ name, trouble }, index) => (
            <p key={index}>
              {name} <TroubleBadges troubles={[trouble]} />
            </p>
          ))}
          <div class="charts">
            <figure>
              <figcaption>
                <strong>Time of a call</strong>{' '}
                <span class="quiet">median, and the range of eight rounds in ten; logarithmic</span>
              </figcaption>
              <Chart
                label={`Time of ${choice.operation}. ${summary(rows)}`}
                draw={timeChart(content)}
                data={[rows]}
                height={height}
                interval={1000}
              />
            </figure>
            <figure>
              <figcaption>
                <strong>Share of the copy limit</strong> <span class="quiet">100 % is a copy of the same bytes</span>
              </figcaption>
              <Chart
                label={`Share of the copy limit of ${choice.operation}; the numbers are in the table below`}
                draw={shareChart(content)}
                data={[rows]}
                height={height}
                interval={1000}
              />
            </figure>
          </div>
          <details>
            <summary>The numbers of {choice.operation}</summary>
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
    .map(({ shape, backend, time }) => `${shape}: ${backend} is the fastest, ${timeText(time.median)}.`)
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
            eight rounds in ten
          </th>
          <th scope="col" class="number">
            of the copy limit
          </th>
          <th scope="col" class="number">
            × bound
          </th>
        </tr>
      </thead>
      {shapes.map(shapeText).map((shape) => (
        <tbody key={shape}>
          <tr>
            <th scope="rowgroup" colSpan={5}>
              {shape}
            </th>
          </tr>
          {rows
            .filter((row) => row.shape === shape)
            .map(({ backend, time, share, best }) => (
              <tr key={backend} class={best ? 'best' : ''}>
                <th scope="row">{backend}</th>
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
