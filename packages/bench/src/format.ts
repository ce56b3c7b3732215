// How spreads look in tables.
import type { Spread } from './timing.js';

export function formatSpread({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
}
