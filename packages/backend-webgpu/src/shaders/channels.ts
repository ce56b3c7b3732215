// Shaders over channels: pivots, the second stage of a reduction, and what results are computed by.
import { largestCoefficient, largestVariance, leastVariance } from '@batchnorm/core-api/float32-range';
import { threads } from './layout.js';
import { samples } from './parameters.js';
import { type Bindings, type Shader, shader, workgroupNumber, workgroupParameters } from './shader.js';

/** A thread for each channel. */
function perChannel(bindings: Bindings, body: string): Shader {
  return shader(
    bindings,
    `
@compute @workgroup_size(${threads}) fn main(${workgroupParameters}
  @builtin(local_invocation_index) lane: u32,
) {
  ${workgroupNumber}
  let channel = id * ${threads}u + lane;
  if (channel >= P.channels) { return; }
  ${body}
}`,
  );
}

/** A first pivot, the mean of some values, of which sums are not made yet. */
export function pivots(): Shader {
  return perChannel(
    { x: { type: 'f32' }, moments: { type: 'Moments', isWritten: true } },
    `let begin = channel * P.inner;
  let first = x[P.samples[0].x + begin];
  var sum = 0.0;
  for (var k = 0u; k < ${samples / 4}u; k++) {
    let at = P.samples[k] + begin;
    sum += ((x[at.x] - first) + (x[at.y] - first)) + ((x[at.z] - first) + (x[at.w] - first));
  }
  moments[channel] = Moments(first + sum * ${1 / samples}, Pair(), Pair(), 2u);`,
  );
}

/**
 * Who merges the blocks of a channel: a thread; eight of a workgroup, which wait for each other; or four neighbours of a
 * subgroup, which need not, where the device has the feature `subgroups`.
 */
export type Merging = 'thread' | 'workgroup' | 'subgroup';

export const mergingThreads: Readonly<Record<Merging, number>> = { thread: 1, workgroup: 8, subgroup: 4 };

/** Blocks of channels are merged, and `finish` has those of `channel` as `sums`. */
function merge(merging: Merging, bindings: Bindings, isWanted: string, finish: string): Shader {
  const lanes = mergingThreads[merging];
  const channels = threads / lanes;
  const { functions, share, across } = formOf(merging, channels);
  return shader(
    { partials: { type: 'Partial' }, ...bindings },
    `
${functions}
fn merged(a: Partial, b: Partial) -> Partial { return Partial(both(a.first, b.first), both(a.second, b.second)); }

@compute @workgroup_size(${threads}) fn main(${workgroupParameters}
  @builtin(local_invocation_index) lane: u32,
) {
  ${workgroupNumber}
  ${share}
  let channel = id * ${channels}u + own;
  let isWanted = channel < P.channels && ${isWanted};
  var sums = Partial();
  if (isWanted) {
    for (var block = begin; block < P.blocks; block += stride) {
      sums = merged(sums, partials[block * P.channels + channel]);
    }
  }
  ${across}
  if (!isFirst || !isWanted) { return; }
  ${finish}
}`,
    merging === 'subgroup' ? ['subgroups'] : [],
  );
}

/**
 * `share` says which channel is a thread's `own`, from which block it begins in steps of `stride`, and whether it is the
 * first of its channel, which has all `sums` after `across`.
 */
function formOf(merging: Merging, channels: number): { functions: string; share: string; across: string } {
  if (merging === 'thread') {
    return { functions: '', share: 'let own = lane; let begin = 0u; let stride = 1u; let isFirst = true;', across: '' };
  }
  if (merging === 'workgroup') {
    return {
      functions: `var<workgroup> ofLanes: array<Partial, ${threads}>;`,
      share: `
  let own = lane % ${channels}u;
  let begin = lane / ${channels}u;
  let stride = ${threads / channels}u;
  let isFirst = begin == 0u;`,
      across: `
  ofLanes[lane] = sums;
  workgroupBarrier();
  for (var distance = ${threads / 2}u; distance >= ${channels}u; distance /= 2u) {
    if (lane < distance) { sums = merged(sums, ofLanes[lane + distance]); ofLanes[lane] = sums; }
    workgroupBarrier();
  }`,
    };
  }
  // WGSL leaves open which threads are neighbours in a subgroup. Where they are not those of a workgroup, each does all.
  const isNeighbour = [1, 2, 3].map((k) => `(subgroupShuffleXor(lane, ${k}u) == (lane ^ ${k}u))`);
  return {
    functions: `
fn pairOf(pair: Pair, distance: u32) -> Pair {
  return Pair(subgroupShuffleXor(pair.high, distance), subgroupShuffleXor(pair.low, distance));
}
fn neighbour(sums: Partial, distance: u32) -> Partial {
  return Partial(pairOf(sums.first, distance), pairOf(sums.second, distance));
}`,
    share: `
  let areTogether = ${isNeighbour.join(' & ')};
  let own = lane / 4u;
  let isFirst = lane % 4u == 0u;
  let begin = select(0u, lane % 4u, areTogether);
  let stride = select(1u, 4u, areTogether);`,
    across: ['1u', '2u']
      .map(
        (distance) => `let by${distance} = neighbour(sums, ${distance});
  if (areTogether) { sums = merged(sums, by${distance}); }`,
      )
      .join('\n  '),
  };
}

/**
 * The sums of moments. Where the pivot is further than a deviation from the mean after the first round, the mean becomes
 * the pivot of a second: rounded, it is within a deviation, because no value can be nearer to the mean.
 */
export function mergedMoments(merging: Merging): Shader {
  return merge(
    merging,
    { moments: { type: 'Moments', isWritten: true } },
    'moments[min(channel, P.channels - 1u)].rounds > 0u',
    `let before = moments[channel];
  let total = sums.first.high + sums.first.low;
  let distance = total * P.overCount;
  let variance = (sums.second.high - total * distance + sums.second.low) * P.overCount;
  let isFar = before.rounds == 2u && isFinite(distance) && isFinite(variance) && distance * distance > variance;
  let pivot = select(before.pivot, before.pivot + distance, isFar);
  moments[channel] = Moments(pivot, sums.first, sums.second, u32(isFar));`,
  );
}

/** dbeta = Σ g, and dgamma = Σ g · (x − mean) · invStd. */
export function mergedGradients(merging: Merging): Shader {
  return merge(
    merging,
    { coefficients: { type: 'Coefficients' }, gradients: { type: 'Gradients', isWritten: true } },
    'true',
    `let by = coefficients[channel];
  let product = sums.second.high - by.meanLow * sums.first.high + sums.second.low;
  gradients[channel] = Gradients(sums.first, product * by.invStd);`,
  );
}

/**
 * By what a forward normalises: `vectors` are gamma and beta. 1/√ is refined by a Newton step, because a GPU's square
 * root and division may be some units off. Beyond the range of float32 (see range.ts) all of it is NaN.
 */
export function coefficientsOfBatch(): Shader {
  return perChannel(
    { moments: { type: 'Moments' }, vectors: { type: 'f32' }, coefficients: { type: 'Coefficients', isWritten: true } },
    `let known = moments[channel];
  let gamma = vectors[channel];
  let beta = vectors[P.channels + channel];
  let total = known.sum.high + known.sum.low;
  let meanLow = total * P.overCount;
  let variance = max(0.0, (known.squares.high - total * meanLow + known.squares.low) * P.overCount) + P.epsilon;
  let rough = inverseSqrt(variance);
  let invStd = select(rough * (1.5 - 0.5 * variance * rough * rough), 0.0, variance == 0.0);
  let scale = gamma * invStd;
  let shift = beta - meanLow * scale;
  let isConstant = known.squares.high == 0.0;
  let isLost = !isFinite(total) || !isFinite(known.squares.high)
    || (!isConstant && variance < ${leastVariance}f)
    || max(variance, known.squares.high) > ${largestVariance}f;
  if (isLost) {
    coefficients[channel] = Coefficients(nan(), nan(), nan(), nan(), nan());
    return;
  }
  // Parameters that are not finite, or too large, are y's alone, and scale is that of dx: dgamma and dbeta have none.
  let isScaleLost = !isFinite(scale) || abs(scale) > ${largestCoefficient}f;
  let isShiftLost = isScaleLost || !isFinite(shift) || abs(shift) > ${largestCoefficient}f;
  coefficients[channel] = Coefficients(
    known.pivot, select(scale, nan(), isScaleLost), select(shift, nan(), isShiftLost), meanLow, invStd,
  );`,
  );
}
