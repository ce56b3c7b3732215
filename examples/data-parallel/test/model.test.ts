// The model of gathers: what it must say whatever its constants are.
import { describe, expect, it } from 'vitest';
import { fitted, gatherTime, layerTime, pytorchTime } from '../src/model.js';

const network = { latency: 20, bandwidth: 1250 };
const software = { exchange: 7, value: 0.01 };

describe('the model', () => {
  it('finds the constants again that made its points', () => {
    const points = [1, 142, 526, 2062].map((values) => ({ values, micros: gatherTime(values, 2, network, software) }));
    const found = fitted(points, network);
    expect(found.exchange).toBeCloseTo(software.exchange, 9);
    expect(found.value).toBeCloseTo(software.value, 12);
  });

  it('grows with the logarithm of the ranks where latency counts, and with the ranks where bytes do', () => {
    const free = { exchange: 0, value: 0 };
    const far = { latency: 1000, bandwidth: 1e12 };
    expect(gatherTime(1, 1024, far, free) / gatherTime(1, 2, far, free)).toBeCloseTo(10, 3);
    const narrow = { latency: 0, bandwidth: 1 };
    expect(gatherTime(1, 1025, narrow, free) / gatherTime(1, 2, narrow, free)).toBeCloseTo(1024, 3);
  });

  it('makes a layer three gathers, which PyTorch’s two outdo in bytes', () => {
    expect(layerTime(64, 2, network, software)).toBeCloseTo(
      2 * gatherTime(142, 2, network, software) + gatherTime(1, 2, network, software),
    );
    expect(pytorchTime(1024, 1024, network, software)).toBeLessThan(layerTime(1024, 1024, network, software));
  });
});
