// calibrate() on data that no memory holds: seeded batches of uneven sizes, 4 GB of them or more, against a float64
// oracle. Exits with 1 where an error is beyond the bound of docs/numerics.md, or memory grows with the data.
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { errorsOfStatistics } from '../packages/conformance/dist/arithmetic.js';
import { BatchNorm, calibrate } from '../packages/core-api/dist/index.js';

const { values: flags } = parseArgs({
  options: {
    backend: { type: 'string', default: 'js' },
    gigabytes: { type: 'string', default: '4.3' },
    seed: { type: 'string', default: '7' },
  },
});
const make = {
  js: async () => (await import('../packages/backend-js/dist/index.js')).createJsBackend(),
  wasm: async () => (await import('../packages/backend-wasm/dist/index.js')).createWasmBackend({ threads: 1 }),
}[flags.backend];
if (make === undefined || !(Number(flags.gigabytes) > 0)) {
  console.error('usage: calibrate-large [--backend js|wasm] [--gigabytes 4.3] [--seed 7]');
  process.exit(2);
}

const C = 64;
const mostRows = 16_384;
/** Of float32. */
const totalRows = Math.ceil((Number(flags.gigabytes) * 1e9) / (4 * C));
/** How many bytes more the second half of the batches may take than the first: 16 of the largest. */
const flatWithin = 16 * (4 * mostRows * C);
const w = 2 ** -53;

/** Whole numbers from 0 to 2³² − 1 (Marsaglia, 2003, xorshift). */
function xorshift(seed) {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/**
 * Batches [N, C] of 1 to `mostRows` rows, always in the same buffer: noise of deviation 1, from a table that each row
 * reads from another place, around a mean that differs by batch and channel. Means are 0 to 1e4 from channel to
 * channel, and move by up to 3 deviations from batch to batch. Channel 0 is constant.
 */
function* batches() {
  const random = xorshift(Number(flags.seed));
  const noise = new Float32Array(2 ** 16);
  // The sum of 12 uniform numbers has variance 1.
  for (let k = 0; k < noise.length; k++) for (let j = 0; j < 12; j++) noise[k] += random() / 2 ** 32 - 0.5;
  const buffer = new Float32Array(mostRows * C);
  const mean = new Float64Array(C);
  for (let rows = 0, N; rows < totalRows; rows += N) {
    N = Math.min(1 + (random() % mostRows), totalRows - rows);
    for (let c = 0; c < C; c++) mean[c] = (c % 6 === 0 ? 0 : 10 ** ((c % 6) - 1)) + 3 * (random() / 2 ** 31 - 1);
    for (let r = 0, k = 0; r < N; r++) {
      const from = random() % (noise.length - C);
      for (let c = 0; c < C; c++, k++) buffer[k] = mean[c] + noise[from + c];
      buffer[k - C] = 0.1;
    }
    yield { data: buffer.subarray(0, N * C), shape: [N, C] };
  }
}

/** A sum in about twice the digits of float64, of each channel: its terms' errors are kept (Knuth's TwoSum). */
class CompensatedSums {
  #sum = new Float64Array(C);
  #error = new Float64Array(C);

  add(c, term) {
    const before = this.#sum[c];
    const sum = before + term;
    const taken = sum - before;
    this.#error[c] += before - (sum - taken) + (term - taken);
    this.#sum[c] = sum;
  }

  get values() {
    return this.#sum.map((sum, c) => sum + this.#error[c]);
  }
}

/** Mean and population variance of a batch, [C] each: two passes. */
function twoPasses({ data }) {
  const M = data.length / C;
  const sums = new CompensatedSums();
  for (let k = 0; k < data.length; k += C) for (let c = 0; c < C; c++) sums.add(c, data[k + c]);
  const mean = sums.values.map((sum) => sum / M);
  const squares = new CompensatedSums();
  for (let k = 0; k < data.length; k += C) {
    for (let c = 0; c < C; c++) squares.add(c, (data[k + c] - mean[c]) ** 2);
  }
  return { M, mean, variance: squares.values.map((sum) => sum / M) };
}

/** What is right, in each channel, and how far from it a result may be: docs/numerics.md, “Merged moments”. */
function oracle(accumulation) {
  const parts = Array.from(batches(), twoPasses);
  const N = parts.reduce((sum, { M }) => sum + M, 0);
  /** The average over all values of what is the same for all of a batch. */
  const average = (of) => {
    const sums = new CompensatedSums();
    for (const part of parts) for (let c = 0; c < C; c++) sums.add(c, part.M * of(part, c));
    return sums.values.map((sum) => sum / N);
  };
  const mean = average((part, c) => part.mean[c]);
  const variance = average((part, c) => part.variance[c] + (part.mean[c] - mean[c]) ** 2);

  const errorsOf = ({ M, mean, variance }, c) => errorsOfStatistics(accumulation, M, mean[c], variance[c]);
  const ofVariances = average((part, c) => errorsOf(part, c).variance);
  const L = Math.floor(Math.log2(parts.length)) + 1;
  const bound = { mean: new Float64Array(C), variance: new Float64Array(C) };
  for (let c = 0; c < C; c++) {
    const means = parts.map((part) => part.mean[c]);
    const largest = Math.max(...means.map(Math.abs));
    const range = Math.max(...means) - Math.min(...means);
    const ofMean = Math.max(...parts.map((part) => errorsOf(part, c).mean)) + L * (largest + 3 * range) * w;
    const s = Math.sqrt(variance[c]);
    bound.mean[c] = ofMean;
    bound.variance[c] = ofVariances[c] + (2 * L + 6) * w * s ** 2 + 2 * Math.sqrt(L) * ofMean * s + L * ofMean ** 2;
  }
  return { N, mean, variance, bound };
}

const mebibytes = (bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

const backend = await make();
const layer = new BatchNorm({ backend, numFeatures: C });
const rss = [process.memoryUsage.rss()];
let reported = 0;
const begin = performance.now();
const { count } = await calibrate(layer, batches(), {
  onProgress: ({ batches, valuesPerChannel: rows }) => {
    rss.push(process.memoryUsage.rss());
    if (rows < reported * totalRows) return;
    reported += 0.1;
    const gigabytes = (rows * C * 4) / 1e9;
    console.log(`${batches} batches, ${gigabytes.toFixed(2)} GB, ${seconds(begin)}, RSS ${mebibytes(rss.at(-1))}`);
  },
});
console.log(`${flags.backend}: ${rss.length - 1} batches, ${count} values in each of ${C} channels, ${seconds(begin)}`);

const half = Math.floor(rss.length / 2);
const [firstPeak, secondPeak] = [rss.slice(0, half), rss.slice(half)].map((part) => Math.max(...part));
const peaks = `${mebibytes(firstPeak)} in the first half, ${mebibytes(secondPeak)} in the second`;
console.log(`RSS: ${mebibytes(rss[0])} at the start, peaks ${peaks}, ${mebibytes(rss.at(-1))} at the end`);

const beginOracle = performance.now();
const { N, mean, variance, bound } = oracle(backend.execution.accumulation.float32);
console.log(`oracle: ${seconds(beginOracle)}`);
const worst = [
  ['mean', layer.runningMean, mean, bound.mean],
  ['variance', layer.runningVariance, variance, bound.variance],
].map(([name, received, expected, bounds]) => {
  const errors = Array.from(expected, (value, c) => Math.abs(received[c] - value));
  const ratio = Math.max(...errors.map((error, c) => error / bounds[c]));
  console.log(
    `running ${name}: errors up to ${Math.max(...errors).toExponential(1)}, ${ratio.toPrecision(2)} of the bound`,
  );
  return [name, ratio];
});
await layer.dispose();
await backend.dispose();

const failures = [
  count !== N && `received ${count} values, expected ${N}`,
  secondPeak > firstPeak + flatWithin && `memory grew by ${mebibytes(secondPeak - firstPeak)}`,
  ...worst.map(([name, ratio]) => !(ratio <= 1) && `the running ${name} is beyond its bound`),
].filter(Boolean);
for (const failure of failures) console.error(failure);
if (failures.length > 0) process.exit(1);
