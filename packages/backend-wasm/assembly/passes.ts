// The passes over the channels [from, to) of the outer indices [first, last), in either layout. Sections and blocks
// begin at fixed outer indices, so that the bits of a sum depend neither on threads nor on the tiles that a host array
// comes in. Where there is a mask, moments and dx go through parts of neighbours that all count, or all do not.
// biome-ignore-all format: the addresses of a call stay together

import { streams } from '../src/abi/accumulation';
import * as channelsFirst from './channels-first';
import * as channelsLast from './channels-last';
import * as elementWise from './element-wise';
import { gateOf, lanesOf } from './gate';
import { Job } from './job';
import { counts, endOfAlike } from './mask';
import { closeBlock } from './per-channel';
import { computed } from './vectors';
import * as wide from './wide';

/** A channel of fewer values than this is added up in float64 from the first addition. */
const manyValues: i32 = 64;
/** Values of a float64 channel in a block, so that no chain of additions is too long (docs/numerics.md). */
const valuesOfBlock: i32 = 256;
/** The same of neighbours in a run, which are added up in four chains. */
const runOfBlock: i32 = 1024;

/** Bytes of a pass that goes through main memory: more than any cache holds. */
const largePass: usize = 24 << 20;

/** Bytes of g that are stored before dx is made of them. */
const bytesOfG: i32 = 256 << 10;

/* @inline */ function isChannelsLast(job: Job): bool {
  return job.inner == 1;
}

/** Whether a pass over so many activations goes through main memory. */
/* @inline */ function isLarge<S>(job: Job, activations: usize): bool {
  return activations * offsetAt<S>(job, job.outer, 0) >= largePass;
}

/** Bytes from the begin of an activation to its element (o, c, 0). */
/* @inline */ function offsetAt<S>(job: Job, o: i32, c: i32): usize {
  return (<usize>o * job.channels + c) * job.inner * sizeof<S>();
}

/** The gate of row `o`, or of the run of channel `c` at outer index `o`. */
/* @inline */ function gateAt<S>(job: Job, o: i32, c: i32): usize {
  if (isChannelsLast(job)) return gateOf(job, <usize>o, computed<S>(offsetAt<S>(job, 1, 0)));
  return gateOf(job, <usize>o * job.channels + c, computed<S>(<usize>job.inner * sizeof<S>()));
}

/** `address` and `skip` bytes more, but 0 if that is 0. */
/* @inline */ function skipped(address: usize, skip: usize): usize {
  return address == 0 ? 0 : address + skip;
}

/** The end of a part [begin, end) that is to have one gate: where its vector ends, if it begins within one. */
/* @inline */ function endOfGated<T>(job: Job, begin: i32, end: i32): i32 {
  const lane = begin % lanesOf<T>();
  return job.gate == 0 || lane == 0 ? end : min(end, begin - lane + lanesOf<T>());
}

/** Adds up Σ (x − pivot) and Σ (x − pivot)² of what counts. */
export function moments<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<S, T>(job, from, to, first, last, false);
}

/** Adds up Σ g and Σ g · (x − pivot). */
export function gradientSums<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  addUp<S, T>(job, from, to, first, last, true);
}

function addUp<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  if (isChannelsLast(job)) addUpChannelsLast<S, T>(job, from, to, first, last, ofGradient);
  else {
    const inner = job.inner;
    const runsOfBlock = (valuesOfBlock + inner - 1) / inner;
    for (let o = first; o < last; o++) {
      if (ofGradient || job.mask == 0) addUpChannelsFirst<S, T>(job, from, to, o, 0, inner, ofGradient);
      else momentsOfParts<S, T>(job, from, to, o);
      const isEnd = (o + 1) % runsOfBlock == 0 || o + 1 == job.outer;
      if (sizeof<T>() == 8 && isEnd) closeBlock(job, o / job.section, from, to);
    }
  }
}

function momentsOfParts<S, T>(job: Job, from: i32, to: i32, o: i32): void {
  const inner = job.inner, position = o * inner;
  for (let i = 0, end = 0; i < inner; i = end) {
    end = endOfAlike(job, position + i, position + min(inner, (i / runOfBlock + 1) * runOfBlock)) - position;
    if (counts(job, position + i)) addUpChannelsFirst<S, T>(job, from, to, o, i, end, false);
    if (sizeof<T>() == 8 && end % runOfBlock == 0 && end < inner) closeBlock(job, o / job.section, from, to);
  }
}

function addUpChannelsLast<S, T>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const pivot = job.pivot<T>();
  const row = <i32>offsetAt<S>(job, 1, 0);
  const inFloat64 = (ofGradient ? <f64>job.outer : job.M) < <f64>manyValues;
  for (let r = first; r < last; ) {
    const section = r / job.section;
    const begin = section * job.section;
    let end = min(begin + job.section, job.outer);
    if (sizeof<T>() == 8) end = min(end, begin + ((r - begin) / valuesOfBlock + 1) * valuesOfBlock);
    const stop = min(end, last);
    const sum = sizeof<T>() == 8 ? job.blockSum(section) : job.sum(section);
    const products = sizeof<T>() == 8 ? job.blockProducts(section) : job.products(section);
    const size = job.streamRows;
    if (ofGradient) {
      const skip = offsetAt<S>(job, r, 0), gate = gateAt<S>(job, r, 0);
      channelsLast.gradientSums<S, T>(
        job.x + skip, job.dy + skip, gate, stop - r, row, from, to, size, inFloat64, pivot, sum, products,
      );
    } else {
      for (let p = r, next = r; p < stop; p = next) {
        next = endOfRows(job, p, stop);
        if (!counts(job, p)) continue;
        const x = job.x + offsetAt<S>(job, p, 0);
        channelsLast.moments<S, T>(x, next - p, row, from, to, size, inFloat64, pivot, sum, products);
      }
    }
    r = stop;
    if (sizeof<T>() == 8 && r == end) closeBlock(job, section, from, to);
  }
}

/**
 * The end of rows from `p` on that count alike. Those between two multiples of the rows of all streams are one part, so
 * that it is the same whatever tile they come in.
 */
function endOfRows(job: Job, p: i32, stop: i32): i32 {
  if (job.mask == 0) return stop;
  const group = streams * job.streamRows;
  const next = (p / group + 1) * group;
  const end = endOfAlike(job, p, stop);
  return end <= next ? end : p % group > 0 ? next : end - (end % group);
}

/** The elements [begin, end) of the runs at outer index `o`. */
function addUpChannelsFirst<S, T>(
  job: Job, from: i32, to: i32, o: i32, begin: i32, end: i32, ofGradient: bool,
): void {
  const inFloat64 = (ofGradient ? <f64>job.outer * <f64>job.inner : job.M) < <f64>manyValues;
  const section = o / job.section;
  for (let c = from; c < to; c++) {
    const p = load<T>(job.pivot<T>() + <usize>c * sizeof<T>());
    const sum = (sizeof<T>() == 8 ? job.blockSum(section) : job.sum(section)) + (<usize>c << 3);
    const products = (sizeof<T>() == 8 ? job.blockProducts(section) : job.products(section)) + (<usize>c << 3);
    let skip = offsetAt<S>(job, o, c) + <usize>begin * sizeof<S>();
    let gate = ofGradient ? gateAt<S>(job, o, c) : 0;
    for (let i = begin; i < end; ) {
      const count = sizeof<T>() == 8 ? min(end - i, runOfBlock) : end - i;
      const x = job.x + skip;
      if (ofGradient) channelsFirst.gradientSums<S, T>(x, job.dy + skip, gate, count, inFloat64, p, sum, products);
      else channelsFirst.moments<S, T>(x, count, inFloat64, p, sum, products);
      skip += <usize>count * sizeof<S>();
      gate = skipped(gate, <usize>(count / lanesOf<T>()));
      i += count;
    }
  }
}

/** y = (x − pivot) · scale + shift + residual, behind the gate */
export function normalize<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<S, T>(job, from, to, first, last, false);
}

/** dx = scale · g */
export function scaledGradient<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  affine<S, T>(job, from, to, first, last, true);
}

function affine<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  if (isChannelsLast(job)) affineRows<S, T>(job, from, to, first, last, ofGradient);
  else for (let o = first; o < last; o++) affineRuns<S, T>(job, from, to, o, 0, job.inner, ofGradient);
}

function affineRows<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32, ofGradient: bool): void {
  const input = ofGradient ? addressOfG(job) : job.x, side = ofGradient ? 0 : job.residual;
  const pivot = ofGradient ? job.zeros<T>() : job.pivot<T>(), shift = ofGradient ? job.zeros<T>() : job.shift<T>();
  const scale = job.scale<T>(), flags = job.wide;
  const row = <i32>offsetAt<S>(job, 1, 0);
  const large = isLarge<S>(job, side == 0 ? 2 : 3);
  const makesG = ofGradient && hasG(job), rows = makesG ? max(1, bytesOfG / row) : last - first;
  for (let r = first, stop = r; r < last; r = stop) {
    stop = min(r + rows, last);
    const skip = offsetAt<S>(job, r, 0), gate = ofGradient ? 0 : gateAt<S>(job, r, 0);
    for (let c = from, end = c; c < to; c = end) {
      end = endOfGated<T>(job, c, wide.endOfAlike(flags, c, to));
      if (wide.isSet(flags, c)) wide.affine(job, c, end, r, stop, 0, 1, ofGradient);
      else {
        for (let o = r; makesG && o < stop; o++) makeG<S, T>(job, o, c, 0, end - c);
        channelsLast.affine<S, T>(
          input + skip, job.out + skip, skipped(side, skip), gate, stop - r, row, c, end, pivot, scale, shift, large,
        );
      }
    }
  }
}

/** The elements [begin, end) of the runs at outer index `o`. */
function affineRuns<S, T extends number>(
  job: Job, from: i32, to: i32, o: i32, begin: i32, end: i32, ofGradient: bool,
): void {
  const input = ofGradient ? addressOfG(job) : job.x, side = ofGradient ? 0 : job.residual;
  const pivot = ofGradient ? job.zeros<T>() : job.pivot<T>(), shift = ofGradient ? job.zeros<T>() : job.shift<T>();
  const scale = job.scale<T>(), flags = job.wide;
  const makesG = ofGradient && hasG(job), isPlain = ofGradient || (side == 0 && job.gate == 0);
  const count = end - begin;
  let skip = offsetAt<S>(job, o, from) + <usize>begin * sizeof<S>();
  for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<S>()) {
    if (wide.isSet(flags, c)) {
      wide.affine(job, c, c + 1, o, o + 1, begin, end, ofGradient);
      continue;
    }
    const n = <usize>c * sizeof<T>();
    const h = load<T>(pivot + n), a = load<T>(scale + n), b = load<T>(shift + n);
    const x = input + skip, y = job.out + skip;
    if (makesG) makeG<S, T>(job, o, c, begin, count);
    if (isPlain) channelsFirst.normalize<S, T>(x, y, count, h, a, b);
    else channelsFirst.affine<S, T>(x, y, skipped(side, skip), gateAt<S>(job, o, c), count, h, a, b);
  }
}

/** Whether g is to be stored, or is dy itself. */
function hasG(job: Job): bool {
  return job.gate != 0 || job.dresidual != 0;
}

/** Where g is to be stored: in dresidual, or where nobody wants that, where dx will be. */
function addressOfG(job: Job): usize {
  return job.dresidual != 0 ? job.dresidual : job.gate != 0 ? job.out : job.dy;
}

/** Stores g of `count` neighbours from the element (o, c, i) on. */
function makeG<S, T>(job: Job, o: i32, c: i32, i: i32, count: i32): void {
  const lane = isChannelsLast(job) ? c : i;
  const gate = skipped(gateAt<S>(job, o, c), <usize>(lane / lanesOf<T>()));
  const skip = offsetAt<S>(job, o, c) + <usize>i * sizeof<S>();
  elementWise.letThrough<S, T>(job.dy + skip, addressOfG(job) + skip, gate, lane % lanesOf<T>(), count);
}

/** dx = scale · (g − ((x − pivot) · slope + offset)) of what counts, else dx = scale · g */
export function inputGradient<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  if (!isChannelsLast(job)) for (let o = first; o < last; o++) gradientOfParts<S, T>(job, from, to, o);
  else if (job.mask == 0) gradientRows<S, T>(job, from, to, first, last);
  else {
    for (let r = first, end = r; r < last; r = end) {
      end = endOfAlike(job, r, last);
      if (counts(job, r)) gradientRows<S, T>(job, from, to, r, end);
      else affineRows<S, T>(job, from, to, r, end, true);
    }
  }
}

function gradientOfParts<S, T extends number>(job: Job, from: i32, to: i32, o: i32): void {
  const inner = job.inner, position = o * inner;
  for (let i = 0, end = 0; i < inner; i = end) {
    end = endOfGated<T>(job, i, endOfAlike(job, position + i, position + inner) - position);
    if (counts(job, position + i)) gradientRuns<S, T>(job, from, to, o, i, end);
    else affineRuns<S, T>(job, from, to, o, i, end, true);
  }
}

function gradientRows<S, T extends number>(job: Job, from: i32, to: i32, first: i32, last: i32): void {
  const pivot = job.pivot<T>(), scale = job.scale<T>(), slope = job.slope<T>(), offset = job.offset<T>();
  const flags = job.wideGradient, side = job.dresidual;
  const skip = offsetAt<S>(job, first, 0), gate = gateAt<S>(job, first, 0);
  const row = <i32>offsetAt<S>(job, 1, 0);
  const large = isLarge<S>(job, side == 0 ? 3 : 4);
  for (let c = from, end = c; c < to; c = end) {
    end = endOfGated<T>(job, c, wide.endOfAlike(flags, c, to));
    if (wide.isSet(flags, c)) wide.inputGradient(job, c, end, first, last, 0, 1);
    else {
      channelsLast.inputGradient<S, T>(
        job.x + skip, job.dy + skip, job.out + skip, skipped(side, skip), gate, last - first, row, c, end,
        pivot, scale, slope, offset, large,
      );
    }
  }
}

/** The elements [begin, end) of the runs at outer index `o`. */
function gradientRuns<S, T extends number>(job: Job, from: i32, to: i32, o: i32, begin: i32, end: i32): void {
  const pivot = job.pivot<T>(), scale = job.scale<T>(), slope = job.slope<T>(), offset = job.offset<T>();
  const flags = job.wideGradient, side = job.dresidual;
  const isPlain = side == 0 && job.gate == 0;
  const count = end - begin, lane = begin % lanesOf<T>();
  let skip = offsetAt<S>(job, o, from) + <usize>begin * sizeof<S>();
  for (let c = from; c < to; c++, skip += <usize>job.inner * sizeof<S>()) {
    if (wide.isSet(flags, c)) {
      wide.inputGradient(job, c, c + 1, o, o + 1, begin, end);
      continue;
    }
    const n = <usize>c * sizeof<T>();
    const h = load<T>(pivot + n), a = load<T>(scale + n), k = load<T>(slope + n), b = load<T>(offset + n);
    const x = job.x + skip, dy = job.dy + skip, dx = job.out + skip;
    if (isPlain) channelsFirst.inputGradient<S, T>(x, dy, dx, count, h, a, k, b);
    else {
      const gate = skipped(gateAt<S>(job, o, c), <usize>(begin / lanesOf<T>()));
      channelsFirst.gradient<S, T>(x, dy, dx, skipped(side, skip), gate, lane, count, h, a, k, b);
    }
  }
}
