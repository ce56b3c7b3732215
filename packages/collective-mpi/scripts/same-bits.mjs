// What sums cost that have the same bits however the rows of a batch are split among ranks, beside what backends add up
// with and beside a training step: `node scripts/same-bits.mjs`. docs/scaling.md says what came out, and what is offered.
import { createJsBackend } from '@batchnorm/backend-js';
import { createWasmBackend } from '@batchnorm/backend-wasm';
import { BatchNorm } from '@batchnorm/core-api';

const shapes = [
  [1024, 256],
  [4096, 512],
  [32, 64, 56, 56],
];

/** Calls `visit(c, first, step, end)` for runs of elements of one channel that together are rows `begin` to `end`. */
function forRuns({ channels: C, inner }, [begin, end], visit) {
  if (inner > 1) {
    for (let n = begin; n < end; n++) {
      for (let c = 0; c < C; c++) visit(c, (n * C + c) * inner, 1, (n * C + c + 1) * inner);
    }
  } else {
    for (let n = begin; n < end; n += 64) {
      for (let c = 0; c < C; c++) visit(c, n * C + c, C, Math.min(n + 64, end) * C);
    }
  }
}

const zeros = (length) => new Float64Array(length);
const added = (a, b) => a.map((value, k) => value + b[k]);

/**
 * Σ x and Σ x² of rows, by channel, in a form of their own: `sum(x, extent, rows, bounds)`, and `merged(a, b)` of those of
 * two ranks.
 */
const forms = {
  // A float64 for each exponent of float32. Terms of one exponent add up exactly, 2²⁹ of them; a square is cut in two.
  'exact, by exponents': {
    sum(x, extent, rows) {
      const bits = new Uint32Array(x.buffer);
      const [sums, low, high] = [1, 2, 3].map(() => zeros(extent.channels * 256));
      forRuns(extent, rows, (c, first, step, end) => {
        for (let i = first; i < end; i += step) {
          const bucket = (c << 8) + ((bits[i] >>> 23) & 255);
          sums[bucket] += x[i];
          const mantissa = (bits[i] & 0x7fffff) | 0x800000;
          const square = mantissa * mantissa;
          const rest = square & 0xffffff;
          low[bucket] += rest;
          high[bucket] += square - rest;
        }
      });
      return [sums, low, high];
    },
    merged: (a, b) => a.map((sums, n) => added(sums, b[n])),
  },

  // Pairs of float64 and Knuth's TwoSum: 106 bits, which is exact where exponents do not lie far apart, and not elsewhere.
  'double-double': {
    sum(x, extent, rows) {
      const pairs = zeros(extent.channels * 4);
      forRuns(extent, rows, (c, first, step, end) => {
        let sum = pairs[4 * c];
        let sumLow = pairs[4 * c + 1];
        let squares = pairs[4 * c + 2];
        let squaresLow = pairs[4 * c + 3];
        for (let i = first; i < end; i += step) {
          const value = x[i];
          const next = sum + value;
          const part = next - sum;
          sumLow += sum - (next - part) + (value - part);
          sum = next;
          const square = value * value;
          const nextSquares = squares + square;
          const partOfSquares = nextSquares - squares;
          squaresLow += squares - (nextSquares - partOfSquares) + (square - partOfSquares);
          squares = nextSquares;
        }
        pairs[4 * c] = sum;
        pairs[4 * c + 1] = sumLow;
        pairs[4 * c + 2] = squares;
        pairs[4 * c + 3] = squaresLow;
      });
      return [pairs];
    },
  },

  // Reproducible summation (Demmel and Nguyen, 2015): terms are rounded to multiples of two units that depend on the
  // channel's range over all ranks alone, which takes a pass and an exchange before; their sums are then exact.
  'binned, after the range': {
    bounds(x, extent, rows) {
      const bounds = zeros(extent.channels * 2).map((_, k) => (k % 2 ? -1 : 1) * Number.POSITIVE_INFINITY);
      forRuns(extent, rows, (c, first, step, end) => {
        let least = bounds[2 * c];
        let most = bounds[2 * c + 1];
        for (let i = first; i < end; i += step) {
          const value = x[i];
          least = Math.min(value, least);
          most = Math.max(value, most);
        }
        bounds[2 * c] = least;
        bounds[2 * c + 1] = most;
      });
      return bounds;
    },
    sum(x, extent, rows, bounds) {
      const bins = zeros(extent.channels * 4);
      forRuns(extent, rows, (c, first, step, end) => {
        const least = bounds[2 * c];
        const most = bounds[2 * c + 1];
        const pivot = Math.fround((least + most) / 2);
        const size = 2 ** Math.ceil(Math.log2(Math.max(most - pivot, pivot - least, 2 ** -140)) + 1);
        // Multiples of size · 2⁻³¹, of which 2²⁰ add up exactly, and of as much again below.
        const coarse = 1.5 * size * 2 ** 21;
        const fine = 1.5 * size * 2 ** -10;
        const coarseSquares = coarse * size;
        const fineSquares = fine * size;
        let a = bins[4 * c];
        let b = bins[4 * c + 1];
        let d = bins[4 * c + 2];
        let e = bins[4 * c + 3];
        for (let i = first; i < end; i += step) {
          const value = x[i] - pivot;
          const top = value + coarse - coarse;
          a += top;
          b += value - top + fine - fine;
          const square = value * value;
          const topOfSquare = square + coarseSquares - coarseSquares;
          d += topOfSquare;
          e += square - topOfSquare + fineSquares - fineSquares;
        }
        bins[4 * c] = a;
        bins[4 * c + 1] = b;
        bins[4 * c + 2] = d;
        bins[4 * c + 3] = e;
      });
      return [bins];
    },
    merged: ([a], [b]) => [added(a, b)],
  },

  // Plain float64 along a tree whose leaves are 8 rows, or one where a row has runs: bits depend on where a row is in the
  // whole batch, and not on who has it. Here ranks begin at a leaf, and two of them have as many, a power of two.
  'tree over rows': {
    sum(x, extent, [begin, end]) {
      const { channels: C, inner } = extent;
      const [rowsOfLeaf, sumLeaf] = inner > 1 ? [1, leafOfRuns] : [8, leafOfRows];
      // Node n has 2ⁿ leaves.
      const nodes = Array.from({ length: 1 + Math.log2((end - begin) / rowsOfLeaf) }, () => zeros(2 * C));
      const node = zeros(2 * C);
      for (let row = begin, leaf = 0; row < end; row += rowsOfLeaf, leaf++) {
        sumLeaf(x, C, inner, row, node);
        let level = 0;
        for (let n = leaf; n & 1; n >>= 1, level++) {
          const before = nodes[level];
          for (let k = 0; k < node.length; k++) node[k] = before[k] + node[k];
        }
        nodes[level].set(node);
      }
      return [nodes.at(-1)];
    },
    merged: ([a], [b]) => [added(a, b)],
  },
};

function leafOfRows(x, C, _inner, row, leaf) {
  for (let c = 0; c < C; c++) {
    const i = row * C + c;
    const a = x[i];
    const b = x[i + C];
    const d = x[i + 2 * C];
    const e = x[i + 3 * C];
    const f = x[i + 4 * C];
    const g = x[i + 5 * C];
    const h = x[i + 6 * C];
    const k = x[i + 7 * C];
    leaf[c] = a + b + (d + e) + (f + g + (h + k));
    leaf[C + c] = a * a + b * b + (d * d + e * e) + (f * f + g * g + (h * h + k * k));
  }
}

function leafOfRuns(x, C, inner, row, leaf) {
  for (let c = 0, i = row * C * inner; c < C; c++) {
    let sum = 0;
    let squares = 0;
    for (const end = i + inner; i < end; i += 4) {
      const a = x[i];
      const b = x[i + 1];
      const d = x[i + 2];
      const e = x[i + 3];
      sum += a + b + (d + e);
      squares += a * a + b * b + (d * d + e * e);
    }
    leaf[c] = sum;
    leaf[C + c] = squares;
  }
}

/** Whether two ranks with half of the rows each have, together, the bits of one. */
function isSplittable({ bounds, sum, merged }, x, extent) {
  const { outer } = extent;
  const ranges = bounds?.(x, extent, [0, outer]);
  const [first, second] = [
    [0, outer / 2],
    [outer / 2, outer],
  ].map((rows) => sum(x, extent, rows, ranges));
  const [together, alone] = [merged(first, second), sum(x, extent, [0, outer], ranges)];
  return together.every((vector, n) => vector.every((value, k) => Object.is(value, alone[n][k])));
}

async function medianOf(work, repetitions) {
  const times = [];
  for (let n = -3; n < repetitions; n++) {
    const begin = performance.now();
    await work();
    if (n >= 0) times.push(performance.now() - begin);
  }
  return times.sort((a, b) => a - b)[repetitions >> 1];
}

const backends = [createJsBackend(), await createWasmBackend({ threads: 1 })];
for (const shape of shapes) {
  const [outer, channels, ...space] = shape;
  const extent = { outer, channels, inner: space.reduce((a, b) => a * b, 1) };
  let seed = 1;
  const data = new Float32Array(shape.reduce((a, b) => a * b)).map(() => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
    return seed * 2 ** -31 + 0.1;
  });
  const repetitions = data.length > 3e6 ? 9 : 31;
  const references = [];
  for (const backend of backends) {
    const layer = new BatchNorm({ backend, numFeatures: channels });
    const kernels = await backend.prepare({ extent, dtype: 'float32', activation: 'none' });
    const x = { data, shape };
    const step = await medianOf(async () => {
      (await layer.forward(x)).dispose();
      (await layer.backward(x)).dx.dispose();
    }, repetitions);
    const moments = await medianOf(() => kernels.moments({ x: data, epsilon: layer.options.epsilon }), repetitions);
    references.push({ name: backend.name, step, moments });
    await layer.dispose();
  }
  console.log(`${shape.join('×')}`);
  for (const { name, step, moments } of references) {
    console.log(`  ${name}: ${moments.toFixed(2)} ms for the moments, ${step.toFixed(2)} ms for a step`);
  }
  for (const [name, form] of Object.entries(forms)) {
    if (form.merged && !isSplittable(form, data, extent)) throw new Error(`${name}: other bits of two ranks`);
    const rows = [0, outer];
    const time = await medianOf(() => form.sum(data, extent, rows, form.bounds?.(data, extent, rows)), repetitions);
    // A backward has two sums, too.
    const ratios = references.map(({ name, step, moments }) => {
      return `${((step + 2 * (time - moments)) / step).toFixed(2)} steps of ${name}`;
    });
    console.log(`  ${name}: ${time.toFixed(2)} ms, with which a step takes ${ratios.join(', ')}`);
  }
}
for (const backend of backends) await backend.dispose();
