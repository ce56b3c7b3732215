// Device tensors: what stays on the device, when the layer waits for it, and that nothing is left behind.
import { describe, expect, it } from 'vitest';
import { BatchNorm, type BatchNormOptions, type DeviceTensor, type Gradients } from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const C = 3;
const [x, dy] = [filled([4, C]), filled([4, C], 2)];

function newLayer(options: Partial<BatchNormOptions> = {}) {
  const backend = new ReferenceBackend();
  return { backend, layer: new BatchNorm({ backend, numFeatures: C, ...options }) };
}

/** The gradients, read to the host. */
async function read({ dx, dgamma, dbeta }: Gradients<DeviceTensor>) {
  return { dx: { data: await dx.read(), shape: dx.shape }, dgamma: await dgamma.read(), dbeta: await dbeta.read() };
}

describe('a step on device tensors', () => {
  it('gives what the host gives, in training and in inference', async () => {
    for (const training of [true, false]) {
      const { layer: host } = newLayer();
      const { layer, backend } = newLayer();
      const y = await layer.forward(backend.upload(x), { training });
      expect(await y.read()).toEqual((await host.forward(x, { training })).data);
      const gradients = await layer.backward(backend.upload(dy));
      expect(await read(gradients)).toEqual(await host.backward(dy));
      expect(await layer.state()).toEqual(await host.state());
    }
  });

  it('whose x can not say any more whether it is disposed is FOREIGN_TENSOR', async () => {
    const { layer, backend } = newLayer();
    const onDevice = backend.upload(x);
    await layer.forward(onDevice);
    Object.defineProperty(onDevice, 'disposed', {
      get: () => {
        throw new Error('boom');
      },
    });
    await expectError('FOREIGN_TENSOR', () => layer.backward(backend.upload(dy)));
  });

  it('waits for no readback until somebody asks for the running statistics', async () => {
    const { layer, backend } = newLayer();
    const [onDevice, dyOnDevice] = [backend.upload(x), backend.upload(dy)];
    for (let step = 0; step < 3; step++) {
      await layer.forward(onDevice);
      await layer.backward(dyOnDevice);
    }
    expect(backend.reads).toBe(0);
    // What they are is not known yet: an old number would be a wrong one.
    for (const name of ['runningMean', 'runningVariance', 'batchesTracked'] as const) {
      await expectError('UNSETTLED', () => layer[name], /3 batches wait/);
    }
    await expectError('UNSETTLED', () => {
      layer.runningMean = [0, 0, 0];
    });
    await layer.settle();
    expect([backend.reads, layer.batchesTracked]).toEqual([3, 3]);
  });

  it.each(['inference', 'state', 'dispose'] as const)('is settled by %s', async (call) => {
    const { layer, backend } = newLayer();
    await layer.forward(backend.upload(x));
    if (call === 'inference') await layer.forward(x, { training: false });
    else await layer[call]();
    expect(layer.batchesTracked).toBe(1);
  });

  it('fills out, and returns it', async () => {
    const { layer, backend } = newLayer();
    const [out, dx] = [backend.upload(filled([4, C], 9)), backend.upload(filled([4, C], 9))];
    expect(await layer.forward(backend.upload(x), { out })).toBe(out);
    expect((await layer.backward(backend.upload(dy), { out: { dx } })).dx).toBe(dx);
  });

  it('leaves nothing behind but what it returned', async () => {
    const { layer, backend } = newLayer();
    const [onDevice, dyOnDevice] = [backend.upload(x), backend.upload(dy)];
    for (let step = 0; step < 500; step++) {
      (await layer.forward(onDevice)).dispose();
      const { dx, dgamma, dbeta } = await layer.backward(dyOnDevice);
      for (const result of [dx, dgamma, dbeta]) result.dispose();
      expect(backend.alive.size).toBeLessThan(100);
    }
    await layer.dispose();
    expect(layer.batchesTracked).toBe(500);
    expect(backend.alive).toEqual(new Set([onDevice, dyOnDevice]));
  });

  it('has empty parameter gradients without affine parameters, and frees the real ones', async () => {
    const { layer, backend } = newLayer({ affine: false });
    const y = await layer.forward(backend.upload(x));
    const { dx, dgamma } = await layer.backward(backend.upload(dy));
    expect(await dgamma.read()).toEqual(new Float64Array(0));
    await layer.dispose();
    expect(backend.alive.size).toBe(4);
    expect(backend.alive).toContain(y);
    expect(backend.alive).toContain(dx);
  });
});

describe('batches that wait on the device', () => {
  it('are folded without those that are not finite, which settle() names', async () => {
    const { layer, backend } = newLayer();
    const bad = tensor([2, C], [1, 2, Number.NaN, 4, 5, 6]);
    for (const batch of [x, bad, x]) await layer.forward(backend.upload(batch));
    await expectError('NON_FINITE_STATISTICS', () => layer.settle(), /channel 2/);
    expect(layer.batchesTracked).toBe(2);
    await expect(layer.settle()).resolves.toBeUndefined();
  });

  it('go on waiting while they cannot be read: nothing is lost, and nothing is averaged in before them', async () => {
    const { layer, backend } = newLayer();
    const { layer: good } = newLayer();
    const batches = Array.from({ length: 70 }, (_, n) => filled([4, C], n + 1));
    backend.isUnsubmitted = true;
    for (const batch of batches) await layer.forward(backend.upload(batch));
    for (const attempt of [
      () => layer.settle(),
      () => layer.state(),
      () => layer.forward(x, { training: false }),
      () => layer.forward(x),
    ]) {
      await expectError('UNSUPPORTED', attempt, /later/);
    }
    backend.isUnsubmitted = false;
    for (const batch of batches) await good.forward(batch);
    expect(await layer.state()).toEqual(await good.state());
  });

  it('are left out where they never can be read, which settle() reports once', async () => {
    const { layer, backend } = newLayer();
    const { layer: good } = newLayer();
    const batches = [1, 2, 3].map((seed) => filled([4, C], seed));
    for (const [n, batch] of batches.entries()) {
      backend.isVoid = n === 1;
      await layer.forward(backend.upload(batch));
      if (n !== 1) await good.forward(batch);
    }
    await expectError('DISPOSED', () => layer.settle(), /never/);
    await layer.settle();
    expect(await layer.state()).toEqual(await good.state());
  });

  it('are freed by dispose() all the same where they cannot be read', async () => {
    const { layer, backend } = newLayer();
    const onDevice = backend.upload(x);
    const y = await layer.forward(onDevice);
    backend.isUnsubmitted = true;
    await expectError('UNSUPPORTED', () => layer.dispose());
    expect(backend.alive).toEqual(new Set([onDevice, y]));
  });

  it('never fail a training forward, however many they are', async () => {
    const { layer, backend } = newLayer();
    const { layer: good } = newLayer();
    const bad = tensor([2, C], [1, 2, Number.NaN, 4, 5, 6]);
    for (let n = 0; n < 70; n++) {
      const batch = filled([4, C], n + 1);
      await layer.forward(n === 30 ? backend.upload(bad) : backend.upload(batch));
      if (n !== 30) await good.forward(batch);
    }
    await layer.forward(x);
    await good.forward(x);
    await expectError('NON_FINITE_STATISTICS', () => layer.settle(), /channel 2/);
    expect(await layer.state()).toEqual(await good.state());
    expect(layer.batchesTracked).toBe(70);
  });

  it('are averaged in at once where the host sees their statistics', async () => {
    const { layer, backend } = newLayer();
    const { layer: onHost } = newLayer();
    backend.sharesMemory = true;
    const bad = tensor([2, C], [1, 2, Number.NaN, 4, 5, 6]);
    for (const batch of [x, bad, x]) await layer.forward(backend.upload(batch));
    for (const batch of [x, x]) await onHost.forward(batch);
    expect(backend.reads).toBe(0);
    expect([...layer.runningMean, layer.batchesTracked]).toEqual([...onHost.runningMean, 2]);
    layer.runningMean = [0, 0, 0];
    await expectError('NON_FINITE_STATISTICS', () => layer.settle(), /channel 2/);
    expect([...layer.runningMean]).toEqual([0, 0, 0]);
  });

  it('are averaged in before a batch on the host that comes after them', async () => {
    const { layer, backend } = newLayer();
    const { layer: inTurn } = newLayer();
    const batches = [filled([4, C], 5), filled([4, C], 6), filled([4, C], 7)] as const;
    await layer.forward(backend.upload(batches[0]));
    await layer.forward(batches[1]);
    await layer.forward(backend.upload(batches[2]));
    for (const batch of batches) await inTurn.forward(batch);
    expect(await layer.state()).toEqual(await inTurn.state());
  });

  it('are forgotten by loadState(), which comes after them', async () => {
    const { layer, backend } = newLayer();
    const state = await layer.state();
    await layer.forward(backend.upload(x));
    await layer.loadState(state);
    expect(await layer.state()).toEqual(state);
    expect(backend.reads).toBe(0);
  });

  it('are forgotten by resetRunningStatistics(), which comes after them', async () => {
    const { layer, backend } = newLayer();
    const state = await layer.state();
    await layer.forward(backend.upload(x));
    await layer.resetRunningStatistics();
    expect(await layer.state()).toEqual(state);
    expect(backend.reads).toBe(0);
  });

  it('are averaged in with the momentum of their forward', async () => {
    const { layer, backend } = newLayer();
    const { layer: onHost } = newLayer();
    for (const momentum of [0.5, 'cumulative', 0.1] as const) {
      layer.momentum = momentum;
      onHost.momentum = momentum;
      await layer.forward(backend.upload(x));
      await onHost.forward(x);
    }
    expect(await layer.state()).toEqual(await onHost.state());
  });

  it('are not tracked, and freed at once, without running statistics', async () => {
    const { layer, backend } = newLayer({ trackRunningStatistics: false });
    const onDevice = backend.upload(x);
    (await layer.forward(onDevice)).dispose();
    await layer.dispose();
    expect(backend.alive).toEqual(new Set([onDevice]));
  });
});
