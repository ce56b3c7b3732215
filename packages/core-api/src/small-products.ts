// Sums of gradients whose products dy · (x − mean) are too small for float64: added up again, of a larger dy.
import type { GradientSums, Plan } from './backend.js';
import { everyIndex, valuesPerChannel } from './extent.js';
import type { Forward, HostPasses } from './host-passes.js';
import type { FloatArray } from './tensor.js';

/** Products that sum to less than this, for each value, may have lost digits below the smallest normal number. */
const leastProduct = 2 ** -1021;
/** A power of two, so that nothing is rounded: it makes any such product a normal number, and none infinite. */
const factor = 2 ** 1000;

/**
 * Corrects the `sums` of `dy`, a float64 activation, in channels where dgamma = invStd · Σ dy · (x − mean) is small, and
 * so is dbeta = Σ dy, beside which it would not count.
 */
export function correctSmallProducts(
  passes: Pick<HostPasses, 'gradientSums'>,
  forward: Forward,
  { extent, activation }: Plan,
  dy: FloatArray,
  { dgamma, dbeta }: GradientSums,
): void {
  const M = valuesPerChannel(extent);
  const isSmall = (c: number) =>
    Math.abs(dgamma[c]!) + Math.abs(dbeta[c]!) < M * leastProduct * forward.invStd[c]! &&
    // What ReLU left nothing of is no small number.
    !everyIndex(extent, c, (k) => dy[k] === 0 || (activation === 'relu' && zOf(forward, k, c) <= 0));
  let c = 0;
  while (c < dgamma.length && !isSmall(c)) c++;
  if (c === dgamma.length) return;
  const larger = { dgamma: new Float64Array(dgamma.length), dbeta: new Float64Array(dgamma.length) };
  passes.gradientSums(forward, dy.map((value) => value * factor) as FloatArray, larger.dgamma, larger.dbeta);
  for (; c < dgamma.length; c++) {
    if (isSmall(c) && Number.isFinite(larger.dgamma[c])) dgamma[c] = larger.dgamma[c]! / factor;
  }
}

/** (x − mean) · scale + beta + residual */
function zOf({ x, residual, mean, scale, beta }: Forward, k: number, c: number): number {
  return (x[k]! - mean[c]!) * scale[c]! + beta[c]! + (residual ? residual[k]! : 0);
}
