// The charts of the benchmark: time as a dot with its spread, and the share of the copy limit as a bar; the best in the
// accent's colour.

import { percentText, shapeText, timeText } from '@batchnorm/reporting';
import type { Operation } from '@batchnorm/select';
import { type BackendName, backends as registry } from '../backends.js';
import type { Draw } from '../chart/chart.js';
import { recommend } from '../recommend/recommend.js';
import type { Shape } from '../shape.js';
import { timingOf, type Visit } from '../visit/visit.js';
import { shapeWords } from '../words.js';
import { type Spread, shareOfLimit, spreadOf } from './spread.js';

export interface Row {
  readonly shape: string;
  readonly backend: BackendName;
  readonly time: Spread;
  readonly share: Spread;
  /** The one to recommend for this shape. */
  readonly best: boolean;
}

/** One for each backend and shape that has been timed. */
export function rowsOf(visit: Visit, operation: Operation): Row[] {
  return visit.settings.shapes.flatMap((shape) => {
    const [best] = recommend(visit, shape, operation).ranking;
    const rows = visit.backends.flatMap(({ name, timings }) => {
      const timing = timingOf(timings, shape, operation);
      return timing ? [{ backend: name, time: spreadOf(timing.seconds), share: shareOfLimit(timing) }] : [];
    });
    return rows.map((row) => ({ ...row, shape: shapeText(shape), best: row.backend === best?.backend }));
  });
}

const rowHeight = 22;
/** Above the lines of each shape, for its name. */
const nameHeight = 30;
const axisHeight = 24;
/** For the names of backends, and for a number behind the longest bar. */
const [marginLeft, marginRight] = [136, 70];
/** Pixels of a tick's name, with room around it. */
const nameWidth = 52;

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
    marginLeft,
    marginRight,
    marginTop: nameHeight,
    marginBottom: axisHeight,
    style: { background: 'none', fontSize: '12px', overflow: 'visible' },
    fy: { domain: shapes.map(shapeText), label: null, axis: null, paddingInner, paddingOuter: 0 },
    y: { domain: backends, label: null, tickSize: 0, tickFormat: (name: BackendName) => registry[name].title },
  } as const;
}

/** Where a number stands: right of the dot or bar of its row. */
const besideMark = { fy: 'shape', y: 'backend', textAnchor: 'start' } as const;

const color = ({ best }: Row) => (best ? 'var(--accent)' : 'var(--quiet)');

/** From the shortest to the longest time, with room around them; before anything is timed, 10 µs to 100 ms. */
function timeDomain(rows: readonly Row[]): [number, number] {
  const times = rows.flatMap(({ time }) => [time.low, time.high]);
  return times.length === 0 ? [1e-5, 1e-1] : [Math.min(...times) / 1.5, Math.max(...times) * 1.5];
}

/** Names the ticks of 1, 2 and 5 within two powers of ten; else as many powers of ten as fit into `room` pixels. */
function tickText([low, high]: [number, number], room: number): (seconds: number) => string {
  const decades = Math.log10(high / low);
  const every = Math.ceil((decades * nameWidth) / room);
  return (seconds) => {
    const exponent = Math.floor(Math.log10(seconds) + 1e-9);
    const leading = Math.round(seconds / 10 ** exponent);
    const named = decades < 2 ? [1, 2, 5].includes(leading) : leading === 1 && exponent % every === 0;
    return named ? timeText(seconds).replace(/\.0+/, '') : '';
  };
}

export function timeChart(content: Content): Draw {
  const domain = timeDomain(content.rows);
  return ({ plot, dot, ruleY, text }, width) =>
    plot({
      ...frame(content, width),
      x: {
        type: 'log',
        domain,
        label: null,
        axis: 'bottom',
        ticks: width < 500 ? 3 : 5,
        tickFormat: tickText(domain, width - marginLeft - marginRight),
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
          ...besideMark,
          x: (row: Row) => row.time.high,
          text: (row: Row) => timeText(row.time.median),
          fill: (row: Row) => (row.best ? 'var(--accent)' : 'var(--text)'),
          dx: 10,
        }),
      ],
    });
}

export function shareChart(content: Content): Draw {
  return ({ plot, barX, text, ruleX }, width) => {
    const most = Math.max(1, ...content.rows.map(({ share }) => share.median || 0));
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
          ...besideMark,
          x: (row: Row) => row.share.median,
          text: (row: Row) => percentText(row.share.median),
          fill: 'var(--text)',
          dx: 6,
        }),
        ruleX([0]),
      ],
    });
  };
}

/** The name of each shape, above its band. */
function shapeNames(text: Parameters<Draw>[0]['text'], { shapes }: Content) {
  return text(shapes, {
    fy: (shape: Shape) => shapeText(shape),
    text: shapeWords,
    frameAnchor: 'top-left',
    dx: -marginLeft,
    dy: -20,
    textAnchor: 'start',
    fontWeight: 600,
    fill: 'var(--text)',
  });
}
