// The network: its gradients against finite differences, and its state through JSON.
import { createJsBackend } from '@batchnorm/backend-js';
import { describe, expect, it } from 'vitest';
import { type Matrix, matrix, multiply, transpose } from '../src/matrix.js';
import { Network } from '../src/network.js';
import { gaussian, seeded } from '../src/random.js';

const backend = await createJsBackend();
const labels = Uint8Array.of(0, 1, 2, 1, 0, 2, 2);
const images = gaussianMatrix(labels.length, 5, 1);

describe.each([
  { name: 'without BatchNorm', backend: undefined },
  { name: 'with BatchNorm', backend },
])('a network $name', ({ backend }) => {
  const create = (seed: number) => new Network({ sizes: [5, 4, 4, 3], deviation: 1, seed, backend });

  it('has the gradients that finite differences give', async () => {
    const network = create(2);
    const perturb = async (value: Float32Array | Float64Array, i: number, offset: number) => {
      const original = value[i] as number;
      value[i] = original + offset;
      const loss = await network.differentiate(images, labels);
      value[i] = original;
      return loss;
    };
    // Large enough for the rounding of float32, small enough for the curvature of the loss.
    const h = 2 ** -7;
    await network.differentiate(images, labels);
    const gradients = network.parameters.map(({ gradient }) => [...gradient]);
    for (const [p, { value }] of network.parameters.entries()) {
      for (let i = 0; i < value.length; i++) {
        const difference = ((await perturb(value, i, h)) - (await perturb(value, i, -h))) / (2 * h);
        expect(gradients[p]?.[i], `parameter ${p}, element ${i}`).toBeCloseTo(difference, 3);
      }
    }
    expect(Math.max(...gradients.flat())).toBeGreaterThan(0.05);
  });

  it('is the same network again after a round trip of its state through JSON', async () => {
    const network = create(3);
    for (let step = 0; step < 3; step++) {
      await network.differentiate(images, labels);
      network.descend(1);
    }
    const copy = create(4);
    const fresh = [...(await copy.forward(images, false)).data];
    await copy.loadState(JSON.parse(JSON.stringify(await network.state())));

    const expected = await network.forward(images, false);
    expect((await copy.forward(images, false)).data).toEqual(expected.data);
    expect(fresh).not.toEqual([...expected.data]);
  });
});

describe('multiply', () => {
  it.each([
    [1, 1, 1],
    [2, 4, 6],
    [3, 5, 7],
  ])('multiplies %i×%i by %i columns, transposed or not', (rows, depth, columns) => {
    const a = gaussianMatrix(rows, depth, 5);
    const b = gaussianMatrix(depth, columns, 6);
    const product = matrix(rows, columns);
    multiply(a, b, product);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let sum = 0;
        for (let k = 0; k < depth; k++) sum += at(a, i, k) * at(b, k, j);
        expect(at(product, i, j)).toBeCloseTo(sum, 6);
      }
    }

    const transposed = matrix(columns, rows);
    multiply(transpose(b), transpose(a), transposed);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) expect(at(transposed, j, i)).toBe(at(product, i, j));
    }
  });
});

function gaussianMatrix(rows: number, columns: number, seed: number): Matrix {
  const random = seeded(seed);
  const m = matrix(rows, columns);
  for (let i = 0; i < m.data.length; i++) m.data[i] = gaussian(random);
  return m;
}

function at({ data, shape: [, columns] }: Matrix, i: number, j: number): number {
  return data[i * columns + j] as number;
}
