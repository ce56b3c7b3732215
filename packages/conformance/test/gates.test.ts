// Behind ReLU a backend decides what passes only where rounding may decide it, and its gradients are held to its y.
import { expect, it } from 'vitest';
import { shownBy } from '../src/gates.js';
import { countedPositions, maskOf } from '../src/masks.js';
import { randomSeededBy } from '../src/problem.js';
import { LayerModel } from '../src/programs/layer-model.js';
import { createRightBackend } from './wrong-backends/right-backend.js';

it('z within its bound of 0 has the sign that y shows, and z beyond it its own', () => {
  const bound = { tolerance: new Float64Array(6).fill(1e-3), magnitude: Float64Array.of(1, 1, 1, 2, 2, 2) };
  const z = Float64Array.of(1e-3, -1e-3, 1.1e-3, 1.1e-3, -3.1e-3, Number.NaN);
  const y = [0, 1, 0, 0, 1, 0];
  expect([...shownBy(y, { z, bound })]).toEqual([0, 1, 1.1e-3, 0, -3.1e-3, Number.NaN]);
});

it('a gradient is expected to have the gates of y where z is 0 but for a rounding', () => {
  const options = { numFeatures: 1, dtype: 'float64', activation: 'relu', trackRunningStatistics: false } as const;
  const model = new LayerModel(options, createRightBackend());
  // xHat is ±1 but for epsilon, and the residual takes one of them away but for the last digits.
  const x = Float64Array.of(1, -1);
  const residual = Float64Array.of(-1 / Math.sqrt(1 + 1e-5), 5);
  const how = { training: true, track: true, memory: 'host', residual } as const;
  model.forward(x, [2, 1], how);
  const dy = Float64Array.of(3, 4);
  const dresidual = (y: Float64Array) => Array.from(model.backward(dy, y).dresidual!.values);
  expect(dresidual(Float64Array.of(0, 4))).toEqual([0, 4]);
  expect(dresidual(Float64Array.of(1e-17, 4))).toEqual([3, 4]);
  expect(dresidual(Float64Array.of(0, 0))).toEqual([0, 4]);
});

it.each(['padded', 'scattered', 'samples', 'one'] as const)(
  'a mask, %s, is spread over axes that it leaves out',
  (kind) => {
    const shape = [3, 2, 4, 5];
    const mask = maskOf(kind, randomSeededBy(kind), shape, 1);
    const { positions, count } = countedPositions(mask, shape, 1)!;
    expect(mask.shape).toEqual(kind === 'samples' ? [3] : [3, 4, 5]);
    expect(positions).toHaveLength(60);
    expect(positions.filter((value) => value === 1)).toHaveLength(count);
    expect(count).toBeGreaterThan(0);
    positions.forEach((value, p) => {
      expect(value).toBe(mask.data[kind === 'samples' ? Math.floor(p / 20) : p]);
    });
  },
);
