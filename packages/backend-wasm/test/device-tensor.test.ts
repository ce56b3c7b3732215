// What kernels on the device take as theirs, and how what lies there is read.
import { seededBatch } from '@batchnorm/conformance';
import { BatchNorm, type DeviceTensor, operationsOf } from '@batchnorm/core-api';
import { expectCode } from '@batchnorm/testing/expect-code';
import { describe, expect, it } from 'vitest';
import { createWasmBackend } from '../src/index.js';

const extent = { outer: 8, channels: 3, inner: 1 };
const shape = [8, 3];

describe.each([1, 2])('with %i threads', (threads) => {
  async function prepared() {
    const backend = await createWasmBackend({ threads });
    const { x: data, dy, gamma, beta, epsilon } = seededBatch(extent, { dtype: 'float32' });
    const kernels = await backend.prepare({ extent, dtype: 'float32' });
    const [x, upstream] = [await backend.upload({ data, shape }), await backend.upload({ data: dy, shape })];
    const parameters = { gamma, beta, epsilon, requireFinite: true };
    const gradients = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
    const [host, device] = [operationsOf(kernels), operationsOf(kernels.device!)];
    return { backend, data, dy, x, upstream, parameters, gradients, host, device };
  }

  it('a tensor that only looks like one is FOREIGN_TENSOR, and memory is untouched', async () => {
    const { backend, x, upstream, parameters, gradients, device } = await prepared();
    const other = await createWasmBackend({ threads });
    const victim = await backend.upload({ data: new Float32Array(24).fill(5), shape });
    const fields = { backend, dtype: 'float32', shape, disposed: false, at: 4096, length: 24 };
    const methods = { read: () => new Float32Array(24), view: () => new Float32Array(24), dispose: () => undefined };
    const forged: unknown[] = [
      { ...fields, ...methods },
      Object.create(x as object, { at: { value: 2 ** 31 } }),
      Object.setPrototypeOf({ ...fields }, Object.getPrototypeOf(x)),
      new Proxy(x, {}),
      await other.upload({ data: new Float32Array(24), shape }),
    ];
    const { saved } = await device.forwardTraining({ ...parameters, x, y: undefined });
    for (const one of forged as DeviceTensor[]) {
      const calls = [
        () => device.forwardTraining({ ...parameters, x: one, y: undefined }),
        () => device.forwardTraining({ ...parameters, x, y: one }),
        () => device.backwardTraining({ ...gradients, saved, dy: one }),
        () => device.backwardTraining({ ...gradients, saved, dy: upstream, dx: one }),
        () => device.backwardTraining({ ...gradients, saved, dy: upstream, dgamma: one as never }),
        () => device.backwardTraining({ ...gradients, saved, dy: upstream, dbeta: one as never }),
      ];
      for (const call of calls) await expectCode('FOREIGN_TENSOR', call, /received .+, expected .+/);
    }
    expect(await victim.read()).toEqual(new Float32Array(24).fill(5));
    await backend.dispose();
    await other.dispose();
  });

  it('what a tensor says of itself can not be changed', async () => {
    const { backend, x } = await prepared();
    const mine = [4, 2];
    const tensor = await backend.upload({ data: new Float32Array(8), shape: mine });
    mine[0] = 400;
    expect(tensor.shape).toEqual([4, 2]);
    expect(() => Object.assign(tensor.shape, { 0: 400 })).toThrow(TypeError);
    for (const name of ['shape', 'dtype', 'backend', 'disposed']) {
      expect(() => Object.assign(x, { [name]: 0 }), name).toThrow(TypeError);
    }
    await backend.dispose();
  });

  it('what somebody defines on a tensor leads no kernel elsewhere', async () => {
    const { backend, x, parameters, device } = await prepared();
    const neighbour = await backend.upload({ data: new Float32Array(24).fill(5), shape });
    Object.defineProperties(x, { shape: { value: [800, 3] }, dtype: { value: 'float64' }, at: { value: 0 } });
    const { y } = await device.forwardTraining({ ...parameters, x, y: undefined });
    expect(y).toMatchObject({ shape, dtype: 'float32' });
    const layer = new BatchNorm({ backend, numFeatures: 3, dtype: 'float64' });
    await expectCode('DTYPE_MISMATCH', () => layer.forward(x));
    expect(await neighbour.read()).toEqual(new Float32Array(24).fill(5));
    await backend.dispose();
  });

  it('tensors and vectors of other sizes, or disposed, are refused', async () => {
    const { backend, x, upstream, parameters, gradients, device } = await prepared();
    const small = await backend.upload({ data: new Float32Array(23), shape: [23] });
    const wide = await backend.upload({ data: new Float64Array(24), shape });
    const gone = await backend.upload({ data: new Float32Array(24), shape });
    gone.dispose();
    const { saved } = await device.forwardTraining({ ...parameters, x, y: undefined });
    await expectCode('INVALID_TENSOR', () => device.forwardTraining({ ...parameters, x, y: small }));
    await expectCode('DTYPE_MISMATCH', () => device.forwardTraining({ ...parameters, x, y: wide }));
    await expectCode('DISPOSED', () => device.forwardTraining({ ...parameters, x, y: gone }));

    const others = await backend.prepare({ extent: { outer: 8, channels: 2, inner: 1 }, dtype: 'float32' });
    const two = { gamma: new Float64Array(2), beta: new Float64Array(2), epsilon: 1e-5, requireFinite: true };
    const pair = await backend.upload({ data: new Float32Array(16), shape: [8, 2] });
    const there = operationsOf(others.device!);
    const forward = await there.forwardTraining({ ...two, x: pair, y: undefined });
    const { dgamma, dbeta } = await there.backwardTraining({ ...gradients, saved: forward.saved, dy: pair });
    const backward = (out: object) => () => device.backwardTraining({ ...gradients, saved, dy: upstream, ...out });
    await expectCode('INVALID_TENSOR', backward({ dgamma }), /dgamma of 2 elements, expected 3/);
    dbeta.dispose();
    await expectCode('DISPOSED', backward({ dbeta }), /dbeta/);
    await backend.dispose();
  });

  it('moments and gradients are there at once: nobody waits for what lies in the same memory', async () => {
    const { backend, x, data, upstream, parameters, gradients, host, device } = await prepared();
    const onHost = await host.forwardTraining({ ...parameters, x: data, y: undefined });
    const { saved, moments } = await device.forwardTraining({ ...parameters, x, y: undefined });
    expect(moments.read()).toEqual(onHost.moments);
    expect(moments.view!()).toEqual(onHost.moments);
    const { dgamma } = await device.backwardTraining({ ...gradients, saved, dy: upstream });
    expect(dgamma.view!()).toEqual(dgamma.read());
    moments.dispose();
    await expectCode('DISPOSED', () => moments.view!());
    await backend.dispose();
  });

  it('dx is the same where nobody asks for gradients of parameters', async () => {
    const { backend, x, data, dy, upstream, parameters, gradients, host, device } = await prepared();
    const given = { mean: new Float64Array(3).fill(0.5), variance: new Float64Array(3).fill(2) };
    const forwards = [
      ['backwardTraining', host, await host.forwardTraining({ ...parameters, x: data, y: undefined }), dy],
      ['backwardInference', host, await host.forwardInference({ ...parameters, ...given, x: data, y: undefined }), dy],
      ['backwardTraining', device, await device.forwardTraining({ ...parameters, x, y: undefined }), upstream],
      [
        'backwardInference',
        device,
        await device.forwardInference({ ...parameters, ...given, x, y: undefined }),
        upstream,
      ],
    ] as const;
    for (const [operation, operations, { saved }, incoming] of forwards) {
      const [with_, without] = await Promise.all(
        [true, false].map(async (parameterGradients) => {
          const input = { ...gradients, saved, dy: incoming, parameterGradients };
          const { dx } = await operations[operation](input as never);
          return 'read' in dx ? dx.read() : dx;
        }),
      );
      expect(without).toEqual(with_);
    }
    await backend.dispose();
  });
});
