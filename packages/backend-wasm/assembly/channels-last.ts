// Passes over a channels-last activation: the channels [from, to) of `count` rows, which begin `row` bytes apart.
// Tables are per channel.
//
// Sums of float32 take eight rows at a time as a tree, and add that up in float64 (docs/numerics.md). Those of few
// rows, of channels after the last four, and of float64 are float64 from the first addition. The eight rows come from
// eight streams, each of which is read from its first row to its last: eight neighbouring rows would be streams that
// end with every row, and the prefetcher would have to find each of them again.
//
// Passes that write go through four quarters of the rows at once. If each row loaded its coefficients, four per
// element, that would take longer than the arithmetic; and four neighbouring rows would break the prefetcher's streams.
// Where all comes from main memory, a single stream is the fastest: the loads of coefficients take no time beside it.
//
// A channel has the same bits in whichever range: the last channels, too, are rounded as vectors are.
//
// A `gate` is the address of that of the first row (gate.ts), and 0 where there is none. `side` is the residual that y
// has in it, or where g goes, and 0 where there is none. Without either, loops do not ask for them.
//
// Names of vectors: p or h for pivots, d for deviations from them, g for dy, s for sums, q for squares, a for scales, b
// for shifts or offsets, k for slopes.
// biome-ignore-all format: one line for one vector
import { streams } from '../src/abi/accumulation';
import * as elementWise from './element-wise';
import { behind, behindPair, bitsOfPair, gateBytes, lanesOf } from './gate';
import {
  addTo, computed, multiplyAdd, only, pairAt, singleAt, stored, storeTwo, sumOfSquares, tree, treeOfFour, upperPair,
  vectorAt,
} from './vectors';

/** Bytes of a cache line. */
const lineBytes: usize = 64;

/**
 * sum += Σ (x − pivot), squares += Σ (x − pivot)²; `pivot` is a table of T. Float32 in eight streams of `streamRows`
 * rows.
 */
export function moments<S, T>(
  x: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, inFloat64: bool,
  pivot: usize, sum: usize, squares: usize,
): void {
  const fours = sizeof<T>() == 4 && !inFloat64 ? (to - from) & ~3 : 0;
  const eights = count & ~7;
  if (fours > 0) {
    treesOf<S>(x, x, 0, count, row, from, from + fours, streamRows, false, pivot, sum, squares);
    momentsInDouble<S, T>(x + eights * row, count - eights, row, from, from + fours, pivot, sum, squares);
  }
  momentsInDouble<S, T>(x, count, row, from + fours, to, pivot, sum, squares);
}

/**
 * Sums of whole eights of rows: from streams of `size` rows as often as eight of these fit, then from eight
 * neighbouring rows.
 */
function treesOf<S>(
  x: usize, dy: usize, gate: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, ofGradient: bool,
  pivot: usize, sum: usize, products: usize,
): void {
  const gateRow = gateBytes(computed<S>(row));
  for (let done = 0, size = streamRows; done + streams <= count; ) {
    if (done + streams * size > count) size = 1;
    if (gate != 0) fetch(gate + done * gateRow, streams * size * gateRow);
    for (const end = done + size; done < end; done++) {
      const skip = done * row, apart = size * row;
      if (gate != 0) {
        const open = gate + done * gateRow, gatesApart = size * gateRow;
        gatedSumsOfEight<S>(x + skip, dy + skip, apart, open, gatesApart, from, to, pivot, sum, products);
      } else if (ofGradient) gradientSumsOfEight<S>(x + skip, dy + skip, apart, from, to, pivot, sum, products);
      else momentsOfEight<S>(x + skip, apart, from, to, pivot, sum, products);
    }
    done += (streams - 1) * size;
  }
}

/**
 * Reads these bytes once, one after the other, so that they are in cache. Gates of eight streams would be eight more
 * streams of memory, and slow ones, for which the prefetcher loses those of x and dy.
 */
function fetch(gates: usize, bytes: usize): void {
  for (const end = gates + bytes; gates < end; gates += lineBytes) load<u8>(gates);
}

/** Of eight rows `apart` bytes from each other. */
function momentsOfEight<S>(x: usize, apart: usize, from: i32, to: i32, pivot: usize, sum: usize, squares: usize): void {
  for (let o = <usize>from << 2, end = <usize>to << 2; o < end; o += 16) {
    const p = v128.load(pivot + o);
    let at = x + stored<S>(o);
    const d0 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d1 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d2 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d3 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d4 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d5 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d6 = f32x4.sub(vectorAt<S>(at), p);
    at += apart;
    const d7 = f32x4.sub(vectorAt<S>(at), p);
    const s = tree(d0, d1, d2, d3, d4, d5, d6, d7);
    const q = treeOfFour(sumOfSquares(d0, d1), sumOfSquares(d2, d3), sumOfSquares(d4, d5), sumOfSquares(d6, d7));
    const toSum = sum + 2 * o;
    const toSquares = squares + 2 * o;
    addTo(toSum, f64x2.promote_low_f32x4(s));
    addTo(toSum + 16, upperPair(s));
    addTo(toSquares, f64x2.promote_low_f32x4(q));
    addTo(toSquares + 16, upperPair(q));
  }
}

function momentsInDouble<S, T>(
  x: usize, count: i32, row: usize, from: i32, to: i32, pivot: usize, sum: usize, squares: usize,
): void {
  sumsInDouble<S, T>(x, x, 0, count, row, from, to, pivot, sum, squares, false, false);
}

function gradientSumsInDouble<S, T>(
  x: usize, dy: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, sum: usize, products: usize,
): void {
  if (gate != 0) sumsInDouble<S, T>(x, dy, gate, count, row, from, to, pivot, sum, products, true, true);
  else sumsInDouble<S, T>(x, dy, 0, count, row, from, to, pivot, sum, products, true, false);
}

/**
 * sum += Σ g, products += Σ g · d, of d = x − pivot and g = dy behind the gate; of moments g is d, too. `from` is the
 * first of a vector.
 */
/* @inline */ function sumsInDouble<S, T>(
  x: usize, dy: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, sum: usize, products: usize, ofGradient: bool, isGated: bool,
): void {
  const bytes = count * row;
  const toDy = dy - x;
  const gateRow = gateBytes(computed<S>(row));
  const low = bitsOfPair(0), high = sizeof<T>() == 4 ? bitsOfPair(2) : low;
  let c = from;
  for (; c + 4 <= to; c += 4) {
    const offset = <usize>c * sizeof<T>();
    let lowGate = gate + (offset >> 4);
    const toSum = sum + (<usize>c << 3);
    const toProducts = products + (<usize>c << 3);
    const h0 = pairAt<T>(pivot + offset), h1 = pairAt<T>(pivot + offset, 2);
    let s0 = v128.load(toSum), s1 = v128.load(toSum, 16);
    let p0 = v128.load(toProducts), p1 = v128.load(toProducts, 16);
    for (let at = x + stored<S>(offset), last = at + bytes; at < last; at += row) {
      const there = at + toDy;
      const d0 = f64x2.sub(pairAt<S>(at), h0);
      let g0 = ofGradient ? pairAt<S>(there) : d0;
      if (isGated) g0 = behindPair(g0, lowGate, low);
      s0 = f64x2.add(s0, g0);
      p0 = f64x2.add(p0, f64x2.mul(g0, d0));
      const d1 = f64x2.sub(pairAt<S>(at, 2), h1);
      let g1 = ofGradient ? pairAt<S>(there, 2) : d1;
      if (isGated) g1 = behindPair(g1, sizeof<T>() == 4 ? lowGate : lowGate + 1, high);
      s1 = f64x2.add(s1, g1);
      p1 = f64x2.add(p1, f64x2.mul(g1, d1));
      if (isGated) lowGate += gateRow;
    }
    v128.store(toSum, s0); v128.store(toSum, s1, 16);
    v128.store(toProducts, p0); v128.store(toProducts, p1, 16);
  }
  for (; c < to; c += 2) {
    const isPair = c + 1 < to;
    const offset = <usize>c * sizeof<T>();
    const h = pairAt<T>(pivot + offset);
    const toSum = sum + (<usize>c << 3);
    const toProducts = products + (<usize>c << 3);
    let s = v128.load(toSum);
    let p = v128.load(toProducts);
    const bits = bitsOfPair(c & (lanesOf<T>() - 1));
    let pairGate = gate + (offset >> 4);
    for (let at = x + stored<S>(offset), last = at + bytes; at < last; at += row) {
      const there = at + toDy;
      const d = f64x2.sub(isPair ? pairAt<S>(at) : singleAt<S>(at), h);
      let g = ofGradient ? (isPair ? pairAt<S>(there) : singleAt<S>(there)) : d;
      if (isGated) g = behindPair(g, pairGate, bits);
      s = f64x2.add(s, g);
      p = f64x2.add(p, f64x2.mul(g, d));
      if (isGated) pairGate += gateRow;
    }
    v128.store(toSum, s);
    v128.store(toProducts, p);
  }
}

/**
 * sum += Σ g, products += Σ g · (x − pivot), of g = dy behind the gate; `pivot` is a table of T. Float32 in eight streams
 * of `streamRows` rows. `from` is the first of a vector.
 */
export function gradientSums<S, T>(
  x: usize, dy: usize, gate: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, inFloat64: bool,
  pivot: usize, sum: usize, products: usize,
): void {
  const fours = sizeof<T>() == 4 && !inFloat64 ? (to - from) & ~3 : 0;
  const eights = count & ~7;
  if (fours > 0) {
    treesOf<S>(x, dy, gate, count, row, from, from + fours, streamRows, true, pivot, sum, products);
    const skip = eights * row, rest = gate != 0 ? gate + eights * gateBytes(computed<S>(row)) : 0;
    gradientSumsInDouble<S, T>(
      x + skip, dy + skip, rest, count - eights, row, from, from + fours, pivot, sum, products,
    );
  }
  gradientSumsInDouble<S, T>(x, dy, gate, count, row, from + fours, to, pivot, sum, products);
}

// Of eight rows `apart` bytes from each other, whose gates are `gatesApart`.

function gradientSumsOfEight<S>(
  x: usize, dy: usize, apart: usize, from: i32, to: i32, pivot: usize, sum: usize, products: usize,
): void {
  sumsOfEight<S>(x, dy, apart, 0, 0, from, to, pivot, sum, products, false);
}

function gatedSumsOfEight<S>(
  x: usize, dy: usize, apart: usize, gate: usize, gatesApart: usize, from: i32, to: i32,
  pivot: usize, sum: usize, products: usize,
): void {
  sumsOfEight<S>(x, dy, apart, gate, gatesApart, from, to, pivot, sum, products, true);
}

/* @inline */ function sumsOfEight<S>(
  x: usize, dy: usize, apart: usize, gate: usize, gatesApart: usize, from: i32, to: i32,
  pivot: usize, sum: usize, products: usize, isGated: bool,
): void {
  const toDy = dy - x;
  for (let o = <usize>from << 2, end = <usize>to << 2; o < end; o += 16) {
    const h = v128.load(pivot + o);
    let g = f32x4.splat(0), p = g;
    let open = gate + (o >> 4);
    // Twice four rows: eight at once do not fit the registers.
    for (let at = x + stored<S>(o), last = at + 8 * apart; at < last; ) {
      const g0 = dyOf<S>(at + toDy, open, isGated), p0 = f32x4.mul(g0, f32x4.sub(vectorAt<S>(at), h));
      at += apart; open += gatesApart;
      const g1 = dyOf<S>(at + toDy, open, isGated), p1 = f32x4.mul(g1, f32x4.sub(vectorAt<S>(at), h));
      at += apart; open += gatesApart;
      const g2 = dyOf<S>(at + toDy, open, isGated), p2 = f32x4.mul(g2, f32x4.sub(vectorAt<S>(at), h));
      at += apart; open += gatesApart;
      const g3 = dyOf<S>(at + toDy, open, isGated), p3 = f32x4.mul(g3, f32x4.sub(vectorAt<S>(at), h));
      at += apart; open += gatesApart;
      g = f32x4.add(g, f32x4.add(f32x4.add(g0, g1), f32x4.add(g2, g3)));
      p = f32x4.add(p, f32x4.add(f32x4.add(p0, p1), f32x4.add(p2, p3)));
    }
    const toSum = sum + 2 * o;
    const toProducts = products + 2 * o;
    addTo(toSum, f64x2.promote_low_f32x4(g));
    addTo(toSum + 16, upperPair(g));
    addTo(toProducts, f64x2.promote_low_f32x4(p));
    addTo(toProducts + 16, upperPair(p));
  }
}

/* @inline */ function dyOf<S>(dy: usize, gate: usize, isGated: bool): v128 {
  return isGated ? behind<f32>(vectorAt<S>(dy), gate) : vectorAt<S>(dy);
}

/**
 * y = (x − pivot) · scale + shift + side, behind the gate, which it writes. Tables of T. `isLarge`: for activations that
 * no cache holds.
 */
export function affine<S, T>(
  x: usize, y: usize, side: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, shift: usize, isLarge: bool,
): void {
  const toY = y - x;
  const quarter = sizeof<T>() == 4 && from + 16 <= to ? rowsApart<S>(count, isLarge) : 0;
  const vectorsEnd = from + ((to - from) & -16);
  const done = quarter * rowsAtOnce<S>();
  if (side == 0 && gate == 0) {
    if (quarter > 0) {
      plainQuarters<S>(x, toY, quarter, row, from, vectorsEnd, pivot, scale, shift);
      plainRows<S, T>(x, toY, done, row, vectorsEnd, to, pivot, scale, shift);
    }
    plainRows<S, T>(x + done * row, toY, count - done, row, from, to, pivot, scale, shift);
    return;
  }
  const toSide = side - x, hasSide = side != 0, hasGate = gate != 0;
  if (quarter > 0) {
    endedQuarters<S>(
      x, toY, toSide, gate, quarter, row, from, vectorsEnd, pivot, scale, shift, hasSide, hasGate,
    );
    endedRows<S, T>(x, toY, toSide, gate, done, row, vectorsEnd, to, pivot, scale, shift, hasSide, hasGate);
  }
  endedRows<S, T>(
    x + done * row, toY, toSide, gate + done * gateBytes(computed<S>(row)), count - done, row, from, to,
    pivot, scale, shift, hasSide, hasGate,
  );
}

/** Eight channels at once, in rows `quarter` apart. */
function endedQuarters<S>(
  x: usize, toY: usize, toSide: usize, gate: usize, quarter: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, shift: usize, hasSide: bool, hasGate: bool,
): void {
  const gateRow = gateBytes(computed<S>(row)), apart = quarter * row, gatesApart = quarter * gateRow;
  for (const end = x + apart; x < end; x += row, gate += gateRow) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), b0 = v128.load(shift + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16), b1 = v128.load(shift + o, 16);
      let open = gate + (o >> 4);
      for (let at = x + stored<S>(o), stop = at + rowsAtOnce<S>() * apart; at < stop; at += apart, open += gatesApart) {
        elementWise.affineOfTwo<S, f32>(at, toY, toSide, open, h0, h1, a0, a1, b0, b1, hasSide, hasGate);
      }
    }
  }
}

/** Rows that are worked on at once, one of each quarter. Of float16 one: to convert it takes longer than to load coefficients. */
/* @inline */ function rowsAtOnce<S>(): i32 {
  return sizeof<S>() == 2 ? 1 : 4;
}

/**
 * How far apart they are, the rows of a quarter. Odd: quarters a power of two bytes apart would compete for the same sets
 * of the cache. 0: no quarters.
 */
/* @inline */ function rowsApart<S>(count: i32, isLarge: bool): i32 {
  if (sizeof<S>() == 2) return count;
  return isLarge || count < 4 ? 0 : ((count >> 2) - 1) | 1;
}

/** Sixteen channels at once, in rows `quarter` apart. */
function plainQuarters<S>(
  x: usize, toY: usize, quarter: i32, row: usize, from: i32, to: i32, pivot: usize, scale: usize, shift: usize,
): void {
  const apart = quarter * row;
  for (const end = x + apart; x < end; x += row) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 64) {
      const h = pivot + o, a = scale + o, b = shift + o;
      const h0 = v128.load(h), h1 = v128.load(h, 16), h2 = v128.load(h, 32), h3 = v128.load(h, 48);
      const a0 = v128.load(a), a1 = v128.load(a, 16), a2 = v128.load(a, 32), a3 = v128.load(a, 48);
      const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
      let at = x + stored<S>(o);
      affineFour<S>(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      if (rowsAtOnce<S>() == 1) continue;
      at += apart;
      affineFour<S>(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      at += apart;
      affineFour<S>(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      at += apart;
      affineFour<S>(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
    }
  }
}

/* @inline */ function affineFour<S>(
  x: usize, y: usize,
  h0: v128, h1: v128, h2: v128, h3: v128, a0: v128, a1: v128, a2: v128, a3: v128,
  b0: v128, b1: v128, b2: v128, b3: v128,
): void {
  const y0 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x), h0), a0, b0);
  const y1 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x, 1), h1), a1, b1);
  storeTwo<S>(y, y0, y1);
  const y2 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x, 2), h2), a2, b2);
  const y3 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x, 3), h3), a3, b3);
  storeTwo<S>(y, y2, y3, 2);
}

function plainRows<S, T>(
  x: usize, toY: usize, count: i32, row: usize, from: i32, to: i32, pivot: usize, scale: usize, shift: usize,
): void {
  affineRows<S, T>(x, toY, 0, 0, count, row, from, to, pivot, scale, shift, false, false);
}

function endedRows<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, shift: usize, hasSide: bool, hasGate: bool,
): void {
  affineRows<S, T>(
    x, toY, toSide, gate, count, row, from, to, pivot, scale, shift, hasSide, hasGate,
  );
}

/* @inline */ function affineRows<S, T>(
  x: usize, toY: usize, toSide: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, shift: usize, hasSide: bool, hasGate: bool,
): void {
  const last = <usize>to * sizeof<T>();
  const gateRow = hasGate ? gateBytes(computed<S>(row)) : 0;
  const isPaired = sizeof<S>() == 4 && (hasSide || hasGate);
  for (const end = x + count * row; x < end; x += row, gate += gateRow) {
    let o = <usize>from * sizeof<T>();
    for (; isPaired && o + 32 <= last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), b0 = v128.load(shift + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16), b1 = v128.load(shift + o, 16);
      const at = x + stored<S>(o), open = gate + (o >> 4);
      elementWise.affineOfTwo<S, T>(at, toY, toSide, open, h0, h1, a0, a1, b0, b1, hasSide, hasGate);
    }
    for (; o + 16 <= last; o += 16) {
      const h = v128.load(pivot + o), a = v128.load(scale + o), b = v128.load(shift + o);
      elementWise.affine<S, T>(x + stored<S>(o), toY, toSide, gate + (o >> 4), h, a, b, hasSide, hasGate);
    }
    for (; o < last; o += sizeof<T>()) {
      const h = only<T>(pivot + o), a = only<T>(scale + o), b = only<T>(shift + o);
      const lane = <i32>(o & 15) / sizeof<T>();
      elementWise.affineOnly<S, T>(x + stored<S>(o), toY, toSide, gate + (o >> 4), lane, h, a, b, hasSide, hasGate, true);
    }
  }
}

/**
 * dx = scale · (g − ((x − pivot) · slope + offset)), of g = dy behind the gate, which goes to `side`; tables of T.
 * `isLarge`: as above.
 */
export function inputGradient<S, T>(
  x: usize, dy: usize, dx: usize, side: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize, isLarge: bool,
): void {
  const toDy = dy - x, toDx = dx - x;
  const quarter = sizeof<T>() == 4 && from + 8 <= to ? rowsApart<S>(count, isLarge) : 0;
  const vectorsEnd = from + ((to - from) & -8);
  const done = quarter * rowsAtOnce<S>();
  if (side == 0 && gate == 0) {
    if (quarter > 0) {
      plainGradientQuarters<S>(x, toDy, toDx, quarter, row, from, vectorsEnd, pivot, scale, slope, offset);
      plainGradientRows<S, T>(x, toDy, toDx, done, row, vectorsEnd, to, pivot, scale, slope, offset);
    }
    plainGradientRows<S, T>(x + done * row, toDy, toDx, count - done, row, from, to, pivot, scale, slope, offset);
    return;
  }
  const toSide = side - x, hasSide = side != 0, hasGate = gate != 0;
  if (quarter > 0) {
    endedGradientQuarters<S>(
      x, toDy, toDx, toSide, gate, quarter, row, from, vectorsEnd, pivot, scale, slope, offset, hasSide, hasGate,
    );
    endedGradientRows<S, T>(
      x, toDy, toDx, toSide, gate, done, row, vectorsEnd, to, pivot, scale, slope, offset, hasSide, hasGate,
    );
  }
  endedGradientRows<S, T>(
    x + done * row, toDy, toDx, toSide, gate + done * gateBytes(computed<S>(row)), count - done, row, from, to,
    pivot, scale, slope, offset, hasSide, hasGate,
  );
}

/** As `endedQuarters`. */
function endedGradientQuarters<S>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, quarter: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize, hasSide: bool, hasGate: bool,
): void {
  const gateRow = gateBytes(computed<S>(row)), apart = quarter * row, gatesApart = quarter * gateRow;
  for (const end = x + apart; x < end; x += row, gate += gateRow) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), k0 = v128.load(slope + o), b0 = v128.load(offset + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16);
      const k1 = v128.load(slope + o, 16), b1 = v128.load(offset + o, 16);
      let open = gate + (o >> 4);
      for (let at = x + stored<S>(o), stop = at + rowsAtOnce<S>() * apart; at < stop; at += apart, open += gatesApart) {
        elementWise.gradientOfTwo<S, f32>(
          at, toDy, toDx, toSide, open, h0, h1, a0, a1, k0, k1, b0, b1, hasSide, hasGate,
        );
      }
    }
  }
}

/** Eight channels at once, in rows `quarter` apart. */
function plainGradientQuarters<S>(
  x: usize, toDy: usize, toDx: usize, quarter: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize,
): void {
  const apart = quarter * row;
  for (const end = x + apart; x < end; x += row) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), k0 = v128.load(slope + o), b0 = v128.load(offset + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16);
      const k1 = v128.load(slope + o, 16), b1 = v128.load(offset + o, 16);
      let at = x + stored<S>(o);
      gradientPair<S>(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      if (rowsAtOnce<S>() == 1) continue;
      at += apart;
      gradientPair<S>(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      at += apart;
      gradientPair<S>(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      at += apart;
      gradientPair<S>(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
    }
  }
}

/* @inline */ function gradientPair<S>(
  x: usize, dy: usize, dx: usize, h0: v128, h1: v128, a0: v128, a1: v128, k0: v128, k1: v128, b0: v128, b1: v128,
): void {
  const t0 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x), h0), k0, b0);
  const t1 = multiplyAdd<f32>(f32x4.sub(vectorAt<S>(x, 1), h1), k1, b1);
  const g0 = f32x4.mul(a0, f32x4.sub(vectorAt<S>(dy), t0));
  const g1 = f32x4.mul(a1, f32x4.sub(vectorAt<S>(dy, 1), t1));
  storeTwo<S>(dx, g0, g1);
}

function plainGradientRows<S, T>(
  x: usize, toDy: usize, toDx: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize,
): void {
  gradientRows<S, T>(x, toDy, toDx, 0, 0, count, row, from, to, pivot, scale, slope, offset, false, false);
}

function endedGradientRows<S, T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize, hasSide: bool, hasGate: bool,
): void {
  gradientRows<S, T>(
    x, toDy, toDx, toSide, gate, count, row, from, to, pivot, scale, slope, offset, hasSide, hasGate,
  );
}

/* @inline */ function gradientRows<S, T>(
  x: usize, toDy: usize, toDx: usize, toSide: usize, gate: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize, hasSide: bool, hasGate: bool,
): void {
  const last = <usize>to * sizeof<T>();
  const gateRow = hasGate ? gateBytes(computed<S>(row)) : 0;
  const isPaired = sizeof<S>() == 4 && (hasSide || hasGate);
  for (const end = x + count * row; x < end; x += row, gate += gateRow) {
    let o = <usize>from * sizeof<T>();
    for (; isPaired && o + 32 <= last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), k0 = v128.load(slope + o), b0 = v128.load(offset + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16);
      const k1 = v128.load(slope + o, 16), b1 = v128.load(offset + o, 16);
      const at = x + stored<S>(o), open = gate + (o >> 4);
      elementWise.gradientOfTwo<S, T>(at, toDy, toDx, toSide, open, h0, h1, a0, a1, k0, k1, b0, b1, hasSide, hasGate);
    }
    for (; o + 16 <= last; o += 16) {
      const h = v128.load(pivot + o), a = v128.load(scale + o), k = v128.load(slope + o), b = v128.load(offset + o);
      elementWise.gradient<S, T>(x + stored<S>(o), toDy, toDx, toSide, gate + (o >> 4), h, a, k, b, hasSide, hasGate);
    }
    for (; o < last; o += sizeof<T>()) {
      const h = only<T>(pivot + o), a = only<T>(scale + o), k = only<T>(slope + o), b = only<T>(offset + o);
      const lane = <i32>(o & 15) / sizeof<T>();
      elementWise.gradientOnly<S, T>(x + stored<S>(o), toDy, toDx, toSide, gate + (o >> 4), lane, h, a, k, b, hasSide, hasGate, true);
    }
  }
}
