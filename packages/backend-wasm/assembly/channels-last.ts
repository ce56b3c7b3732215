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
// Names of vectors: p or h for pivots, d for deviations from them, g for dy, s for sums, q for squares, a for scales, b
// for shifts or offsets, k for slopes.
// biome-ignore-all format: one line for one vector
import { streams } from '../src/abi/accumulation';
import {
  addTo, multiplyAdd, only, pairAt, singleAt, storeOnly, sumOfSquares, tree, treeOfFour, upperPair,
} from './vectors';

/**
 * sum += Σ (x − pivot), squares += Σ (x − pivot)²; `pivot` is a table of T. Float32 in eight streams of `streamRows`
 * rows.
 */
export function moments<T>(
  x: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, inFloat64: bool,
  pivot: usize, sum: usize, squares: usize,
): void {
  const fours = sizeof<T>() == 4 && !inFloat64 ? (to - from) & ~3 : 0;
  const eights = count & ~7;
  if (fours > 0) {
    treesOf(x, x, count, row, from, from + fours, streamRows, false, pivot, sum, squares);
    momentsInDouble<T>(x + eights * row, count - eights, row, from, from + fours, pivot, sum, squares);
  }
  momentsInDouble<T>(x, count, row, from + fours, to, pivot, sum, squares);
}

/**
 * Sums of whole eights of rows: from streams of `size` rows as often as eight of these fit, then from eight
 * neighbouring rows.
 */
function treesOf(
  x: usize, dy: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, ofGradient: bool,
  pivot: usize, sum: usize, products: usize,
): void {
  for (let done = 0, size = streamRows; done + streams <= count; ) {
    if (done + streams * size > count) size = 1;
    for (const end = done + size; done < end; done++) {
      const skip = done * row, apart = size * row;
      if (ofGradient) gradientSumsOfEight(x + skip, dy + skip, apart, from, to, pivot, sum, products);
      else momentsOfEight(x + skip, apart, from, to, pivot, sum, products);
    }
    done += (streams - 1) * size;
  }
}

/** Of eight rows `apart` bytes from each other. */
function momentsOfEight(x: usize, apart: usize, from: i32, to: i32, pivot: usize, sum: usize, squares: usize): void {
  for (let o = <usize>from << 2, end = <usize>to << 2; o < end; o += 16) {
    const p = v128.load(pivot + o);
    let at = x + o;
    const d0 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d1 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d2 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d3 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d4 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d5 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d6 = f32x4.sub(v128.load(at), p);
    at += apart;
    const d7 = f32x4.sub(v128.load(at), p);
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

function momentsInDouble<T>(
  x: usize, count: i32, row: usize, from: i32, to: i32, pivot: usize, sum: usize, squares: usize,
): void {
  sumsInDouble<T>(x, x, count, row, from, to, pivot, sum, squares, false);
}

function gradientSumsInDouble<T>(
  x: usize, dy: usize, count: i32, row: usize, from: i32, to: i32, pivot: usize, sum: usize, products: usize,
): void {
  sumsInDouble<T>(x, dy, count, row, from, to, pivot, sum, products, true);
}

/** sum += Σ g, products += Σ g · d, of d = x − pivot and g = dy; of moments g is d, too. */
/* @inline */ function sumsInDouble<T>(
  x: usize, dy: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, sum: usize, products: usize, ofGradient: bool,
): void {
  const bytes = count * row;
  const toDy = dy - x;
  let c = from;
  for (; c + 4 <= to; c += 4) {
    const offset = <usize>c * sizeof<T>();
    const toSum = sum + (<usize>c << 3);
    const toProducts = products + (<usize>c << 3);
    const h0 = pairAt<T>(pivot + offset), h1 = pairAt<T>(pivot + offset, 2);
    let s0 = v128.load(toSum), s1 = v128.load(toSum, 16);
    let p0 = v128.load(toProducts), p1 = v128.load(toProducts, 16);
    for (let at = x + offset, last = at + bytes; at < last; at += row) {
      const there = at + toDy;
      const d0 = f64x2.sub(pairAt<T>(at), h0);
      const g0 = ofGradient ? pairAt<T>(there) : d0;
      s0 = f64x2.add(s0, g0);
      p0 = f64x2.add(p0, f64x2.mul(g0, d0));
      const d1 = f64x2.sub(pairAt<T>(at, 2), h1);
      const g1 = ofGradient ? pairAt<T>(there, 2) : d1;
      s1 = f64x2.add(s1, g1);
      p1 = f64x2.add(p1, f64x2.mul(g1, d1));
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
    for (let at = x + offset, last = at + bytes; at < last; at += row) {
      const there = at + toDy;
      const d = f64x2.sub(isPair ? pairAt<T>(at) : singleAt<T>(at), h);
      const g = ofGradient ? (isPair ? pairAt<T>(there) : singleAt<T>(there)) : d;
      s = f64x2.add(s, g);
      p = f64x2.add(p, f64x2.mul(g, d));
    }
    v128.store(toSum, s);
    v128.store(toProducts, p);
  }
}

/**
 * sum += Σ dy, products += Σ dy · (x − pivot); `pivot` is a table of T. Float32 in eight streams of `streamRows` rows.
 */
export function gradientSums<T>(
  x: usize, dy: usize, count: i32, row: usize, from: i32, to: i32, streamRows: i32, inFloat64: bool,
  pivot: usize, sum: usize, products: usize,
): void {
  const fours = sizeof<T>() == 4 && !inFloat64 ? (to - from) & ~3 : 0;
  const eights = count & ~7;
  if (fours > 0) {
    treesOf(x, dy, count, row, from, from + fours, streamRows, true, pivot, sum, products);
    const skip = eights * row;
    gradientSumsInDouble<T>(x + skip, dy + skip, count - eights, row, from, from + fours, pivot, sum, products);
  }
  gradientSumsInDouble<T>(x, dy, count, row, from + fours, to, pivot, sum, products);
}

/** Of eight rows `apart` bytes from each other. */
function gradientSumsOfEight(
  x: usize, dy: usize, apart: usize, from: i32, to: i32, pivot: usize, sum: usize, products: usize,
): void {
  const toDy = dy - x;
  for (let o = <usize>from << 2, end = <usize>to << 2; o < end; o += 16) {
    const h = v128.load(pivot + o);
    let g = f32x4.splat(0), p = g;
    // Twice four rows: eight at once do not fit the registers.
    for (let at = x + o, last = at + 8 * apart; at < last; ) {
      const g0 = v128.load(at + toDy), p0 = f32x4.mul(g0, f32x4.sub(v128.load(at), h));
      at += apart;
      const g1 = v128.load(at + toDy), p1 = f32x4.mul(g1, f32x4.sub(v128.load(at), h));
      at += apart;
      const g2 = v128.load(at + toDy), p2 = f32x4.mul(g2, f32x4.sub(v128.load(at), h));
      at += apart;
      const g3 = v128.load(at + toDy), p3 = f32x4.mul(g3, f32x4.sub(v128.load(at), h));
      at += apart;
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

/** y = (x − pivot) · scale + shift; tables of T. `isLarge`: for activations that no cache holds. */
export function normalize<T>(
  x: usize, y: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, shift: usize, isLarge: bool,
): void {
  let done = 0;
  let vectorsEnd = from;
  if (sizeof<T>() == 4 && !isLarge) {
    const quarter = oddQuarter(count);
    done = quarter << 2;
    vectorsEnd += (to - from) & -16;
    normalizeQuarters(x, y - x, quarter, row, from, vectorsEnd, pivot, scale, shift);
    normalizeRows<T>(x, y - x, done, row, vectorsEnd, to, pivot, scale, shift);
  }
  normalizeRows<T>(x + done * row, y - x, count - done, row, from, to, pivot, scale, shift);
}

/** Rows of a quarter. Odd: quarters a power of two bytes apart would compete for the same sets of the cache. */
/* @inline */ function oddQuarter(count: i32): i32 {
  return count < 4 ? 0 : ((count >> 2) - 1) | 1;
}

/** Sixteen channels at once, in four rows, `quarter` apart. */
function normalizeQuarters(
  x: usize, toY: usize, quarter: i32, row: usize, from: i32, to: i32, pivot: usize, scale: usize, shift: usize,
): void {
  const apart = quarter * row;
  for (const end = x + apart; x < end; x += row) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 64) {
      const h = pivot + o, a = scale + o, b = shift + o;
      const h0 = v128.load(h), h1 = v128.load(h, 16), h2 = v128.load(h, 32), h3 = v128.load(h, 48);
      const a0 = v128.load(a), a1 = v128.load(a, 16), a2 = v128.load(a, 32), a3 = v128.load(a, 48);
      const b0 = v128.load(b), b1 = v128.load(b, 16), b2 = v128.load(b, 32), b3 = v128.load(b, 48);
      let at = x + o;
      normalizeFour(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      at += apart;
      normalizeFour(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      at += apart;
      normalizeFour(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
      at += apart;
      normalizeFour(at, at + toY, h0, h1, h2, h3, a0, a1, a2, a3, b0, b1, b2, b3);
    }
  }
}

/* @inline */ function normalizeFour(
  x: usize, y: usize,
  h0: v128, h1: v128, h2: v128, h3: v128, a0: v128, a1: v128, a2: v128, a3: v128,
  b0: v128, b1: v128, b2: v128, b3: v128,
): void {
  v128.store(y, multiplyAdd<f32>(f32x4.sub(v128.load(x), h0), a0, b0));
  v128.store(y, multiplyAdd<f32>(f32x4.sub(v128.load(x, 16), h1), a1, b1), 16);
  v128.store(y, multiplyAdd<f32>(f32x4.sub(v128.load(x, 32), h2), a2, b2), 32);
  v128.store(y, multiplyAdd<f32>(f32x4.sub(v128.load(x, 48), h3), a3, b3), 48);
}

function normalizeRows<T>(
  x: usize, toY: usize, count: i32, row: usize, from: i32, to: i32, pivot: usize, scale: usize, shift: usize,
): void {
  const last = <usize>to * sizeof<T>();
  for (const end = x + count * row; x < end; x += row) {
    let o = <usize>from * sizeof<T>();
    for (; o + 16 <= last; o += 16) {
      const at = x + o;
      const d = v128.sub<T>(v128.load(at), v128.load(pivot + o));
      v128.store(at + toY, multiplyAdd<T>(d, v128.load(scale + o), v128.load(shift + o)));
    }
    for (; o < last; o += sizeof<T>()) {
      const at = x + o;
      const d = v128.sub<T>(only<T>(at), only<T>(pivot + o));
      storeOnly<T>(at + toY, multiplyAdd<T>(d, only<T>(scale + o), only<T>(shift + o)));
    }
  }
}

/** dx = scale · (dy − ((x − pivot) · slope + offset)); tables of T. `isLarge`: as above. */
export function inputGradient<T>(
  x: usize, dy: usize, dx: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize, isLarge: bool,
): void {
  const toDy = dy - x;
  const toDx = dx - x;
  let done = 0;
  let vectorsEnd = from;
  if (sizeof<T>() == 4 && !isLarge) {
    const quarter = oddQuarter(count);
    done = quarter << 2;
    vectorsEnd += (to - from) & -8;
    inputGradientQuarters(x, toDy, toDx, quarter, row, from, vectorsEnd, pivot, scale, slope, offset);
    inputGradientRows<T>(x, toDy, toDx, done, row, vectorsEnd, to, pivot, scale, slope, offset);
  }
  inputGradientRows<T>(x + done * row, toDy, toDx, count - done, row, from, to, pivot, scale, slope, offset);
}

/** Eight channels at once, in four rows, `quarter` apart. */
function inputGradientQuarters(
  x: usize, toDy: usize, toDx: usize, quarter: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize,
): void {
  const apart = quarter * row;
  for (const end = x + apart; x < end; x += row) {
    for (let o = <usize>from << 2, last = <usize>to << 2; o < last; o += 32) {
      const h0 = v128.load(pivot + o), a0 = v128.load(scale + o), k0 = v128.load(slope + o), b0 = v128.load(offset + o);
      const h1 = v128.load(pivot + o, 16), a1 = v128.load(scale + o, 16);
      const k1 = v128.load(slope + o, 16), b1 = v128.load(offset + o, 16);
      let at = x + o;
      gradientPair(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      at += apart;
      gradientPair(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      at += apart;
      gradientPair(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
      at += apart;
      gradientPair(at, at + toDy, at + toDx, h0, h1, a0, a1, k0, k1, b0, b1);
    }
  }
}

/* @inline */ function gradientPair(
  x: usize, dy: usize, dx: usize, h0: v128, h1: v128, a0: v128, a1: v128, k0: v128, k1: v128, b0: v128, b1: v128,
): void {
  const t0 = multiplyAdd<f32>(f32x4.sub(v128.load(x), h0), k0, b0);
  const t1 = multiplyAdd<f32>(f32x4.sub(v128.load(x, 16), h1), k1, b1);
  const g0 = f32x4.mul(a0, f32x4.sub(v128.load(dy), t0));
  const g1 = f32x4.mul(a1, f32x4.sub(v128.load(dy, 16), t1));
  v128.store(dx, g0);
  v128.store(dx, g1, 16);
}

function inputGradientRows<T>(
  x: usize, toDy: usize, toDx: usize, count: i32, row: usize, from: i32, to: i32,
  pivot: usize, scale: usize, slope: usize, offset: usize,
): void {
  const last = <usize>to * sizeof<T>();
  for (const end = x + count * row; x < end; x += row) {
    let o = <usize>from * sizeof<T>();
    for (; o + 16 <= last; o += 16) {
      const at = x + o;
      const d = v128.sub<T>(v128.load(at), v128.load(pivot + o));
      const through = multiplyAdd<T>(d, v128.load(slope + o), v128.load(offset + o));
      v128.store(at + toDx, v128.mul<T>(v128.load(scale + o), v128.sub<T>(v128.load(at + toDy), through)));
    }
    for (; o < last; o += sizeof<T>()) {
      const at = x + o;
      const d = v128.sub<T>(only<T>(at), only<T>(pivot + o));
      const through = multiplyAdd<T>(d, only<T>(slope + o), only<T>(offset + o));
      storeOnly<T>(at + toDx, v128.mul<T>(only<T>(scale + o), v128.sub<T>(only<T>(at + toDy), through)));
    }
  }
}
