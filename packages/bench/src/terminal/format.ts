// How numbers look in tables.
import type { Interval } from '../timing/statistics.js';

/** Three significant digits without an exponent. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const digits = value === 0 ? 2 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(digits, 3));
}

/** median [low, high] */
export function formatInterval({ median, low, high }: Interval, factor = 1): string {
  const text = (value: number) => formatNumber(value * factor);
  return `${text(median)} [${text(low)}, ${text(high)}]`;
}

export function formatPercent(share: number): string {
  return `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`;
}
