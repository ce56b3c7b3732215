// How numbers look in every report.

/** '346 µs', '5.20 ms', '31.0 s' */
export function timeText(seconds: number): string {
  const [factor, unit] = seconds < 1e-3 ? [1e6, 'µs'] : seconds < 1 ? [1e3, 'ms'] : [1, 's'];
  return `${digitsText(seconds * factor)} ${unit}`;
}

/** '1.8×' */
export function ratioText(ratio: number): string {
  return `${Number(ratio.toPrecision(2))}×`;
}

/** A share of 1: '123 %', '34 %', '3.4 %'. */
export function percentText(share: number): string {
  if (Number.isNaN(share)) return 'unknown';
  if (share > 0 && share < 0.001) return '< 0.1 %';
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

/** An error over its bound: '0.4990', or '∞' where nothing finite was computed. */
export function boundText(worst: number): string {
  if (!Number.isFinite(worst)) return '∞';
  return worst < 1000 ? worst.toFixed(4) : worst.toExponential(1);
}

/** An error in units of the last place: '1.14'. */
export function ulpText(ulps: number): string {
  if (!Number.isFinite(ulps)) return '∞';
  if (ulps === 0) return '0';
  return ulps < 0.001 || ulps >= 1000 ? ulps.toExponential(1) : ulps.toPrecision(3);
}

/** Three significant digits without an exponent, and three decimals at most: '346', '5.20', '0.042'. */
export function digitsText(value: number): string {
  if (!Number.isFinite(value)) return '–';
  const decimals = value === 0 ? 2 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toFixed(Math.min(decimals, 3));
}

/** 'median [low, high]', each multiplied by `factor`. */
export function intervalText(
  { median, low, high }: Readonly<Record<'median' | 'low' | 'high', number>>,
  factor = 1,
): string {
  const text = (value: number) => digitsText(value * factor);
  return `${text(median)} [${text(low)}, ${text(high)}]`;
}

/** '32×64×28×28' */
export function shapeText(shape: readonly number[]): string {
  return shape.join('×');
}
