// Ranks on different backends, as in a job of unlike machines, are one layer on the batches of all.
import { createGpuJsBackend } from '@batchnorm/backend-gpujs';
import { expect, it } from 'vitest';
import { type Backend, BatchNorm, candidates, inProcessCollective, type Tensor } from '../src/index.js';

const C = 5;
const rows = [7, 1, 12];
const shape = (N: number) => [N, C, 3];

function tensor(N: number, seed: number): Tensor {
  return {
    data: Float32Array.from({ length: N * C * 3 }, (_, k) => Math.sin(12.9898 * k + seed) * 2),
    shape: shape(N),
  };
}

/** Each rank's part of a batch. */
function parts({ data }: Tensor): Tensor[] {
  let begin = 0;
  return rows.map((N) => {
    const part = { data: data.slice(begin * C * 3, (begin + N) * C * 3), shape: shape(N) };
    begin += N;
    return part;
  });
}

it('js, wasm and gpujs train together: results of one layer, and the same bits in every state', async () => {
  const backends: Backend[] = [
    await candidates.js.create(),
    await candidates.wasm.create(),
    await createGpuJsBackend({ mode: 'cpu' }),
  ];
  const options = { numFeatures: C, activation: 'relu', varianceEstimator: 'sample', epsilon: 1e-3 } as const;
  const collectives = inProcessCollective(backends.length);
  const ranks = backends.map((backend, r) => new BatchNorm({ ...options, backend, collective: collectives[r]! }));
  const one = new BatchNorm({ ...options, backend: backends[0]! });
  const total = rows.reduce((sum, N) => sum + N);
  const close = (received: readonly Tensor[], { data }: Tensor) =>
    expect(received.flatMap((part) => [...part.data])).toEqual(Array.from(data, (value) => expect.closeTo(value, 5)));
  for (const step of [1, 2, 3]) {
    const [x, dy] = [tensor(total, step), tensor(total, -step)];
    const [xs, dys] = [parts(x), parts(dy)];
    close(await Promise.all(ranks.map((rank, r) => rank.forward(xs[r]!))), await one.forward(x));
    const gradients = await Promise.all(ranks.map((rank, r) => rank.backward(dys[r]!)));
    const expected = await one.backward(dy);
    close(
      gradients.map(({ dx }) => dx),
      expected.dx,
    );
    for (let c = 0; c < C; c++) {
      const sum = gradients.reduce((all, { dgamma }) => all + dgamma[c]!, 0);
      expect(sum).toBeCloseTo(expected.dgamma[c]!, 4);
    }
  }
  const states = await Promise.all(ranks.map((rank) => rank.state()));
  for (const state of states) expect(state).toEqual(states[0]);
  const expected = await one.state();
  for (let c = 0; c < C; c++) expect(states[0]!.runningVariance[c]).toBeCloseTo(expected.runningVariance[c]!, 5);
  for (const layer of [...ranks, one]) await layer.dispose();
  for (const backend of backends) await backend.dispose();
});
