// A history as one page that needs nothing else.
import { nameOfContender, nameOfShape } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import { formatInterval, formatNumber, formatPercent } from '../terminal/format.js';
import { accuracy, bars, byOperation, coloursOf, formatTime, history, roofline } from './charts.js';
import { element } from './document.js';
import { groupBy } from './group-by.js';
import { style } from './style.js';

/** `run`: the one that is shown; the others of its machine are its history. Errors: an `Error` when there is no such run. */
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
  const before = records.filter(
    ({ machine, run }) => machine.fingerprint === first.machine.fingerprint && run <= first.run,
  );
  const { machine, node, chromium, commit } = first;
  const facts = [
    first.run.slice(0, 16).replace('T', ' '),
    `commit ${commit.slice(0, 10)}${commit.endsWith('+') ? ' with changes' : ''}`,
    machine.processor,
    `${machine.cores} cores`,
    machine.system,
    `Node ${node}`,
    ...(chromium === undefined ? [] : [`Chromium ${chromium}`]),
  ];
  const page = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      element('title', {}, 'BatchNorm performance'),
      element('link', { rel: 'icon', href: 'data:,' }),
      element('style', {}, style),
    ),
    element(
      'body',
      {},
      element(
        'header',
        {},
        element('h1', {}, 'BatchNorm performance'),
        element('p', { class: 'quiet' }, facts.join(' · ')),
      ),
      element('main', {}, ...sections(latest, before)),
    ),
  );
  return `<!doctype html>\n${page.outerHTML}\n`;
}

function sections(latest: readonly HistoryRecord[], all: readonly HistoryRecord[]): Element[] {
  const colours = coloursOf(all);
  const families = element('ul', { class: 'key' }, ...[...colours].map(([name, colour]) => keyOf(name, colour)));
  return [
    ...section(
      'How fast',
      'The longer a bar the faster: bytes that must move, in a second. Beside it the time of a call, a median; the thin line is its 95 % interval. Device: activations stay where the backend computes; otherwise arrays go in and come out.',
      element('ul', { class: 'key' }, ...kinds.map(([kind, text]) => keyOf(text, `var(--${kind})`))),
      ...settingsOf(latest).map((of) => barSection(of)),
    ),
    ...section(
      'How far from the limit',
      'Dashed: a copy on one thread that moves as many bytes. Nothing that reads and writes memory once is faster than that, but for what several threads share.',
      families,
      grid(byOperation(latest).map(([operation, of]) => figure(operation, roofline(of, colours)))),
    ),
    ...section(
      'How accurate',
      'The largest error against the float64 oracle, in units of the last place relative to the size of its terms, beside the median distance to the limit. Best is top left.',
      grid(byOperation(latest).map(([operation, of]) => figure(operation, accuracy(of, colours)))),
    ),
    ...historySection(all, latest, colours),
    element('h2', {}, 'All numbers'),
    ...settingsOf(latest).map(numbers),
  ];
}

const kinds: readonly (readonly [HistoryRecord['kind'], string])[] = [
  ['backend', 'backend'],
  ['layer', 'through the layer'],
  ['straightforward', 'straightforward version'],
  ['peer', 'other libraries'],
];

function section(title: string, text: string, ...content: readonly Element[]): Element[] {
  return [element('h2', {}, title), element('p', { class: 'quiet' }, text), ...content];
}

function keyOf(name: string, colour: string): Element {
  return element('li', { style: `--colour: ${colour}` }, name);
}

function grid(figures: readonly Element[]): Element {
  return element('div', { class: 'charts' }, ...figures);
}

function figure(title: string, chart: Element): Element {
  return element('figure', {}, element('figcaption', {}, title), chart);
}

/** Records by shape and dtype. */
function settingsOf(records: readonly HistoryRecord[]): HistoryRecord[][] {
  return [...groupBy(records, nameOfSetting).values()];
}

function nameOfSetting({ shape, dtype }: HistoryRecord): string {
  return `${nameOfShape(shape)} ${dtype}`;
}

function barSection(records: readonly HistoryRecord[]): Element {
  return element(
    'section',
    {},
    element('h3', {}, nameOfSetting(records[0]!)),
    grid(byOperation(records).map(([operation, of]) => figure(`${operation}, GB/s`, bars(of)))),
  );
}

function historySection(
  all: readonly HistoryRecord[],
  latest: readonly HistoryRecord[],
  colours: ReadonlyMap<string, string>,
): Element[] {
  const runs = new Set(all.map(({ run }) => run));
  const title = 'Over commits';
  if (runs.size < 2) {
    return section(
      title,
      'This is the only run of this machine in the history so far. From two on, lines are drawn here.',
    );
  }
  const names = new Set(latest.filter(({ kind }) => kind === 'backend' || kind === 'layer').map(({ name }) => name));
  const tracked = all.filter(({ name }) => names.has(name));
  return section(
    title,
    'Time over that of the fixed reference case in the same run, on this machine; lower is faster. Around each line its 95 % interval.',
    ...settingsOf(tracked).map((of, index) =>
      element(
        'details',
        index === 0 ? { open: '' } : {},
        element('summary', {}, nameOfSetting(of[0]!)),
        grid(byOperation(of).map(([operation, records]) => figure(operation, history(records, colours)))),
      ),
    ),
  );
}

function numbers(records: readonly HistoryRecord[]): Element {
  const headings = [
    'operation',
    'backend',
    'memory',
    'time',
    '95 %, µs',
    'GB/s',
    'of limit',
    'first, ms',
    'ulp',
    '÷ bound',
  ];
  const cell = (tag: 'th' | 'td', text: string, column: number) =>
    element(tag, column < 3 ? { class: 'name' } : {}, text);
  const rows = byOperation(records).flatMap(([, of]) => of.toSorted((a, b) => a.seconds.median - b.seconds.median));
  return element(
    'details',
    {},
    element('summary', {}, nameOfSetting(records[0]!)),
    element(
      'div',
      { class: 'scroll' },
      element(
        'table',
        {},
        element('thead', {}, element('tr', {}, ...headings.map((text, column) => cell('th', text, column)))),
        element(
          'tbody',
          {},
          ...rows.map((record) =>
            element('tr', {}, ...cellsOf(record).map((text, column) => cell('td', text, column))),
          ),
        ),
      ),
    ),
  );
}

function cellsOf(record: HistoryRecord): string[] {
  return [
    record.operation,
    nameOfContender(record),
    record.memory,
    formatTime(record.seconds.median),
    formatInterval(record.seconds, 1e6).replace(/^.* \[/, '['),
    formatNumber(record.gigabytesPerSecond),
    formatPercent(record.shareOfLimit.median),
    formatNumber(record.first * 1e3),
    formatNumber(record.error.ulps),
    formatNumber(record.error.overBound),
  ];
}
