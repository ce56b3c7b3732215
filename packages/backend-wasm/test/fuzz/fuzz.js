// Random extents, alignments, dtypes and values: results against the kit's oracle within its bounds, the same bits on the
// device, and guard zones around every buffer. Plain JavaScript, so that `pnpm fuzz` runs it with Node alone.
import { accumulationOf, boundsOf, oracle, RunningErrors } from '@batchnorm/conformance';
import { operationsOf, statisticsOf } from '@batchnorm/core-api';
import fc from 'fast-check';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { mersenne } from 'pure-rand/generator/mersenne';

const guard = 7;
const guardLength = 16;
const largestSide = 5000;

/** Three sides of 1 to 5,000 with a product of at most `most`, in any order. */
function extents(most) {
  const side = (bound) => fc.integer({ min: 1, max: Math.max(1, Math.floor(Math.min(bound, largestSide))) });
  const sides = side(most).chain((a) => side(most / a).chain((b) => side(most / a / b).map((c) => [a, b, c])));
  const order = fc.constantFrom([0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]);
  return fc.tuple(sides, order).map(([s, [o, c, i]]) => ({ outer: s[o], channels: s[c], inner: s[i] }));
}

/** Mostly small; now and then enough for threads to share. */
export const cases = fc.record({
  extent: fc.oneof({ weight: 60, arbitrary: extents(6000) }, { weight: 1, arbitrary: extents(150_000) }),
  dtype: fc.constantFrom('float32', 'float64'),
  training: fc.constantFrom(true, true, false),
  /** Elements between an aligned address and where each array begins. */
  offsets: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 4, maxLength: 4 }),
  mean: fc.constantFrom(0, 1, -30, 1000),
  inPlace: fc.boolean(),
  seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
});

/** What is wrong with one case; empty when nothing is. */
export async function mismatches(backend, { extent, dtype, training, offsets, mean, inPlace, seed }) {
  const { outer, channels, inner } = extent;
  const length = outer * channels * inner;
  const source = mersenne(seed);
  const random = () => uniformFloat64(source);
  const bell = () => 2 * (random() + random() + random() - 1.5);
  const Elements = dtype === 'float64' ? Float64Array : Float32Array;
  const values = (make) => Elements.from({ length }, make);
  const vector = (make) => Float64Array.from({ length: channels }, make);
  const [x, dy] = [values(() => mean + bell()), values(bell)];
  const [gamma, beta, epsilon] = [vector(bell), vector(bell), 1e-5];
  const statistics = training
    ? undefined
    : { mean: vector(() => mean + bell()), variance: vector(() => random() + 0.1) };

  const found = [];
  const arenas = [];
  const guarded = (from, offset) => {
    const arena = new Elements(length + 2 * guardLength + offset).fill(guard);
    const data = arena.subarray(guardLength + offset, guardLength + offset + length);
    if (from) data.set(from);
    arenas.push({ arena, data });
    return data;
  };
  const kernels = backend.prepare({ extent, dtype });
  const [onHost, onDevice] = [operationsOf(kernels), operationsOf(kernels.device)];
  const operations = training ? ['forwardTraining', 'backwardTraining'] : ['forwardInference', 'backwardInference'];
  const [forward, backward] = operations;
  const parameters = { gamma, beta, epsilon, requireFinite: true, ...statistics };

  // On the host, at any alignment.
  const hostX = guarded(x, offsets[0]);
  const y = await onHost[forward]({ x: hostX, y: guarded(undefined, offsets[1]), ...parameters });
  const hostDy = guarded(dy, offsets[2]);
  const [dgamma, dbeta] = [new Float64Array(channels), new Float64Array(channels)];
  const dx = inPlace ? hostDy : guarded(undefined, offsets[3]);
  await onHost[backward]({ saved: y.saved, dy: hostDy, dx, dgamma, dbeta });
  const host = { y: y.y, dx, dgamma, dbeta };
  const hostStatistics = y.moments && statisticsOf(y.moments);
  y.saved.dispose();
  for (const { arena, data } of arenas) {
    const begin = (data.byteOffset - arena.byteOffset) / arena.BYTES_PER_ELEMENT;
    const isGuard = (value, k) => (k >= begin && k < begin + length) || value === guard;
    if (!arena.every(isGuard)) found.push('a guard zone of a host array was written');
  }
  if (hostX.some((value, k) => value !== x[k])) found.push('x was written');
  if (!inPlace && hostDy.some((value, k) => value !== dy[k])) found.push('dy was written');

  // In wasm memory, between guards.
  const tensors = [];
  const upload = (data) => {
    tensors.push(backend.upload({ data, shape: [data.length] }));
    return tensors.at(-1);
  };
  const zone = () => upload(new Float64Array(8).fill(guard));
  const zones = [zone()];
  const [thereX, thereDy, thereY, thereDx] = [x, dy, x, dy].map((data) => {
    const tensor = upload(data);
    zones.push(zone());
    return tensor;
  });
  const forwardThere = await onDevice[forward]({ x: thereX, y: thereY, ...parameters });
  const { saved } = forwardThere;
  const out = { saved, dy: thereDy, dx: inPlace ? thereDy : thereDx, dgamma: undefined, dbeta: undefined };
  const backwardThere = await onDevice[backward](out);
  for (const name of ['y', 'dx', 'dgamma', 'dbeta']) {
    const there = await (name === 'y' ? forwardThere.y : backwardThere[name]).read();
    if (there.some((value, k) => !Object.is(value, host[name][k]))) found.push(`${name} has other bits on the device`);
  }
  if (zones.some((tensor) => tensor.view().some((value) => value !== guard))) found.push('a guard zone was written');
  for (const result of [...tensors, backwardThere.dgamma, backwardThere.dbeta, saved]) result.dispose();
  forwardThere.moments?.dispose();
  kernels.dispose();

  // Against the oracle.
  const input = { extent, x, gamma, beta, epsilon, statistics };
  const batch = oracle.batchStatistics(x, extent);
  const normalization = { ...(statistics ?? batch), epsilon, gamma, beta };
  const exact = { y: oracle.forward(input), ...oracle.backward(input, dy) };
  const accumulation = accumulationOf(backend, dtype);
  const running = new RunningErrors(channels);
  // What a layer of momentum 0 keeps: the batch's own.
  running.track(batch, { accumulation, valuesPerChannel: outer * inner, kept: 0, runningVariance: 'population' });
  const step = { dtype, accumulation, extent, x, dy, normalization, throughStatistics: training };
  const bounds = boundsOf({ ...step, ...(training && { running }) });
  const compare = (quantity, got, want) => {
    const { tolerance, magnitude } = bounds[quantity];
    for (let k = 0; k < want.length; k++) {
      const bound = tolerance[k] * magnitude[k];
      if (Math.abs(got[k] - want[k]) <= bound) continue;
      return found.push(
        `${quantity}[${k}]: received ${got[k]}, expected ${want[k]}, ${Math.abs(got[k] - want[k]) / bound} × the bound`,
      );
    }
  };
  for (const name of ['y', 'dx', 'dgamma', 'dbeta']) compare(name, host[name], exact[name]);
  if (hostStatistics) {
    compare('runningMean', hostStatistics.mean, batch.mean);
    compare('runningVariance', hostStatistics.variance, batch.variance);
  }
  return found;
}
