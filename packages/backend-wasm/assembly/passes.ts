// The passes over a part of an activation: channels [from, to) of the outer indices [first, last). Sums are closed at fixed
// places, whoever adds up what lies between: so the bits depend on neither threads nor the parts that a host array comes in.
import { closeBlock, movePivots } from './channels';
import { Job } from './job';
import * as rows from './rows';
import * as runs from './runs';
import {
  blockProducts, blockSum, centerOf, offsetOf, scaleOf, shiftOf, slopeOf, zerosOf,
} from './tables';

/** Values of a channel in the first block, which is float64 from the first addition: they make a pivot that no outlier spoils. */
const firstBlock: i32 = 32;
/** Up to here the second. */
const secondBlock: i32 = 288;

/** Where the block of value `seen` of a channel ends. */
@inline
function endOfBlock<T>(seen: i32): i32 {
  if (seen < firstBlock) return firstBlock;
  if (seen < secondBlock) return secondBlock;
  // No chain of float64 additions is longer than the conformance bound knows; float32 adds eight at a time.
  const length = sizeof<T>() == 4 ? 2048 : 256;
  return secondBlock + ((seen - secondBlock) / length + 1) * length;
}

@inline
function isRows(job: Job): bool {
  return job.inner == 1;
}

/** The element (o, from, 0). */
@inline
function offsetAt<T>(job: Job, o: i32, c: i32): usize {
  return (<usize>o * job.channels + c) * job.inner * sizeof<T>();
}

/** Adds up Σ (x − pivot) and its squares. */
export function moments<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const pivot = centerOf<T>(job), sum = blockSum(job), squares = blockProducts(job);
  const inner = job.inner;
  const M = job.outer * inner;
  if (isRows(job)) {
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let r = first; r < last; ) {
      const end = min(endOfBlock<T>(r), M);
      const stop = min(end, last);
      rows.moments<T>(job.x + offsetAt<T>(job, r, 0), stop - r, row, from, to, r < firstBlock, pivot, sum, squares);
      r = stop;
      if (r == end) {
        closeBlock(job, from, to);
        if (r < M) movePivots<T>(job, from, to, r);
      }
    }
    return;
  }
  for (let o = first; o < last; o++) {
    for (let i = 0; i < inner; ) {
      const seen = o * inner + i;
      const end = min(endOfBlock<T>(seen), M);
      const count = min(end - seen, inner - i);
      let at = job.x + offsetAt<T>(job, o, from) + <usize>i * sizeof<T>();
      for (let c = from; c < to; c++, at += <usize>inner * sizeof<T>()) {
        const wide = <usize>c << 3;
        const p = load<T>(pivot + <usize>c * sizeof<T>());
        runs.moments<T>(at, count, seen < firstBlock, p, sum + wide, squares + wide);
      }
      i += count;
      if (seen + count == end) {
        closeBlock(job, from, to);
        if (end < M) movePivots<T>(job, from, to, end);
      }
    }
  }
}

/** Adds up Σ dy and Σ dy · (x − center). */
export function gradientSums<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const center = centerOf<T>(job), sum = blockSum(job), products = blockProducts(job);
  const inner = job.inner;
  const M = job.outer * inner;
  if (isRows(job)) {
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let r = first; r < last; ) {
      const end = min(endOfBlock<T>(r), M);
      const stop = min(end, last);
      const skip = offsetAt<T>(job, r, 0);
      rows.gradientSums<T>(job.x + skip, job.dy + skip, stop - r, row, from, to, r < firstBlock, center, sum, products);
      r = stop;
      if (r == end) closeBlock(job, from, to);
    }
    return;
  }
  for (let o = first; o < last; o++) {
    for (let i = 0; i < inner; ) {
      const seen = o * inner + i;
      const end = min(endOfBlock<T>(seen), M);
      const count = min(end - seen, inner - i);
      let skip = offsetAt<T>(job, o, from) + <usize>i * sizeof<T>();
      for (let c = from; c < to; c++, skip += <usize>inner * sizeof<T>()) {
        const wide = <usize>c << 3;
        const h = load<T>(center + <usize>c * sizeof<T>());
        runs.gradientSums<T>(job.x + skip, job.dy + skip, count, seen < firstBlock, h, sum + wide, products + wide);
      }
      i += count;
      if (seen + count == end) closeBlock(job, from, to);
    }
  }
}

/** y = (x − center) · scale + shift */
export function normalize<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, job.x, centerOf<T>(job), shiftOf<T>(job));
}

/** dx = scale · dy */
export function scaledGradient<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, job.dy, zerosOf<T>(job), zerosOf<T>(job));
}

function affine<T>(
  job: Job, from: i32, to: i32, first: i32, last: i32, input: usize, center: usize, shift: usize,
): void {
  const scale = scaleOf<T>(job);
  if (isRows(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    rows.normalize<T>(input + skip, job.out + skip, last - first, row, from, to, center, scale, shift);
    return;
  }
  for (let o = first; o < last; o++) {
    let skip = offsetAt<T>(job, o, from);
    for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<T>()) {
      const n = <usize>c * sizeof<T>();
      const h = load<T>(center + n), a = load<T>(scale + n), b = load<T>(shift + n);
      runs.normalize<T>(input + skip, job.out + skip, job.inner, h, a, b);
    }
  }
}

/** dx = scale · (dy − ((x − center) · slope + offset)) */
export function inputGradient<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const center = centerOf<T>(job), scale = scaleOf<T>(job), slope = slopeOf<T>(job), offset = offsetOf<T>(job);
  if (isRows(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    rows.inputGradient<T>(
      job.x + skip, job.dy + skip, job.out + skip, last - first, row, from, to, center, scale, slope, offset,
    );
    return;
  }
  for (let o = first; o < last; o++) {
    let skip = offsetAt<T>(job, o, from);
    for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<T>()) {
      const n = <usize>c * sizeof<T>();
      const h = load<T>(center + n), a = load<T>(scale + n), k = load<T>(slope + n), b = load<T>(offset + n);
      runs.inputGradient<T>(job.x + skip, job.dy + skip, job.out + skip, job.inner, h, a, k, b);
    }
  }
}
