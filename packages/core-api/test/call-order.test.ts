// Calls take effect in call order, awaited or not.
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions } from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const [first, second] = [filled([4, C], 1), filled([6, C], 2)];
const dy = filled([6, C], 3);

/** Each kernel takes less time than the one before: without a queue the last would be first. */
function impatientBackend(): ReferenceBackend {
  const delays = [8, 6, 4, 2];
  return new ReferenceBackend({ gate: () => new Promise((resolve) => setTimeout(resolve, delays.shift() ?? 0)) });
}

const newLayer = (backend: ReferenceBackend, options: Partial<BatchNormOptions> = {}) =>
  new BatchNorm({ backend, numFeatures: C, ...options });

async function oneByOne() {
  const layer = newLayer(new ReferenceBackend());
  const y1 = await layer.forward(first);
  const y2 = await layer.forward(second);
  const gradients = await layer.backward(dy);
  const z = await layer.forward(first, { training: false });
  return { results: [y1, y2, gradients, z], state: await layer.state() };
}

describe('calls that nobody awaited', () => {
  it('give what awaited ones give', async () => {
    const expected = await oneByOne();
    const layer = newLayer(impatientBackend());
    const calls = [
      layer.forward(first),
      layer.forward(second),
      layer.backward(dy),
      layer.forward(first, { training: false }),
      layer.state(),
    ];
    const [y1, y2, gradients, z, state] = await Promise.all(calls);
    expect([y1, y2, gradients, z]).toEqual(expected.results);
    expect(state).toEqual(expected.state);
  });

  it('belong to the forward before them: two overlapping forwards, one backward', async () => {
    const layer = newLayer(impatientBackend());
    void layer.forward(second);
    const overlapping = layer.forward(first);
    await expectError('SHAPE_MISMATCH', () => layer.backward(dy), /\[6, 3\], expected \[4, 3\]/);
    await overlapping;
  });

  it('go on after one that failed', async () => {
    const layer = newLayer(impatientBackend());
    const bad = layer.forward(tensor([2, C], [1, 2, Number.NaN, 4, 5, 6]));
    const good = layer.forward(first);
    await expectError('NON_FINITE_STATISTICS', () => bad);
    await good;
    expect(layer.batchesTracked).toBe(1);
  });

  it('take effect before a dispose() that follows them', async () => {
    const layer = newLayer(impatientBackend());
    const y = layer.forward(first);
    const disposed = layer.dispose();
    const late = layer.forward(first);
    expect((await y).shape).toEqual([4, C]);
    await disposed;
    await expectError('DISPOSED', () => late);
  });

  it('take their options as they were when called', async () => {
    const layer = newLayer(impatientBackend());
    const options = { training: false };
    void layer.forward(first);
    const inference = layer.forward(second, options);
    options.training = true;
    await inference;
    expect(layer.batchesTracked).toBe(1);
  });
});
