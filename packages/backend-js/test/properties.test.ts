// What holds for all inputs, whatever the numbers are.
import { type SeededBatch, seededBatch } from '@batchnorm/conformance';
import {
  BatchNorm,
  type BatchNormOptions,
  type Extent,
  type FloatArray,
  type Tensor,
  valuesPerChannel,
} from '@batchnorm/core-api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createJsBackend } from '../src/index.js';
import { extents, seeds } from './arbitraries.js';
import { reference } from './reference.js';

const backend = createJsBackend();
const dtype = 'float64';

function layerFor({ extent, gamma, beta }: SeededBatch, options: Partial<BatchNormOptions> = {}): BatchNorm {
  const layer = new BatchNorm({ backend, numFeatures: extent.channels, dtype, ...options });
  layer.gamma.set(gamma);
  layer.beta.set(beta);
  return layer;
}

const shaped = ({ outer, channels, inner }: Extent, data: FloatArray): Tensor => ({
  data,
  shape: [outer, channels, inner],
});

/** |got − want| ≤ tolerance · scale, for every element; `scale` is at least 1. */
function expectClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(want.length);
  let scale = 1;
  for (let k = 0; k < want.length; k++) scale = Math.max(scale, Math.abs(want[k]!));
  for (let k = 0; k < want.length; k++) {
    if (!(Math.abs(got[k]! - want[k]!) <= tolerance * scale)) {
      expect.fail(`[${k}]: ${got[k]} is not within ${tolerance * scale} of ${want[k]}`);
    }
  }
}

const problems = fc
  .record({ extent: extents, seed: seeds, mean: fc.double({ min: -100, max: 100, noNaN: true }) })
  .map(({ extent, seed, mean }) => seededBatch(extent, { seed, mean }));
const manyValues = problems.filter(({ extent }) => valuesPerChannel(extent) >= 8);

const check = (property: fc.IAsyncProperty<[SeededBatch]>, numRuns = 60) =>
  fc.assert(property, { seed: 20261122, numRuns });

describe('for every extent', () => {
  it('training forward and backward are the formulas', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const layer = layerFor(problem, { momentum: 0 });
        const want = reference(problem);
        const y = await layer.forward(shaped(problem.extent, problem.x));
        const { dx, dgamma, dbeta } = await layer.backward(shaped(problem.extent, problem.dy));
        expectClose(layer.runningMean, want.mean, 1e-13);
        expectClose(layer.runningVariance, want.variance, 1e-12);
        expectClose(y.data, want.y, 1e-10);
        expectClose(dx.data, want.dx, 1e-10);
        expectClose(dgamma, want.dgamma, 1e-10);
        expectClose(dbeta, want.dbeta, 1e-11);
      }),
      300,
    ));

  it('inference forward and backward are the formulas, with running statistics', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const layer = layerFor(problem);
        layer.runningMean.set(problem.gamma.map((value, c) => value + c));
        layer.runningVariance.set(problem.beta.map((value) => value ** 2));
        const want = reference(problem, { mean: layer.runningMean, variance: layer.runningVariance });
        const y = await layer.forward(shaped(problem.extent, problem.x), { training: false });
        const { dx, dgamma, dbeta } = await layer.backward(shaped(problem.extent, problem.dy));
        expectClose(y.data, want.y, 1e-12);
        expectClose(dx.data, want.dx, 1e-12);
        expectClose(dgamma, want.dgamma, 1e-11);
        expectClose(dbeta, want.dbeta, 1e-11);
      }),
      150,
    ));

  it('float32 activations give the float64 results, rounded', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const narrow = { ...problem, x: Float32Array.from(problem.x), dy: Float32Array.from(problem.dy) };
        const layer = layerFor(problem, { dtype: 'float32', momentum: 0 });
        const y = await layer.forward(shaped(problem.extent, narrow.x));
        const { dx, dgamma } = await layer.backward(shaped(problem.extent, narrow.dy));
        const want = reference(narrow);
        expectClose(layer.runningVariance, want.variance, 1e-12);
        expectClose(y.data, want.y, 1.2e-7);
        expectClose(dx.data, want.dx, 1.2e-7);
        expectClose(dgamma, want.dgamma, 1e-10);
      }),
      150,
    ));
});

describe('training', () => {
  it('does not notice a shift of x, and scales out of the output', () =>
    check(
      fc.asyncProperty(manyValues, async (problem) => {
        // A power of two scales exactly; without epsilon in the way the output is the same.
        const layer = layerFor(problem, { epsilon: 1e-300 });
        const y = await layer.forward(shaped(problem.extent, problem.x));
        const shifted = await layer.forward(
          shaped(
            problem.extent,
            problem.x.map((value) => value + 3),
          ),
        );
        const scaled = await layer.forward(
          shaped(
            problem.extent,
            problem.x.map((value) => value * 8),
          ),
        );
        expectClose(shifted.data, y.data, 1e-10);
        expectClose(scaled.data, y.data, 1e-12);
      }),
    ));

  it('gives each channel the mean beta and the deviation |gamma|', () =>
    check(
      fc.asyncProperty(manyValues, async (problem) => {
        const { extent, gamma, beta } = problem;
        const layer = layerFor(problem, { epsilon: 1e-300 });
        const y = await layer.forward(shaped(extent, problem.x));
        const { mean, variance } = reference({ ...problem, x: y.data });
        expectClose(mean, beta, 1e-10);
        expectClose(variance.map(Math.sqrt), gamma.map(Math.abs), 1e-10);
      }),
    ));

  it('permutes its output as its batch was permuted', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const { outer, channels, inner } = problem.extent;
        const row = channels * inner;
        const reversed = (data: FloatArray) => {
          const result = data.slice();
          for (let o = 0; o < outer; o++) result.set(data.subarray(o * row, (o + 1) * row), (outer - 1 - o) * row);
          return result;
        };
        const layer = layerFor(problem);
        const y = await layer.forward(shaped(problem.extent, problem.x));
        const { dx } = await layer.backward(shaped(problem.extent, problem.dy));
        const yReversed = await layer.forward(shaped(problem.extent, reversed(problem.x)));
        const dxReversed = (await layer.backward(shaped(problem.extent, reversed(problem.dy)))).dx;
        expectClose(reversed(yReversed.data), y.data, 1e-10);
        expectClose(reversed(dxReversed.data), dx.data, 1e-10);
      }),
    ));

  it('is the same channels-last as channels-first, transposed', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const { outer, channels, inner } = problem.extent;
        const toLast = (data: FloatArray) => {
          const result = data.slice();
          for (let k = 0; k < data.length; k++) {
            const [o, c, i] = [Math.floor(k / (channels * inner)), Math.floor(k / inner) % channels, k % inner];
            result[(o * inner + i) * channels + c] = data[k]!;
          }
          return result;
        };
        const lastShape = [outer, inner, channels];
        const [first, last] = [layerFor(problem), layerFor(problem, { axis: -1 })];
        const y = await first.forward(shaped(problem.extent, problem.x));
        const yLast = await last.forward({ data: toLast(problem.x), shape: lastShape });
        expectClose(yLast.data, toLast(y.data), 1e-10);
        const gradients = await first.backward(shaped(problem.extent, problem.dy));
        const gradientsLast = await last.backward({ data: toLast(problem.dy), shape: lastShape });
        expectClose(gradientsLast.dx.data, toLast(gradients.dx.data), 1e-10);
        expectClose(gradientsLast.dgamma, gradients.dgamma, 1e-10);
        expectClose(first.runningVariance, last.runningVariance, 1e-12);
      }),
    ));
});

describe('the training gradient', () => {
  it('sums to zero per channel, alone and weighted with xHat', () =>
    check(
      fc.asyncProperty(manyValues, async (problem) => {
        // sum(dx · xHat) vanishes with epsilon: what remains is proportional to it.
        const exact = { ...problem, epsilon: 1e-300 };
        const layer = layerFor(exact, { epsilon: exact.epsilon });
        await layer.forward(shaped(problem.extent, problem.x));
        const { dx } = await layer.backward(shaped(problem.extent, problem.dy));
        const { channels, inner } = problem.extent;
        const { xHat } = reference(exact);
        const [sum, weighted, size] = [0, 0, 0].map(() => new Float64Array(channels)) as [
          Float64Array,
          Float64Array,
          Float64Array,
        ];
        for (let k = 0; k < dx.data.length; k++) {
          const c = Math.floor(k / inner) % channels;
          sum[c]! += dx.data[k]!;
          weighted[c]! += dx.data[k]! * xHat[k]!;
          size[c]! += Math.abs(dx.data[k]!) * (1 + Math.abs(xHat[k]!));
        }
        for (let c = 0; c < channels; c++) {
          expect(Math.abs(sum[c]!)).toBeLessThanOrEqual(1e-11 * (1 + size[c]!));
          expect(Math.abs(weighted[c]!)).toBeLessThanOrEqual(1e-11 * (1 + size[c]!));
        }
      }),
    ));

  it.each([true, false])('is the slope of the loss Σ y · dy by finite differences (training: %s)', (training) =>
    check(
      fc.asyncProperty(
        problems.filter(({ extent, x }) => x.length <= 200 && valuesPerChannel(extent) >= 3),
        async (problem) => {
          // A large epsilon keeps the loss smooth when few values lie close together.
          const layer = layerFor(problem, { epsilon: 0.1, momentum: 1 });
          const loss = async (x: FloatArray) => {
            const { data } = await layer.forward(shaped(problem.extent, x), { training });
            return [...data].reduce((total, value, k) => total + value * problem.dy[k]!, 0);
          };
          const slope = async (values: FloatArray, k: number, evaluate: () => Promise<number>) => {
            const [h, kept] = [1e-4, values[k]!];
            values[k] = kept + h;
            const above = await evaluate();
            values[k] = kept - h;
            const below = await evaluate();
            values[k] = kept;
            return (above - below) / (2 * h);
          };
          const x = problem.x.slice();
          await loss(x);
          const { dx, dgamma, dbeta } = await layer.backward(shaped(problem.extent, problem.dy));
          for (let k = 0; k < x.length; k += 7) {
            expectClose([dx.data[k]!], [await slope(x, k, () => loss(x))], 1e-5);
          }
          for (let c = 0; c < problem.extent.channels; c++) {
            expectClose([dgamma[c]!], [await slope(layer.gamma, c, () => loss(x))], 1e-5);
            expectClose([dbeta[c]!], [await slope(layer.beta, c, () => loss(x))], 1e-5);
          }
        },
      ),
      25,
    ),
  );
});

describe('inference', () => {
  it('is affine: f(a·x + (1 − a)·z) = a·f(x) + (1 − a)·f(z)', () =>
    check(
      fc.asyncProperty(problems, async (problem) => {
        const layer = layerFor(problem);
        await layer.forward(shaped(problem.extent, problem.x));
        const f = async (x: FloatArray) => (await layer.forward(shaped(problem.extent, x), { training: false })).data;
        const mix = (a: FloatArray, b: FloatArray) => a.map((value: number, k: number) => 0.25 * value + 0.75 * b[k]!);
        const [fx, fz] = [await f(problem.x), await f(problem.dy)];
        expectClose(await f(mix(problem.x, problem.dy)), mix(fx, fz), 1e-12);
      }),
    ));
});
