// How numbers look, on the page and in its reports.

/** Such as '31 µs', '0.42 ms', '1.3 s': three significant digits. */
export function timeText(seconds: number): string {
  const [factor, unit] = seconds < 1e-4 ? [1e6, 'µs'] : seconds < 1 ? [1e3, 'ms'] : [1, 's'];
  return `${digits(seconds * factor)} ${unit}`;
}

/** Such as '1.8×'. */
export function ratioText(ratio: number): string {
  return `${digits(ratio, 2)}×`;
}

/** Such as '34 %'. */
export function percentText(share: number): string {
  if (Number.isNaN(share)) return 'unknown';
  return share > 0 && share < 0.001 ? '< 0.1 %' : `${digits(share * 100, 2)} %`;
}

/** An error over its bound. */
export function boundText(worst: number): string {
  if (!Number.isFinite(worst)) return '∞';
  return worst < 1000 ? worst.toFixed(3) : worst.toExponential(1);
}

export function ulpText(ulps: number): string {
  if (!Number.isFinite(ulps)) return '∞';
  if (ulps === 0) return '0';
  return ulps < 0.001 || ulps >= 1000 ? ulps.toExponential(1) : digits(ulps);
}

/** Significant digits without an exponent: 1234, 12.3, 0.00123. */
function digits(value: number, count = 3): string {
  return new Intl.NumberFormat('en', { maximumSignificantDigits: count, useGrouping: false }).format(value);
}
