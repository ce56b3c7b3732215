// Redoes channels on the host, in float64, where intermediate numbers are beyond float32. Few calls have any: these
// read x back.
import {
  type CountedPositions,
  type Extent,
  type GradientSums,
  type Moments,
  type Nonlinearity,
  type Statistics,
  statisticsOf,
  valuesPerChannel,
} from '@batchnorm/core-api';
import {
  fitsFloat32,
  fitsParameters,
  fitsVariance,
  largestCoefficient,
  leastVariance,
  type Normalizer,
  normalizerOf,
  type Parameters,
  smallestNormal,
} from '@batchnorm/core-api/float32-range';
import type { DeviceArray } from './device-array.js';
import { Float64Channel, type Summands } from './float64-channel.js';

/** What the host knows of a batch, and which channels of it are not as kernels have them. */
export interface SeenMoments {
  readonly moments: Moments;
  /** Those that were redone. */
  readonly channels: ReadonlySet<number>;
}

/** How a forward normalised, and for which channels its results come from the host. */
export interface Redone {
  readonly by: Normalizer;
  /** Those that were redone: the device has no usable coefficients for them. */
  readonly channels: ReadonlySet<number>;
}

/** What the host knows of sums of gradients: their table, too, if they come of one. */
export interface SeenSums extends GradientSums {
  readonly table?: Float32Array;
}

/** A backward of whose forward the host knows how it normalised. */
export interface SeenBackward {
  readonly extent: Extent;
  readonly x: DeviceArray;
  /** dy behind the nonlinearity. */
  readonly g: DeviceArray;
  readonly redone: Redone;
}

/** `moments`, with channels redone. Those with an input that is not finite stay NaN, which is right. */
export async function redoMoments(
  extent: Extent,
  x: DeviceArray,
  epsilon: number,
  mask: CountedPositions | undefined,
  moments: Moments,
): Promise<SeenMoments> {
  const { count, mean, m2 } = moments;
  /** It may be 0 because a GPU took small deviations for 0. With an epsilon that makes no difference. */
  const isConstant = (c: number) => epsilon < leastVariance && m2[c] === 0;
  const suspects = channelsWhere(
    extent.channels,
    (c) => isConstant(c) || !fitsVariance(m2[c]! / count, epsilon, count),
  );
  if (suspects.length === 0) return { moments, channels: none };
  const elements = await x.read();
  const channels = suspects.filter((c) => Number.isFinite(new Float64Channel(extent, c, mask).largest(elements)));
  for (const c of channels) {
    const exact = new Float64Channel(extent, c, mask).moments(elements);
    mean[c] = exact.mean;
    m2[c] = exact.m2;
  }
  return { moments, channels: new Set(channels) };
}

/** The channels that kernels can't normalise by coefficients that they make of moments. */
export function redoneOfBatch({ moments, channels }: SeenMoments, parameters: Parameters): Redone {
  const statistics = statisticsOf(moments);
  const fits = (c: number) => !channels.has(c) && fitsParameters(statistics.variance[c]!, parameters, c);
  return redoneUnless(fits, statistics, parameters);
}

/** The channels that kernels can't normalise by coefficients that the host makes. */
export function redoneOfGiven(statistics: Statistics, parameters: Parameters): Redone {
  return redoneUnless(() => true, statistics, parameters);
}

/** Channels where NaN or infinity is given are not redone: they have the right results. */
function redoneUnless(fits: (c: number) => boolean, statistics: Statistics, parameters: Parameters): Redone {
  const by = normalizerOf(statistics, parameters);
  const vectors = [by.mean, by.invStd, by.gamma, by.beta];
  const channels = channelsWhere(
    by.mean.length,
    (c) => !(fits(c) && fitsFloat32(by, c)) && vectors.every((vector) => Number.isFinite(vector[c])),
  );
  return { by, channels: new Set(channels) };
}

/** Redoes channels of `y`. */
export async function redoNormalize(
  extent: Extent,
  summands: Summands<DeviceArray>,
  { by, channels }: Redone,
  activation: Nonlinearity,
  y: Float32Array,
): Promise<void> {
  if (channels.size === 0) return;
  const elements = await elementsOf(summands);
  for (const c of channels) new Float64Channel(extent, c).normalize(elements, by, activation, y);
}

/** Redoes channels of `g`, which is dy behind 'relu'. */
export async function redoUpstream(
  extent: Extent,
  summands: Summands<DeviceArray>,
  dy: DeviceArray,
  { by, channels }: Redone,
  g: Float32Array,
): Promise<void> {
  if (channels.size === 0) return;
  const [elements, gradient] = [await elementsOf(summands), await dy.read()];
  for (const c of channels) new Float64Channel(extent, c).upstream(elements, by, gradient, g);
}

async function elementsOf({ x, residual }: Summands<DeviceArray>): Promise<Summands<Float32Array>> {
  return { x: await x.read(), residual: await residual?.read() };
}

/** The `sums` of this g, with channels redone. */
export async function redoGradientSums(backward: SeenBackward, sums: SeenSums): Promise<SeenSums> {
  const { extent, x, g, redone } = backward;
  const channels = await channelsBeyond(backward, sums, valuesPerChannel(extent));
  if (channels.length === 0) return sums;
  const [elements, gradient] = [await x.read(), await g.read()];
  for (const c of channels) {
    const exact = new Float64Channel(extent, c).gradientSums(elements, redone.by, gradient);
    sums.dgamma[c] = exact.dgamma;
    sums.dbeta[c] = exact.dbeta;
  }
  return sums;
}

/**
 * Redoes channels of `dx`: those that are beyond float32 by these `sums` of M values, which without any are those that
 * the forward redid. With constant statistics the sums are not in dx, nor are they in that of values that did not count.
 */
export async function redoInputGradient(
  backward: SeenBackward,
  sums: SeenSums | undefined,
  M: number,
  throughStatistics: boolean,
  mask: CountedPositions | undefined,
  dx: Float32Array,
): Promise<void> {
  const { extent, x, g, redone } = backward;
  const channels = sums ? await channelsBeyond(backward, sums, M) : [...redone.channels];
  if (channels.length === 0) return;
  const [elements, gradient] = [await x.read(), await g.read()];
  const through = throughStatistics ? sums : undefined;
  for (const c of channels) {
    if (!through || mask) new Float64Channel(extent, c).scaledGradient(redone.by, gradient, dx);
    if (!through) continue;
    const means = { ofG: through.dbeta[c]! / M, ofProduct: through.dgamma[c]! / M };
    new Float64Channel(extent, c, mask).inputGradient(elements, redone.by, gradient, means, dx);
  }
}

/** The channels whose gradients kernels can't compute, as sums of M values tell. */
async function channelsBeyond(
  { extent, x, g, redone: { by, channels } }: SeenBackward,
  { dgamma, dbeta, table }: SeenSums,
  M: number,
): Promise<readonly number[]> {
  /**
   * With |g| below this on average, g · (x − mean) and slopes may have lost digits below the smallest normal number.
   */
  const least = (c: number) => smallestNormal * 2 ** 24 * Math.max(1, by.invStd[c]!, 1 / (by.invStd[c]! || 1));
  /** With |g| above this, the terms of dx may be beyond float32. */
  const largest = (c: number) => {
    const scale = Math.abs(by.gamma[c]! * by.invStd[c]!);
    return scale > 1 && Number.isFinite(scale) ? largestCoefficient / scale : largestCoefficient;
  };
  const sum = (c: number) => Math.max(Math.abs(dgamma[c]!), Math.abs(dbeta[c]!));
  const isTableFinite = (c: number) => table === undefined || isFiniteIn(table, c, extent.channels);
  const hasRoom = (c: number) =>
    sum(c) >= M * least(c) && sum(c) <= largest(c) && largest(c) >= 2 ** 60 && isTableFinite(c);
  /** Otherwise NaN is the right gradient. */
  const isNormalized = (c: number) => Number.isFinite(by.mean[c]) && Number.isFinite(by.invStd[c]);
  const suspects = channelsWhere(extent.channels, (c) => channels.has(c) || (isNormalized(c) && !hasRoom(c)));
  if (suspects.length === channels.size) return suspects;
  const [elements, gradient] = [await x.read(), await g.read()];
  return suspects.filter((c) => {
    if (channels.has(c)) return true;
    const channel = new Float64Channel(extent, c);
    const ofG = channel.largest(gradient);
    // NaN in, NaN out.
    if (!Number.isFinite(ofG) || !Number.isFinite(channel.largest(elements))) return false;
    // Positive and negative g may cancel to a small sum: then nothing was lost. Sums may be of other batches, too.
    const size = Math.max(ofG, sum(c) / M);
    return !(isTableFinite(c) && (size === 0 || (size >= M * least(c) && size <= largest(c))));
  });
}

/** Whether all numbers of channel `c` in a table are finite. */
function isFiniteIn(table: Float32Array, c: number, channels: number): boolean {
  for (let k = c; k < table.length; k += channels) if (!Number.isFinite(table[k])) return false;
  return true;
}

const none: ReadonlySet<number> = new Set();

function channelsWhere(channels: number, isOne: (c: number) => boolean): number[] {
  const result: number[] = [];
  for (let c = 0; c < channels; c++) if (isOne(c)) result.push(c);
  return result;
}
