// Redoes on the host, in float64, the channels for which float32 has no room. Few calls have any: then x is read back.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import { Float64Channel } from './float64-channel.js';
import {
  fitsBatch,
  fitsFloat32,
  largestCoefficient,
  leastVariance,
  type Normalizer,
  normalizerOf,
  type Parameters,
  smallestNormal,
} from './range.js';
import type { Resident } from './resident.js';

/** What a backward needs of a forward whose results the host has seen. */
export interface OnHost {
  readonly by: Normalizer;
  /** The channels that were redone: their coefficients on the device are of no use. */
  readonly redone: ReadonlySet<number>;
}

/** dgamma and dbeta, [C] each. */
export interface ParameterGradients {
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/** Mends `statistics` and `y` of a batch, but for channels with an input that is not finite: there NaN is right. */
export async function redoBatch(
  extent: Extent,
  x: Resident,
  parameters: Parameters,
  statistics: Statistics,
  y: Float32Array,
): Promise<OnHost> {
  let by = normalizerOf(statistics, parameters);
  /** Without epsilon: or is it a GPU that takes its values for 0? */
  const isConstant = (c: number) => parameters.epsilon < leastVariance && statistics.variance[c] === 0;
  const suspects = channelsWhere(
    extent,
    (c) =>
      Number.isFinite(parameters.gamma[c]) &&
      Number.isFinite(parameters.beta[c]) &&
      (isConstant(c) || !fitsBatch(statistics, parameters, valuesPerChannel(extent), c) || !fitsFloat32(by, c)),
  );
  if (suspects.length === 0) return { by, redone: none };
  const elements = await x.read();
  const channels = suspects.filter((c) => Number.isFinite(new Float64Channel(extent, c).largest(elements)));
  for (const c of channels) {
    const { mean, variance } = new Float64Channel(extent, c).statistics(elements);
    statistics.mean[c] = mean;
    statistics.variance[c] = variance;
  }
  by = normalizerOf(statistics, parameters);
  for (const c of channels) new Float64Channel(extent, c).normalize(elements, by, y);
  return { by, redone: new Set(channels) };
}

/** The channels that kernels can't normalise by given statistics, but for those where NaN or infinity is given. */
export function misfits(extent: Extent, by: Normalizer): ReadonlySet<number> {
  const vectors = [by.mean, by.invStd, by.gamma, by.beta];
  return new Set(
    channelsWhere(extent, (c) => !fitsFloat32(by, c) && vectors.every((vector) => Number.isFinite(vector[c]))),
  );
}

/** Mends `y` of given statistics. */
export async function redoNormalize(
  extent: Extent,
  x: Resident,
  { by, redone }: OnHost,
  y: Float32Array,
): Promise<void> {
  if (redone.size === 0) return;
  const elements = await x.read();
  for (const c of redone) new Float64Channel(extent, c).normalize(elements, by, y);
}

/** Mends all gradients; `table` are the kernels', if there are any. */
export async function redoGradients(
  extent: Extent,
  x: Resident,
  { by, redone }: OnHost,
  dy: Resident,
  throughStatistics: boolean,
  table: Float32Array | undefined,
  { dgamma, dbeta }: ParameterGradients,
  dx: Float32Array,
): Promise<void> {
  const M = valuesPerChannel(extent);
  /** Below such a mean of |dy|, products with x − mean, and slopes, may have lost digits to the smallest number. */
  const least = (c: number) => smallestNormal * 2 ** 24 * Math.max(1, by.invStd[c]!, 1 / (by.invStd[c]! || 1));
  /** Above such a |dy|, what dx is a difference of may be beyond float32. */
  const largest = (c: number) => {
    const scale = Math.abs(by.gamma[c]! * by.invStd[c]!);
    return scale > 1 && Number.isFinite(scale) ? largestCoefficient / scale : largestCoefficient;
  };
  const hasRoom = (c: number) => {
    const sum = Math.max(Math.abs(dgamma[c]!), Math.abs(dbeta[c]!));
    return sum >= M * least(c) && sum <= largest(c) && largest(c) >= 2 ** 60 && isFiniteIn(table!, c, extent.channels);
  };
  /** Or NaN spreads. */
  const isNormalized = (c: number) => Number.isFinite(by.mean[c]) && Number.isFinite(by.invStd[c]);
  const suspects = channelsWhere(
    extent,
    (c) => redone.has(c) || (table !== undefined && isNormalized(c) && !hasRoom(c)),
  );
  if (suspects.length === 0) return;
  const [elements, gradient] = [await x.read(), await dy.read()];
  for (const c of suspects) {
    const channel = new Float64Channel(extent, c);
    if (!redone.has(c)) {
      const size = channel.largest(gradient);
      // NaN spreads; and sums may be small or 0 where gradients are not small, or 0.
      if (!Number.isFinite(size) || !Number.isFinite(channel.largest(elements))) continue;
      const isOrdinary = size === 0 || (size >= M * least(c) && size <= largest(c));
      if (isOrdinary && isFiniteIn(table!, c, extent.channels)) continue;
    }
    const sums = channel.parameterGradients(elements, by, gradient);
    dgamma[c] = sums.dgamma;
    dbeta[c] = sums.dbeta;
    channel.inputGradient(elements, by, gradient, throughStatistics ? sums : { dgamma: 0, dbeta: 0 }, dx);
  }
}

/** Whether all numbers of channel `c` in a table are. */
function isFiniteIn(table: Float32Array, c: number, channels: number): boolean {
  for (let k = c; k < table.length; k += channels) if (!Number.isFinite(table[k])) return false;
  return true;
}

const none: ReadonlySet<number> = new Set();

function channelsWhere({ channels }: Extent, isOne: (c: number) => boolean): number[] {
  const result: number[] = [];
  for (let c = 0; c < channels; c++) if (isOne(c)) result.push(c);
  return result;
}
