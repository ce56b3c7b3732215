// The pictures, as SVG drawn by Observable Plot. Each is as wide as a phone; the page puts as many beside each other as fit.
import * as Plot from '@observablehq/plot';
import { nameOfContender, nameOfShape, type Operation, operations } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import { formatNumber } from '../terminal/format.js';
import { median } from '../timing/statistics.js';
import { document } from './document.js';
import { groupBy } from './group-by.js';

const width = 350;
const common = {
  document,
  width,
  style: { fontSize: '11px', background: 'transparent', overflow: 'visible' },
} as const;

/** Contenders that share a colour: 'gpujs', 'pytorch', 'straightforward', … */
export function familyOf({ contender, kind }: Pick<HistoryRecord, 'contender' | 'kind'>): string {
  return kind === 'straightforward' || kind === 'layer' ? kind : contender.split('-')[0]!;
}

/** Observable's ten, which are told apart on white and on black. */
const palette = [
  '#4269d0',
  '#efb118',
  '#ff725c',
  '#6cc5b0',
  '#3ca951',
  '#ff8ab7',
  '#a463f2',
  '#97bbf5',
  '#9c6b4e',
  '#9498a0',
];

/** A colour for each family, the same in every chart. */
export function coloursOf(records: readonly HistoryRecord[]): ReadonlyMap<string, string> {
  const families = [...new Set(records.map(familyOf))].sort();
  return new Map(families.map((family, index) => [family, palette[index % palette.length]!]));
}

/** 346 µs, 5.2 ms */
export function formatTime(seconds: number): string {
  if (seconds < 1e-3) return `${formatNumber(seconds * 1e6)} µs`;
  return seconds < 1 ? `${formatNumber(seconds * 1e3)} ms` : `${formatNumber(seconds)} s`;
}

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
    marginBottom: 26,
    x: { label: 'GB/s', domain: [0, longest * 1.35], ticks: 4, labelAnchor: 'right', labelOffset: 24 },
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
        x2: (record: HistoryRecord) => Math.min(longest * 1.35, record.bytes / record.seconds.low / 1e9),
        y: labelOf,
        strokeOpacity: 0.7,
      }),
      Plot.text(sorted, {
        x: (record: HistoryRecord) => Math.min(longest * 1.35, record.bytes / record.seconds.low / 1e9),
        y: labelOf,
        text: (record: HistoryRecord) => formatTime(record.seconds.median),
        textAnchor: 'start',
        dx: 4,
        stroke: 'var(--page)',
        fill: 'currentColor',
      }),
    ],
  }) as unknown as Element;
}

/** One operation on all shapes: how far from a copy, over the bytes that must move. */
export function roofline(records: readonly HistoryRecord[], colours: ReadonlyMap<string, string>): Element {
  const limits = [
    ...new Map(records.map(({ bytes, limit }) => [bytes, { bytes, rate: bytes / limit / 1e9 }])).values(),
  ];
  return Plot.plot({
    ...common,
    height: 260,
    marginLeft: 40,
    marginRight: 16,
    x: { type: 'log', label: 'bytes that must move →', tickFormat: formatBytes, ticks: 4 },
    y: { type: 'log', label: '↑ GB/s', grid: true, tickFormat: (value: number) => String(value), ticks: 5 },
    marks: [
      Plot.lineY(
        limits.toSorted((a, b) => a.bytes - b.bytes),
        { x: 'bytes', y: 'rate', strokeDasharray: '4 3' },
      ),
      Plot.dot(limits, { x: 'bytes', y: 'rate', r: 2, fill: 'currentColor' }),
      Plot.lineY(
        records.toSorted((a, b) => a.bytes - b.bytes),
        {
          x: 'bytes',
          y: 'gigabytesPerSecond',
          z: labelOf,
          stroke: (record: HistoryRecord) => colours.get(familyOf(record)),
          strokeOpacity: 0.6,
        },
      ),
      Plot.dot(records, {
        x: 'bytes',
        y: 'gigabytesPerSecond',
        fill: (record: HistoryRecord) => colours.get(familyOf(record)),
        r: 3,
        title: (record: HistoryRecord) =>
          `${labelOf(record)}, ${nameOfShape(record.shape)}: ${formatTime(record.seconds.median)}`,
      }),
    ],
  }) as unknown as Element;
}

/** One operation: how far a contender is from the limit, and how far from the oracle; medians over shapes. Best is top left. */
export function accuracy(records: readonly HistoryRecord[], colours: ReadonlyMap<string, string>): Element {
  const groups = groupBy(records, labelOf);
  const dots = [...groups].map(([label, of]) => ({
    label,
    family: familyOf(of[0]!),
    ulps: Math.max(...of.map(({ error }) => error.ulps)),
    share: median(of.map(({ shareOfLimit }) => shareOfLimit.median)) * 100,
  }));
  return Plot.plot({
    ...common,
    height: 260,
    marginLeft: 40,
    marginRight: 90,
    x: { type: 'log', label: 'largest error, ulp →', ticks: 4, tickFormat: (value: number) => String(value) },
    y: { type: 'log', label: '↑ % of the limit', grid: true, ticks: 5, tickFormat: (value: number) => String(value) },
    marks: [
      Plot.dot(dots, {
        x: 'ulps',
        y: 'share',
        fill: ({ family }: { family: string }) => colours.get(family),
        r: 4,
        title: 'label',
      }),
      Plot.text(withoutOverlap(dots), { x: 'ulps', y: 'share', text: 'label', textAnchor: 'start', dx: 7 }),
    ],
  }) as unknown as Element;
}

/** Of dots whose labels would lie on each other only the first keeps it; the others have theirs as a title. */
function withoutOverlap<Dot extends { readonly ulps: number; readonly share: number }>(dots: readonly Dot[]): Dot[] {
  const shares = dots.map(({ share }) => Math.log(share));
  const near = Math.max(0.1, (Math.max(...shares) - Math.min(...shares)) / 18);
  const kept: Dot[] = [];
  for (const dot of dots.toSorted((a, b) => b.share - a.share)) {
    const isNear = (other: Dot) =>
      Math.abs(Math.log(other.share / dot.share)) < near && Math.abs(Math.log(other.ulps / dot.ulps)) < 2;
    if (!kept.some(isNear)) kept.push(dot);
  }
  return kept;
}

/** One case of several contenders over the runs of one machine: time over that of the fixed reference case. */
export function history(records: readonly HistoryRecord[], colours: ReadonlyMap<string, string>): Element {
  const runs = [...new Set(records.map(({ run }) => run))].sort();
  const at = ({ run }: HistoryRecord) => runs.indexOf(run);
  const commits = runs.map((run) => records.find((record) => record.run === run)!.commit.slice(0, 7));
  const last = records.filter((record) => at(record) === runs.length - 1);
  return Plot.plot({
    ...common,
    height: 240,
    marginLeft: 40,
    marginRight: 90,
    marginBottom: 40,
    x: {
      label: null,
      domain: [0, Math.max(1, runs.length - 1)],
      ticks: runs.length <= 6 ? runs.map((_, index) => index) : 5,
      tickFormat: (index: number) => commits[index] ?? '',
    },
    y: { type: 'log', label: '↑ ÷ reference', grid: true, ticks: 5, tickFormat: (value: number) => String(value) },
    marks: [
      Plot.areaY(records, {
        x: at,
        y1: ({ ratioToReference }: HistoryRecord) => ratioToReference.low,
        y2: ({ ratioToReference }: HistoryRecord) => ratioToReference.high,
        z: labelOf,
        fill: (record: HistoryRecord) => colours.get(familyOf(record)),
        fillOpacity: 0.15,
      }),
      Plot.lineY(records, {
        x: at,
        y: ({ ratioToReference }: HistoryRecord) => ratioToReference.median,
        z: labelOf,
        stroke: (record: HistoryRecord) => colours.get(familyOf(record)),
        marker: 'dot',
      }),
      Plot.text(last, {
        x: at,
        y: ({ ratioToReference }: HistoryRecord) => ratioToReference.median,
        text: labelOf,
        textAnchor: 'start',
        dx: 7,
      }),
    ],
  }) as unknown as Element;
}

export function byOperation(records: readonly HistoryRecord[]): [Operation, HistoryRecord[]][] {
  return operations
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
