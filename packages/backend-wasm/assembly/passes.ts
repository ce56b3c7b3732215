// The passes over a part of an activation: channels [from, to) of the outer indices [first, last). Sums are closed at fixed
// places, whoever adds up what lies between: so the bits depend on neither threads nor the parts that a host array comes in.
import { closeBlock } from './per-channel';
import { Job } from './job';
import * as channelsLast from './channels-last';
import * as channelsFirst from './channels-first';
import * as wide from './wide';

/** Channels of fewer values than this are added up in float64 from the first addition. */
const manyValues: i32 = 64;
/**
 * Values of a float64 channel whose sum is a block, rows or short runs, and elements of a run: no chain of additions is longer than
 * the bound knows.
 */
const valuesOfBlock: i32 = 256;
const runOfBlock: i32 = 1024;

/** Bytes that no cache holds, as far as a pass can hope. */
const largePass: usize = 24 << 20;

@inline
function isRows(job: Job): bool {
  return job.inner == 1;
}

/** Whether a pass over so many tensors goes through main memory. */
@inline
function isLarge<T>(job: Job, tensors: usize): bool {
  return tensors * offsetAt<T>(job, job.outer, 0) >= largePass;
}

/** The element (o, from, 0). */
@inline
function offsetAt<T>(job: Job, o: i32, c: i32): usize {
  return (<usize>o * job.channels + c) * job.inner * sizeof<T>();
}

/** Adds up Σ (x − pivot) and its squares. */
export function moments<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<T>(job, from, to, first, last, false);
}

/** Adds up Σ dy and Σ dy · (x − pivot). */
export function gradientSums<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<T>(job, from, to, first, last, true);
}

function addUp<T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  if (isRows(job)) addUpRows<T>(job, from, to, first, last, ofGradient);
  else {
    const runsOfBlock = (valuesOfBlock + job.inner - 1) / job.inner;
    for (let o = first; o < last; o++) {
      addUpRuns<T>(job, from, to, o, ofGradient);
      if (sizeof<T>() == 8 && ((o + 1) % runsOfBlock == 0 || o + 1 == job.outer)) closeBlock(job, o / job.section, from, to);
    }
  }
}

/** Sections and blocks end at fixed channelsLast. */
function addUpRows<T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const pivot = job.pivot<T>();
  const row = <i32>offsetAt<T>(job, 1, 0);
  const inFloat64 = job.outer < manyValues;
  for (let r = first; r < last; ) {
    const section = r / job.section;
    const begin = section * job.section;
    let end = min(begin + job.section, job.outer);
    if (sizeof<T>() == 8) end = min(end, begin + ((r - begin) / valuesOfBlock + 1) * valuesOfBlock);
    const stop = min(end, last);
    const sum = sizeof<T>() == 8 ? job.blockSum(section) : job.sum(section);
    const products = sizeof<T>() == 8 ? job.blockProducts(section) : job.products(section);
    const skip = offsetAt<T>(job, r, 0);
    if (ofGradient) channelsLast.gradientSums<T>(job.x + skip, job.dy + skip, stop - r, row, from, to, job.streamRows, inFloat64, pivot, sum, products);
    else channelsLast.moments<T>(job.x + skip, stop - r, row, from, to, job.streamRows, inFloat64, pivot, sum, products);
    r = stop;
    if (sizeof<T>() == 8 && r == end) closeBlock(job, section, from, to);
  }
}

function addUpRuns<T>(job: Job, from: i32, to: i32, o: i32, ofGradient: bool): void {
  const inner = job.inner;
  const inFloat64 = job.outer * inner < manyValues;
  const section = o / job.section;
  let skip = offsetAt<T>(job, o, from);
  for (let c = from; c < to; c++) {
    const p = load<T>(job.pivot<T>() + <usize>c * sizeof<T>());
    const sum = (sizeof<T>() == 8 ? job.blockSum(section) : job.sum(section)) + (<usize>c << 3);
    const products = (sizeof<T>() == 8 ? job.blockProducts(section) : job.products(section)) + (<usize>c << 3);
    for (let i = 0; i < inner; ) {
      const count = sizeof<T>() == 8 ? min(inner - i, runOfBlock) : inner;
      if (ofGradient) channelsFirst.gradientSums<T>(job.x + skip, job.dy + skip, count, inFloat64, p, sum, products);
      else channelsFirst.moments<T>(job.x + skip, count, inFloat64, p, sum, products);
      skip += <usize>count * sizeof<T>();
      i += count;
    }
  }
}

/** y = (x − pivot) · scale + shift */
export function normalize<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, false);
}

/** dx = scale · dy */
export function scaledGradient<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, true);
}

function affine<T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const input = ofGradient ? job.dy : job.x;
  const pivot = ofGradient ? job.zeros<T>() : job.pivot<T>(), shift = ofGradient ? job.zeros<T>() : job.shift<T>();
  const scale = job.scale<T>(), flags = job.wide;
  if (isRows(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let c = from, end = c; c < to; c = end) {
      end = wide.endOfAlike(flags, c, to);
      if (wide.isSet(flags, c)) wide.affine(job, c, end, first, last, ofGradient);
      else channelsLast.normalize<T>(input + skip, job.out + skip, last - first, row, c, end, pivot, scale, shift, isLarge<T>(job, 2));
    }
    return;
  }
  for (let o = first; o < last; o++) {
    let skip = offsetAt<T>(job, o, from);
    for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<T>()) {
      if (wide.isSet(flags, c)) {
        wide.affine(job, c, c + 1, o, o + 1, ofGradient);
        continue;
      }
      const n = <usize>c * sizeof<T>();
      const h = load<T>(pivot + n), a = load<T>(scale + n), b = load<T>(shift + n);
      channelsFirst.normalize<T>(input + skip, job.out + skip, job.inner, h, a, b);
    }
  }
}

/** dx = scale · (dy − ((x − pivot) · slope + offset)) */
export function inputGradient<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const pivot = job.pivot<T>(), scale = job.scale<T>(), slope = job.slope<T>(), offset = job.offset<T>();
  const flags = job.wideGradient;
  if (isRows(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let c = from, end = c; c < to; c = end) {
      end = wide.endOfAlike(flags, c, to);
      if (wide.isSet(flags, c)) wide.inputGradient(job, c, end, first, last);
      else {
        channelsLast.inputGradient<T>(
          job.x + skip, job.dy + skip, job.out + skip, last - first, row, c, end, pivot, scale, slope, offset, isLarge<T>(job, 3),
        );
      }
    }
    return;
  }
  for (let o = first; o < last; o++) {
    let skip = offsetAt<T>(job, o, from);
    for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<T>()) {
      if (wide.isSet(flags, c)) {
        wide.inputGradient(job, c, c + 1, o, o + 1);
        continue;
      }
      const n = <usize>c * sizeof<T>();
      const h = load<T>(pivot + n), a = load<T>(scale + n), k = load<T>(slope + n), b = load<T>(offset + n);
      channelsFirst.inputGradient<T>(job.x + skip, job.dy + skip, job.out + skip, job.inner, h, a, k, b);
    }
  }
}
