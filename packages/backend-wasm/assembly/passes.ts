// The passes over the channels [from, to) of the outer indices [first, last), in either layout. Sections and blocks
// begin at fixed outer indices, so that the bits of a sum depend neither on threads nor on the tiles that a host array
// comes in.
// biome-ignore-all format: the addresses of a call stay together

import * as channelsFirst from './channels-first';
import * as channelsLast from './channels-last';
import { Job } from './job';
import { closeBlock } from './per-channel';
import * as wide from './wide';

/** A channel of fewer values than this is added up in float64 from the first addition. */
const manyValues: i32 = 64;
/** Values of a float64 channel in a block, so that no chain of additions is too long (docs/numerics.md). */
const valuesOfBlock: i32 = 256;
/** The same of neighbours in a run, which are added up in four chains. */
const runOfBlock: i32 = 1024;

/** Bytes of a pass that goes through main memory: more than any cache holds. */
const largePass: usize = 24 << 20;

/* @inline */ function isChannelsLast(job: Job): bool {
  return job.inner == 1;
}

/** Whether a pass over so many activations goes through main memory. */
/* @inline */ function isLarge<T>(job: Job, activations: usize): bool {
  return activations * offsetAt<T>(job, job.outer, 0) >= largePass;
}

/** Bytes from the begin of an activation to its element (o, c, 0). */
/* @inline */ function offsetAt<T>(job: Job, o: i32, c: i32): usize {
  return (<usize>o * job.channels + c) * job.inner * sizeof<T>();
}

/** Adds up Σ (x − pivot) and Σ (x − pivot)². */
export function moments<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<T>(job, from, to, first, last, false);
}

/** Adds up Σ dy and Σ dy · (x − pivot). */
export function gradientSums<T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<T>(job, from, to, first, last, true);
}

function addUp<T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  if (isChannelsLast(job)) addUpChannelsLast<T>(job, from, to, first, last, ofGradient);
  else {
    const runsOfBlock = (valuesOfBlock + job.inner - 1) / job.inner;
    for (let o = first; o < last; o++) {
      addUpChannelsFirst<T>(job, from, to, o, ofGradient);
      const isEnd = (o + 1) % runsOfBlock == 0 || o + 1 == job.outer;
      if (sizeof<T>() == 8 && isEnd) closeBlock(job, o / job.section, from, to);
    }
  }
}

function addUpChannelsLast<T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
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
    const x = job.x + skip, dy = job.dy + skip, n = stop - r, size = job.streamRows;
    if (ofGradient) channelsLast.gradientSums<T>(x, dy, n, row, from, to, size, inFloat64, pivot, sum, products);
    else channelsLast.moments<T>(x, n, row, from, to, size, inFloat64, pivot, sum, products);
    r = stop;
    if (sizeof<T>() == 8 && r == end) closeBlock(job, section, from, to);
  }
}

function addUpChannelsFirst<T>(job: Job, from: i32, to: i32, o: i32, ofGradient: bool): void {
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
export function normalize<T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, false);
}

/** dx = scale · dy */
export function scaledGradient<T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<T>(job, from, to, first, last, true);
}

function affine<T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const input = ofGradient ? job.dy : job.x;
  const pivot = ofGradient ? job.zeros<T>() : job.pivot<T>(), shift = ofGradient ? job.zeros<T>() : job.shift<T>();
  const scale = job.scale<T>(), flags = job.wide;
  if (isChannelsLast(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let c = from, end = c; c < to; c = end) {
      end = wide.endOfAlike(flags, c, to);
      if (wide.isSet(flags, c)) wide.affine(job, c, end, first, last, ofGradient);
      else {
        const x = input + skip, y = job.out + skip;
        channelsLast.normalize<T>(x, y, last - first, row, c, end, pivot, scale, shift, isLarge<T>(job, 2));
      }
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
export function inputGradient<T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const pivot = job.pivot<T>(), scale = job.scale<T>(), slope = job.slope<T>(), offset = job.offset<T>();
  const flags = job.wideGradient;
  if (isChannelsLast(job)) {
    const skip = offsetAt<T>(job, first, 0);
    const row = <i32>offsetAt<T>(job, 1, 0);
    for (let c = from, end = c; c < to; c = end) {
      end = wide.endOfAlike(flags, c, to);
      if (wide.isSet(flags, c)) wide.inputGradient(job, c, end, first, last);
      else {
        channelsLast.inputGradient<T>(
          job.x + skip, job.dy + skip, job.out + skip, last - first, row, c, end,
          pivot, scale, slope, offset, isLarge<T>(job, 3),
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
