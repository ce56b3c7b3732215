// The pictures, as SVG drawn by Observable Plot. Each is as wide as a phone; the page puts as many beside each other as
// fit. A line is told from others by its colour, its dashes and the label at its end.
import { groupBy, shapeText, timeText } from '@batchnorm/reporting';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { everyOperation, nameOfContender, type Operation } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import { median } from '../timing/statistics.js';
import { type Colours, familyOf, type Looks, looksOf } from './colours.js';

/** Stands in for a browser's document: charts are drawn into it, and escape their texts when they are serialised. */
const { document } = parseHTML('<!doctype html><html></html>');

const width = 350;
const common = {
  document,
  width,
  style: { fontSize: '11px', background: 'transparent', overflow: 'visible' },
} as const;

const labelOf = (record: HistoryRecord) =>
  `${nameOfContender(record)}${record.memory === 'host' ? '' : ` (${record.memory})`}`;

/** One operation on one setting: a bar for each contender, the longer the faster, with its time beside it. */
export function bars(records: readonly HistoryRecord[]): Element {
  const sorted = records.toSorted((a, b) => a.seconds.median - b.seconds.median);
  const longest = Math.max(...sorted.map((record) => record.gigabytesPerSecond));
  const names = Math.max(...sorted.map((record) => labelOf(record).length));
  return Plot.plot({
    ...common,
    height: 26 + 17 * sorted.length,
    marginLeft: Math.min(170, 12 + 6 * names),
    marginRight: 12,
    marginTop: 0,
    marginBottom: 22,
    x: { label: null, domain: [0, longest * 1.5], ticks: 4 },
    y: { label: null, domain: sorted.map(labelOf), tickSize: 0 },
    marks: [
      Plot.barX(sorted, {
        x: 'gigabytesPerSecond',
        y: labelOf,
        fill: (record: HistoryRecord) => `var(--${record.kind})`,
        insetTop: 1,
        insetBottom: 1,
      }),
      Plot.ruleY(sorted, {
        x1: (record: HistoryRecord) => record.bytes / record.seconds.high / 1e9,
        x2: (record: HistoryRecord) => Math.min(longest * 1.15, record.bytes / record.seconds.low / 1e9),
        y: labelOf,
        strokeOpacity: 0.7,
      }),
      Plot.text(sorted, {
        x: (record: HistoryRecord) => Math.min(longest * 1.15, record.bytes / record.seconds.low / 1e9),
        y: labelOf,
        text: (record: HistoryRecord) => timeText(record.seconds.median),
        textAnchor: 'start',
        dx: 4,
        stroke: 'var(--page)',
        fill: 'currentColor',
      }),
    ],
  }) as unknown as Element;
}

/** One operation on all shapes: how far from a copy, over the bytes that must move. */
export function roofline(records: readonly HistoryRecord[], colours: Colours): Element {
  const lines = linesOf(records, colours);
  const limits = [
    ...new Map(records.map(({ bytes, limit }) => [bytes, { bytes, rate: bytes / limit / 1e9 }])).values(),
  ];
  const rightmost = Math.max(...limits.map(({ bytes }) => bytes));
  const rates = [...limits.map(({ rate }) => rate), ...records.map((record) => record.gigabytesPerSecond)];
  const domain = domainOf(rates);
  const height = Math.max(270, 62 + 12 * (lines.size + 1));
  const ends = [...groupBy(records, labelOf)].map(([label, of]) => {
    const last = of.reduce((a, b) => (b.bytes > a.bytes ? b : a));
    return endOf(label, last.gigabytesPerSecond);
  });
  const copy = limits.find(({ bytes }) => bytes === rightmost)!;
  const labels = apart([...ends, endOf('copy', copy.rate)], domain, (height - 62) / 12);
  const least = Math.min(...limits.map(({ bytes }) => bytes));
  const edge = rightmost * (rightmost / least) ** 0.15 * 1.1;
  return Plot.plot({
    ...common,
    height,
    marginLeft: 40,
    marginRight: roomFor(labels),
    marginBottom: 42,
    x: {
      type: 'log',
      domain: [least, edge],
      label: 'bytes that must move',
      labelOffset: 36,
      tickFormat: formatBytes,
      ticks: 3,
    },
    y: { type: 'log', domain, label: '↑ GB/s', grid: true, tickFormat: (value: number) => String(value), ticks: 5 },
    marks: [
      Plot.lineY(
        limits.toSorted((a, b) => a.bytes - b.bytes),
        { x: 'bytes', y: 'rate', strokeDasharray: '1 4' },
      ),
      Plot.dot(limits, { x: 'bytes', y: 'rate', r: 2, fill: 'currentColor' }),
      ...[...lines].map(([label, { colour, dash }]) =>
        Plot.lineY(
          records.filter((record) => labelOf(record) === label).toSorted((a, b) => a.bytes - b.bytes),
          { x: 'bytes', y: 'gigabytesPerSecond', stroke: colour, strokeDasharray: dash },
        ),
      ),
      ...endLabels(labels, lines, rightmost, edge),
      Plot.dot(records, {
        x: 'bytes',
        y: 'gigabytesPerSecond',
        fill: (record: HistoryRecord) => colours.get(familyOf(record)),
        r: 3,
        title: (record: HistoryRecord) =>
          `${labelOf(record)}, ${shapeText(record.shape)}: ${timeText(record.seconds.median)}`,
      }),
    ],
  }) as unknown as Element;
}

/**
 * One operation: how far a contender is from the limit, and how far from the oracle; medians over shapes. Best is top
 * left.
 */
export function accuracy(records: readonly HistoryRecord[], colours: Colours): Element {
  const groups = groupBy(records, labelOf);
  const dots = [...groups].map(([label, of]) => ({
    label,
    family: familyOf(of[0]!),
    ulps: Math.max(...of.map(({ error }) => error.ulps)),
    share: median(of.map(({ shareOfLimit }) => shareOfLimit.median)) * 100,
  }));
  const domain = domainOf(dots.map(({ share }) => share));
  const labels = apart(
    dots.map((dot) => ({ ...dot, at: dot.share })),
    domain,
    19,
  );
  return Plot.plot({
    ...common,
    height: 290,
    marginLeft: 40,
    marginRight: roomFor(labels),
    marginBottom: 42,
    x: {
      type: 'log',
      domain: domainOf(dots.map(({ ulps }) => ulps)),
      label: 'largest error, ulp',
      labelAnchor: 'left',
      labelOffset: 36,
      ticks: 3,
      tickFormat: String,
    },
    y: { type: 'log', domain, label: '↑ % of the limit', grid: true, ticks: 5, tickFormat: String },
    marks: [
      Plot.link(labels, { x1: 'ulps', y1: 'share', x2: right(dots), y2: 'at', strokeOpacity: 0.25 }),
      Plot.dot(dots, {
        x: 'ulps',
        y: 'share',
        fill: ({ family }: { family: string }) => colours.get(family),
        r: 4,
        title: 'label',
      }),
      Plot.text(labels, { x: right(dots), y: 'at', text: 'label', textAnchor: 'start', dx: 2 }),
    ],
  }) as unknown as Element;
}

/** The lines of a chart by their labels, each with its look. */
function linesOf(records: readonly HistoryRecord[], colours: Colours): Looks {
  return looksOf(new Map(records.map((record) => [labelOf(record), familyOf(record)])), colours);
}

/** The margin that labels at the right edge need, in pixels. */
function roomFor(labels: readonly Label[]): number {
  return Math.min(170, 14 + 6 * Math.max(...labels.map(({ label }) => label.length)));
}

/** The label of a line that ends at `from`. */
interface EndLabel extends Label {
  readonly from: number;
}

function endOf(label: string, from: number): EndLabel {
  return { label, at: from, from };
}

/** From where each line ends, at x, a piece as it looks leads to its label at the right edge. */
function endLabels(labels: readonly EndLabel[], lines: Looks, x: number, edge: number): Plot.Markish[] {
  return [
    ...labels.map((label) => {
      const { colour, dash } = lines.get(label.label) ?? { colour: 'currentColor', dash: '1 4' };
      const ends = { x1: x, y1: 'from', x2: edge, y2: 'at' };
      return Plot.link([label], { ...ends, stroke: colour, strokeDasharray: dash, strokeOpacity: 0.6 });
    }),
    Plot.text(labels, { x: edge, y: 'at', text: 'label', textAnchor: 'start', dx: 3 }),
  ];
}

/** Where the labels of dots begin: at the right edge. */
function right(dots: readonly { readonly ulps: number }[]): () => number {
  const [, edge] = domainOf(dots.map(({ ulps }) => ulps));
  return () => edge;
}

interface Label {
  readonly label: string;
  /** Where it would be if it were the only one, on a logarithmic scale. */
  readonly at: number;
}

/** Labels moved along their scale so that none lies on another: at least 1/lines of the scale apart. */
function apart<L extends Label>(labels: readonly L[], [low, high]: readonly [number, number], lines: number): L[] {
  const gap = Math.log(high / low) / lines;
  const sorted = labels.toSorted((a, b) => a.at - b.at);
  const places = sorted.map(({ at }) => Math.log(at));
  for (let i = 1; i < places.length; i++) places[i] = Math.max(places[i]!, places[i - 1]! + gap);
  let ceiling = Math.log(high);
  for (let i = places.length - 1; i >= 0; i--, ceiling -= gap) places[i] = Math.min(places[i]!, ceiling);
  return sorted.map((label, i) => ({ ...label, at: Math.exp(places[i]!) }));
}

/** The smallest and the largest, with room around them. */
function domainOf(values: readonly number[], room = 1.3): [number, number] {
  return [Math.min(...values) / room, Math.max(...values) * room];
}

/** One case of several contenders over the runs of one machine: time over that of the fixed reference case. */
export function history(records: readonly HistoryRecord[], colours: Colours): Element {
  const runs = [...new Set(records.map(({ run }) => run))].sort();
  const at = ({ run }: HistoryRecord) => runs.indexOf(run);
  const ratio = ({ ratioToReference }: HistoryRecord) => ratioToReference.median;
  const commits = runs.map((run) => records.find((record) => record.run === run)!.commit.slice(0, 7));
  const domain = domainOf(records.map(ratio), 1.6);
  const clamp = (value: number) => Math.min(domain[1], Math.max(domain[0], value));
  const lines = linesOf(records, colours);
  const last = records.filter((record) => at(record) === runs.length - 1);
  const labels = apart(
    last.map((record) => endOf(labelOf(record), ratio(record))),
    domain,
    16,
  );
  const edge = Math.max(1, runs.length - 1) * 1.15;
  return Plot.plot({
    ...common,
    height: 240,
    marginLeft: 40,
    marginRight: roomFor(labels),
    marginBottom: 28,
    x: {
      label: null,
      domain: [0, edge],
      ticks: runs.length <= 4 ? runs.map((_, index) => index) : [0, runs.length - 1],
      tickFormat: (index: number) => commits[index] ?? '',
    },
    y: { type: 'log', domain, label: '↑ ÷ reference', grid: true, ticks: 5, tickFormat: String },
    marks: [
      Plot.areaY(records, {
        x: at,
        y1: ({ ratioToReference }: HistoryRecord) => clamp(ratioToReference.low),
        y2: ({ ratioToReference }: HistoryRecord) => clamp(ratioToReference.high),
        z: labelOf,
        fill: (record: HistoryRecord) => colours.get(familyOf(record)),
        fillOpacity: 0.12,
      }),
      ...[...lines].map(([label, { colour, dash }]) =>
        Plot.lineY(
          records.filter((record) => labelOf(record) === label),
          { x: at, y: ratio, stroke: colour, strokeDasharray: dash, marker: 'dot' },
        ),
      ),
      ...endLabels(labels, lines, runs.length - 1, edge),
    ],
  }) as unknown as Element;
}

export function byOperation(records: readonly HistoryRecord[]): [Operation, HistoryRecord[]][] {
  return everyOperation
    .map((operation): [Operation, HistoryRecord[]] => [
      operation,
      records.filter((record) => record.operation === operation),
    ])
    .filter(([, of]) => of.length > 0);
}

function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${bytes / 1e3} kB`;
  return bytes < 1e9 ? `${bytes / 1e6} MB` : `${bytes / 1e9} GB`;
}
