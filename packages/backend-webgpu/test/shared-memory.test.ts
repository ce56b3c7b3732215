// Host arrays in shared memory, such as those of threads: not every implementation of WebGPU takes them everywhere.
import { BatchNorm } from '@batchnorm/core-api';
import { batchOf } from '@batchnorm/testing/batches';
import { expect, it } from 'vitest';
import { createWebGpuBackend } from '../src/index.js';
import { describeHere } from './here.js';

await describeHere(() => {
  it('activations in shared memory give what ordinary ones give, and results are written there', async () => {
    const backend = await createWebGpuBackend();
    const { x, dy } = batchOf([5, 3]);
    const shared = (values: ArrayLike<number>) => {
      const data = new Float32Array(new SharedArrayBuffer(8 + values.length * 4), 4, values.length);
      data.set(values);
      return { data, shape: x.shape };
    };
    const step = async (ofHost: typeof x, dyOfHost: typeof x, out?: typeof x) => {
      const layer = new BatchNorm({ backend, numFeatures: 3 });
      const y = await layer.forward(ofHost, out && { out });
      const { dx, dgamma, dbeta } = await layer.backward(dyOfHost);
      await layer.dispose();
      return [y, dx].map(({ data }) => Array.from(data)).concat([Array.from(dgamma), Array.from(dbeta)]);
    };
    const want = await step(x, dy);
    const out = shared(new Float32Array(15));
    expect(await step(shared(x.data), shared(dy.data), out)).toEqual(want);
    expect(Array.from(out.data)).toEqual(want[0]);
    const onDevice = await backend.upload(shared(x.data));
    expect(await onDevice.read()).toEqual(x.data);
    onDevice.dispose();
    await backend.dispose();
  });
});
