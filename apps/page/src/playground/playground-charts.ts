// The charts of the second view.
import type { Draw } from '../chart/chart.js';

const style = { background: 'none', fontSize: '12px' } as const;

/** Both histograms have the same axis, so that one sees where values went. */
const extent: [number, number] = [-12, 12];
const binWidth = 0.5;
const bins = Array.from({ length: (extent[1] - extent[0]) / binWidth + 1 }, (_, n) => extent[0] + n * binWidth);

export function histogram(values: readonly number[], fill: string): Draw {
  return ({ plot, rectY, binX, ruleY }, width) =>
    plot({
      width,
      height: 150,
      marginLeft: 10,
      marginRight: 10,
      marginTop: 8,
      style,
      x: { domain: extent, label: null, ticks: 7 },
      y: { axis: null },
      marks: [
        rectY(values, { ...binX({ y: 'count' }, { x: (value: number) => value, thresholds: bins }), fill }),
        ruleY([0], { stroke: 'var(--line)' }),
      ],
    });
}

/** What it was after each batch, beginning with batch 0, and what it moves towards. */
export function convergence(history: readonly number[], target: number): Draw {
  const points = history.map((value, batch) => ({ batch, value }));
  return ({ plot, lineY, ruleY, dot }, width) =>
    plot({
      width,
      height: 180,
      marginLeft: 34,
      marginTop: 10,
      style,
      x: { domain: [0, Math.max(20, history.length - 1)], label: null, ticks: 5, tickFormat: 'd' },
      y: { label: null, nice: true, ticks: 5, grid: true, zero: true },
      marks: [
        ruleY([target], { stroke: 'var(--quiet)', strokeDasharray: '4 4' }),
        lineY(points, { x: 'batch', y: 'value', stroke: 'var(--accent)', strokeWidth: 2 }),
        dot(points.slice(-1), { x: 'batch', y: 'value', fill: 'var(--accent)', r: 4 }),
      ],
    });
}

/** dx of every value by where it lies; the pushed one, if there is one, stands out. */
export function gradients(x: ArrayLike<number>, dx: ArrayLike<number>, pushed: number | undefined): Draw {
  const points = Array.from(x, (value, n) => ({ x: value, dx: dx[n]!, pushed: n === pushed }));
  return ({ plot, dot, ruleY }, width) =>
    plot({
      width,
      height: 220,
      marginLeft: 50,
      marginTop: 10,
      marginBottom: 34,
      style,
      x: { label: 'x', labelArrow: 'none' },
      y: { label: null, grid: true, ticks: 5, nice: true },
      marks: [
        ruleY([0], { stroke: 'var(--quiet)' }),
        dot(
          points.filter((point) => !point.pushed),
          { x: 'x', y: 'dx', fill: 'var(--quiet)', r: 4 },
        ),
        dot(
          points.filter((point) => point.pushed),
          { x: 'x', y: 'dx', fill: 'var(--accent)', r: 6 },
        ),
      ],
    });
}
