// A history as one page that needs nothing else.
import { digitsText, groupBy, intervalText, percentText, shapeText, timeText } from '@batchnorm/reporting';
import { Html, html } from '@batchnorm/reporting/html';
import { htmlPage } from '@batchnorm/reporting/html-page';
import { nameOfContender } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import { accuracy, bars, byOperation, history, roofline } from './charts.js';
import { type Colours, coloursOf } from './colours.js';
import { style } from './style.js';

/**
 * `run`: the one that is shown; the others of its machine are its history. Errors: an `Error` when there is no such
 * run.
 */
export function reportPage(records: readonly HistoryRecord[], run: string | undefined): string {
  const shown =
    run ??
    records
      .map((record) => record.run)
      .toSorted()
      .at(-1);
  const latest = records.filter((record) => record.run === shown);
  const [first] = latest;
  if (first === undefined) throw new Error(`there is no run ${shown ?? 'at all'} in this history`);
  const upToShown = records.filter(
    ({ machine, run }) => machine.fingerprint === first.machine.fingerprint && run <= first.run,
  );
  const { machine, node, chromium, commit } = first;
  return htmlPage({
    title: 'BatchNorm performance',
    style,
    facts: [
      first.run.slice(0, 16).replace('T', ' '),
      `commit ${commit.slice(0, 10)}${commit.endsWith('+') ? ' with changes' : ''}`,
      machine.processor,
      `${machine.cores} cores`,
      machine.system,
      `Node ${node}`,
      ...(chromium === undefined ? [] : [`Chromium ${chromium}`]),
    ],
    main: sections(latest, upToShown),
  });
}

function sections(latest: readonly HistoryRecord[], all: readonly HistoryRecord[]): Html {
  const colours = coloursOf(latest);
  const shown = kinds.filter(([kind]) => latest.some((record) => record.kind === kind));
  const charts = (shows: string, draw: (records: readonly HistoryRecord[], colours: Colours) => Element) =>
    grid(byOperation(latest).map(([operation, of]) => figure(operation, shows, draw(of, colours))));
  return html`<h2>How fast</h2>
<p class="quiet">The longer a bar the faster: bytes that must move, in a second. Beside it the time of a call, a median; the thin line is its 95 % interval. Device: activations stay where the backend computes; otherwise arrays go in and come out.</p>
${key(shown.map(([kind, text]) => [text, `var(--${kind})`]))}
${settingsOf(latest).map(barSection)}
<h2>How far from the limit</h2>
<p class="quiet">Dotted: a copy on one thread that moves as many bytes. Nothing that reads and writes memory once is faster than that, but for what several threads share.</p>
${key([...colours])}
${charts('bytes moved in a second over the bytes that must move, a line for each backend and for a copy', roofline)}
<h2>How accurate</h2>
<p class="quiet">The largest error against the float64 oracle, in units of the last place relative to the size of its terms, beside the median distance to the limit. Best is top left.</p>
${charts('distance to the limit over the largest error, a dot for each backend', accuracy)}
<h2>Over commits</h2>
${overCommits(all, latest, colours)}
<h2>All numbers</h2>
${settingsOf(latest).map(numbers)}`;
}

const kinds: readonly (readonly [HistoryRecord['kind'], string])[] = [
  ['backend', 'backend'],
  ['layer', 'through the layer'],
  ['straightforward', 'straightforward version'],
  ['peer', 'other libraries'],
];

function key(entries: readonly (readonly [name: string, colour: string])[]): Html {
  return html`<ul class="key">${entries.map(([name, colour]) => html`<li style="--colour: ${colour}">${name}</li>`)}</ul>`;
}

function grid(figures: readonly Html[]): Html {
  return html`<div class="charts">${figures}</div>`;
}

/** `shows`: what a reader who can't see it is told; its numbers are in the tables at the end. */
function figure(title: string, shows: string, chart: Element): Html {
  chart.setAttribute('role', 'img');
  chart.setAttribute('aria-label', `${title}: ${shows}`);
  // Plot labels its groups, which may have no names: they are parts of one image.
  for (const part of chart.querySelectorAll('[aria-label], [aria-description]')) {
    part.removeAttribute('aria-label');
    part.removeAttribute('aria-description');
  }
  return html`<figure><figcaption>${title}</figcaption>${new Html(chart.outerHTML)}</figure>`;
}

/** Records by shape and dtype. */
function settingsOf(records: readonly HistoryRecord[]): HistoryRecord[][] {
  return [...groupBy(records, nameOfSetting).values()];
}

function nameOfSetting({ shape, dtype }: HistoryRecord): string {
  return `${shapeText(shape)} ${dtype}`;
}

function barSection(records: readonly HistoryRecord[]): Html {
  const figures = byOperation(records).map(([operation, of]) =>
    figure(`${operation}, GB/s`, `a bar for each backend on ${nameOfSetting(records[0]!)}`, bars(of)),
  );
  return html`<section><h3>${nameOfSetting(records[0]!)}</h3>${grid(figures)}</section>
`;
}

function overCommits(all: readonly HistoryRecord[], latest: readonly HistoryRecord[], colours: Colours): Html {
  if (new Set(all.map(({ run }) => run)).size < 2) {
    return html`<p class="quiet">This is the only run of this machine in the history so far. From two on, lines are drawn here.</p>`;
  }
  const names = new Set(latest.filter(({ kind }) => kind === 'backend' || kind === 'layer').map(({ name }) => name));
  const tracked = all.filter(({ name }) => names.has(name));
  return html`<p class="quiet">Time over that of the fixed reference case in the same run, on this machine; lower is faster. Around each line its 95 % interval.</p>
${settingsOf(tracked).map((of, index) => {
  const figures = byOperation(of).map(([operation, records]) =>
    figure(
      operation,
      'time over that of the reference case over commits, a line for each backend',
      history(records, colours),
    ),
  );
  return details(of, grid(figures), index === 0);
})}`;
}

function details(records: readonly HistoryRecord[], content: Html, open = false): Html {
  return html`<details${new Html(open ? ' open' : '')}><summary>${nameOfSetting(records[0]!)}</summary>${content}</details>
`;
}

/** The columns of the table: the first three are names, the others numbers. */
const columns: Readonly<Record<string, (record: HistoryRecord) => string>> = {
  operation: ({ operation }) => operation,
  backend: nameOfContender,
  memory: ({ memory }) => memory,
  time: ({ seconds }) => timeText(seconds.median),
  '95 %, µs': ({ seconds }) => intervalText(seconds, 1e6).replace(/^.* \[/, '['),
  'GB/s': ({ gigabytesPerSecond }) => digitsText(gigabytesPerSecond),
  'of limit': ({ shareOfLimit }) => percentText(shareOfLimit.median),
  'first, ms': ({ first }) => digitsText(first * 1e3),
  ulp: ({ error }) => digitsText(error.ulps),
  '÷ bound': ({ error }) => digitsText(error.overBound),
};

function numbers(records: readonly HistoryRecord[]): Html {
  const rows = byOperation(records).flatMap(([, of]) => of.toSorted((a, b) => a.seconds.median - b.seconds.median));
  const row = (tag: 'th' | 'td', texts: readonly string[]) =>
    html`<tr>${texts.map((text, column) => html`<${tag}${column < 3 ? new Html(' class="name"') : ''}>${text}</${tag}>`)}</tr>
`;
  const table = html`<div class="scroll" tabindex="0" role="region" aria-label="${nameOfSetting(records[0]!)}"><table>
<thead>${row('th', Object.keys(columns))}</thead>
<tbody>
${rows.map((record) =>
  row(
    'td',
    Object.values(columns).map((text) => text(record)),
  ),
)}</tbody>
</table></div>`;
  return details(records, table);
}
