// The charts of the benchmark: time as a dot with its spread, and the share of the copy limit as a bar; the best in the accent's colour.

import type { Operation } from '@batchnorm/core-api';
import type { BackendName } from '../backends.js';
import type { Draw } from '../chart/chart.js';
import { percentText, timeText } from '../number-text.js';
import { type Shape, shapeText } from '../shape.js';
import { timingOf, type Visit } from '../visit/visit.js';
import { type Spread, shareOfLimit, spreadOf } from './spread.js';

export interface Row {
  readonly shape: string;
  readonly backend: BackendName;
  readonly time: Spread;
  readonly share: Spread;
  /** The fastest of its shape. */
  readonly best: boolean;
}

/** One for each backend and shape that has been timed. */
export function rowsOf({ backends, settings }: Visit, operation: Operation): Row[] {
  return settings.shapes.flatMap((shape) => {
    const rows = backends.flatMap(({ name, timings }) => {
      const timing = timingOf(timings, shape, operation);
      return timing ? [{ backend: name, time: spreadOf(timing.seconds), share: shareOfLimit(timing) }] : [];
    });
    const fastest = Math.min(...rows.map(({ time }) => time.median));
    return rows.map((row) => ({ ...row, shape: shapeText(shape), best: row.time.median === fastest }));
  });
}

const rowHeight = 22;
/** Above the lines of each shape, for its name. */
const nameHeight = 30;
const axisHeight = 24;

/** Pixels: the same before the first row is there and after the last. */
export function chartHeight(shapes: readonly Shape[], backends: readonly BackendName[]): number {
  return axisHeight + shapes.length * (nameHeight + backends.length * rowHeight);
}

interface Content {
  readonly rows: readonly Row[];
  readonly shapes: readonly Shape[];
  readonly backends: readonly BackendName[];
}

/** What both charts have: a band for each shape, in it a line for each backend. */
function frame({ shapes, backends }: Content, width: number) {
  const paddingInner = nameHeight / (nameHeight + backends.length * rowHeight);
  return {
    width,
    height: chartHeight(shapes, backends),
    marginLeft: 106,
    marginRight: 70,
    marginTop: nameHeight,
    marginBottom: axisHeight,
    style: { background: 'none', fontSize: '12px', overflow: 'visible' },
    fy: { domain: shapes.map(shapeText), label: null, axis: null, paddingInner, paddingOuter: 0 },
    y: { domain: backends, label: null, tickSize: 0 },
  } as const;
}

const color = ({ best }: Row) => (best ? 'var(--accent)' : 'var(--quiet)');

/** Something to look at before there is anything; else what there is, with room around it. */
function timeDomain(rows: readonly Row[]): [number, number] {
  const times = rows.flatMap(({ time }) => [time.low, time.high]);
  return times.length === 0 ? [1e-5, 1e-1] : [Math.min(...times) / 1.5, Math.max(...times) * 1.5];
}

/** Names the powers of ten only: the ticks between them are too close for names. */
function decadeText(seconds: number): string {
  return Math.abs(Math.log10(seconds) % 1) < 1e-6 ? timeText(seconds) : '';
}

export function timeChart(content: Content): Draw {
  return ({ plot, dot, ruleY, text }, width) =>
    plot({
      ...frame(content, width),
      x: {
        type: 'log',
        domain: timeDomain(content.rows),
        label: null,
        axis: 'bottom',
        ticks: width < 500 ? 3 : 5,
        tickFormat: decadeText,
        grid: true,
      },
      marks: [
        shapeNames(text, content),
        ruleY(content.rows, {
          fy: 'shape',
          y: 'backend',
          x1: (row: Row) => row.time.low,
          x2: (row: Row) => row.time.high,
          stroke: color,
          strokeWidth: 5,
          strokeOpacity: 0.35,
        }),
        dot(content.rows, { fy: 'shape', y: 'backend', x: (row: Row) => row.time.median, fill: color, r: 4.5 }),
        text(content.rows, {
          fy: 'shape',
          y: 'backend',
          x: (row: Row) => row.time.high,
          text: (row: Row) => timeText(row.time.median),
          fill: (row: Row) => (row.best ? 'var(--accent)' : 'var(--text)'),
          textAnchor: 'start',
          dx: 10,
        }),
      ],
    });
}

export function shareChart(content: Content): Draw {
  return ({ plot, barX, text, ruleX }, width) => {
    const most = Math.max(1, ...content.rows.map(({ share }) => share.median));
    return plot({
      ...frame(content, width),
      x: {
        domain: [0, most],
        label: null,
        axis: 'bottom',
        ticks: width < 500 ? 2 : 5,
        tickFormat: (share: number) => percentText(share),
        grid: true,
      },
      marks: [
        shapeNames(text, content),
        barX(content.rows, { fy: 'shape', y: 'backend', x: (row: Row) => row.share.median, fill: color, inset: 3 }),
        text(content.rows, {
          fy: 'shape',
          y: 'backend',
          x: (row: Row) => row.share.median,
          text: (row: Row) => percentText(row.share.median),
          fill: 'var(--text)',
          textAnchor: 'start',
          dx: 6,
        }),
        ruleX([0]),
      ],
    });
  };
}

/** Above each band. */
function shapeNames(text: Parameters<Draw>[0]['text'], { shapes }: Content) {
  return text(shapes.map(shapeText), {
    fy: (name: string) => name,
    text: (name: string) => name,
    frameAnchor: 'top-left',
    dx: -106,
    dy: -20,
    textAnchor: 'start',
    fontWeight: 600,
    fill: 'var(--text)',
  });
}
