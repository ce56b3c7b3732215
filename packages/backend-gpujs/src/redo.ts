// Redoes channels on the host, in float64, where intermediate numbers are beyond float32. Few calls have any: these
// read x back.
import { type Extent, type Statistics, valuesPerChannel } from '@batchnorm/core-api';
import type { DeviceArray } from './device-array.js';
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

/** How a forward normalised, and for which channels its results come from the host. */
export interface Redone {
  readonly by: Normalizer;
  /** Those that were redone: the device has no usable coefficients for them. */
  readonly channels: ReadonlySet<number>;
}

/** dgamma and dbeta, [C] each. */
export interface ParameterGradients {
  readonly dgamma: Float64Array;
  readonly dbeta: Float64Array;
}

/**
 * Redoes channels of `statistics` and `y` of a batch. Those with an input that is not finite stay NaN, which is right.
 */
export async function redoBatch(
  extent: Extent,
  x: DeviceArray,
  parameters: Parameters,
  statistics: Statistics,
  y: Float32Array,
): Promise<Redone> {
  let by = normalizerOf(statistics, parameters);
  /** Its variance may be 0 because a GPU took small deviations for 0. With an epsilon that makes no difference. */
  const isConstant = (c: number) => parameters.epsilon < leastVariance && statistics.variance[c] === 0;
  const suspects = channelsWhere(
    extent,
    (c) =>
      Number.isFinite(parameters.gamma[c]) &&
      Number.isFinite(parameters.beta[c]) &&
      (isConstant(c) || !fitsBatch(statistics, parameters, valuesPerChannel(extent), c) || !fitsFloat32(by, c)),
  );
  if (suspects.length === 0) return { by, channels: none };
  const elements = await x.read();
  const channels = suspects.filter((c) => Number.isFinite(new Float64Channel(extent, c).largest(elements)));
  for (const c of channels) {
    const { mean, variance } = new Float64Channel(extent, c).statistics(elements);
    statistics.mean[c] = mean;
    statistics.variance[c] = variance;
  }
  by = normalizerOf(statistics, parameters);
  for (const c of channels) new Float64Channel(extent, c).normalize(elements, by, y);
  return { by, channels: new Set(channels) };
}

/** The channels that kernels can't normalise by given statistics, except those where NaN or infinity is given. */
export function channelsBeyondFloat32(extent: Extent, by: Normalizer): ReadonlySet<number> {
  const vectors = [by.mean, by.invStd, by.gamma, by.beta];
  return new Set(
    channelsWhere(extent, (c) => !fitsFloat32(by, c) && vectors.every((vector) => Number.isFinite(vector[c]))),
  );
}

/** Redoes channels of `y` of given statistics. */
export async function redoNormalize(
  extent: Extent,
  x: DeviceArray,
  { by, channels }: Redone,
  y: Float32Array,
): Promise<void> {
  if (channels.size === 0) return;
  const elements = await x.read();
  for (const c of channels) new Float64Channel(extent, c).normalize(elements, by, y);
}

/** Redoes channels of all gradients. `table` has the kernels' sums, if they were asked for. */
export async function redoGradients(
  extent: Extent,
  x: DeviceArray,
  { by, channels }: Redone,
  dy: DeviceArray,
  throughStatistics: boolean,
  table: Float32Array | undefined,
  { dgamma, dbeta }: ParameterGradients,
  dx: Float32Array,
): Promise<void> {
  const M = valuesPerChannel(extent);
  /**
   * With |dy| below this on average, dy · (x − mean) and slopes may have lost digits below the smallest normal number.
   */
  const least = (c: number) => smallestNormal * 2 ** 24 * Math.max(1, by.invStd[c]!, 1 / (by.invStd[c]! || 1));
  /** With |dy| above this, the terms of dx may be beyond float32. */
  const largest = (c: number) => {
    const scale = Math.abs(by.gamma[c]! * by.invStd[c]!);
    return scale > 1 && Number.isFinite(scale) ? largestCoefficient / scale : largestCoefficient;
  };
  const hasRoom = (c: number) => {
    const sum = Math.max(Math.abs(dgamma[c]!), Math.abs(dbeta[c]!));
    return sum >= M * least(c) && sum <= largest(c) && largest(c) >= 2 ** 60 && isFiniteIn(table!, c, extent.channels);
  };
  /** Otherwise NaN is the right gradient. */
  const isNormalized = (c: number) => Number.isFinite(by.mean[c]) && Number.isFinite(by.invStd[c]);
  const suspects = channelsWhere(
    extent,
    (c) => channels.has(c) || (table !== undefined && isNormalized(c) && !hasRoom(c)),
  );
  if (suspects.length === 0) return;
  const [elements, gradient] = [await x.read(), await dy.read()];
  for (const c of suspects) {
    const channel = new Float64Channel(extent, c);
    if (!channels.has(c)) {
      const size = channel.largest(gradient);
      // NaN in, NaN out. And positive and negative dy may cancel to a small sum: then nothing was lost.
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

/** Whether all numbers of channel `c` in a table are finite. */
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
