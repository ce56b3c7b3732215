// Calls that fail: with their code, and without a trace.
import { BatchNorm, type FloatArray, type Tensor } from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../../compare.js';
import { refuses } from '../../expect-refusal.js';
import type { Activation } from '../../memory/activation-memory.js';
import { notLarge, type Rule } from '../rule.js';
import { type Scene, same } from '../scene.js';

const anySize = notLarge('what is refused is refused before anything of that size is touched');

export const failureRules: readonly Rule[] = [
  {
    name: 'a batch that is not finite changes nothing',
    why: 'on the host training refuses it, with out and the forward before it as they were; on the device it is left out when statistics settle',
    run: async (scene) => {
      const checks: Check[] = [];
      checks.push(...(await refusesBatch(scene, Number.NaN, 0)));
      if (scene.dtype === 'float64') checks.push(...(await refusesOverflow(scene)));
      checks.push(...(await refusesBatch(scene, Number.POSITIVE_INFINITY, scene.batch(2).x.length - 1)));
      return checks;
    },
  },
  {
    name: 'wrong input is refused',
    why: 'shape, dtype and memory, with their codes; the layer goes on as if nothing had been asked',
    exempt: anySize,
    run: async (scene) => {
      const { backend, dtype, shape, channels } = scene;
      const [layer, fresh] = [scene.layer(), scene.layer()];
      const { x, dy } = scene.batch(1);
      const other = dtype === 'float32' ? Float64Array.from(x) : Float32Array.from(x);
      const checks = [
        await refuses('backward before forward', 'FORWARD_REQUIRED', async () =>
          scene.backward(layer, await scene.put(dy)),
        ),
      ];
      await scene.y(layer, x);
      const wide = scene.other.with(1, channels + 1);
      const wideX = (values: FloatArray) => scene.put(extended(values, wide), wide);
      const more = shape.with(0, shape[0]! + 1);
      checks.push(
        await refuses('another number of channels', 'SHAPE_MISMATCH', async () => scene.forward(layer, await wideX(x))),
        await refuses('out of another shape', 'SHAPE_MISMATCH', async () =>
          scene.forward(layer, await scene.put(x), { out: await scene.junk(0, more) }),
        ),
        await refuses('dy of another shape', 'SHAPE_MISMATCH', async () =>
          scene.backward(layer, await scene.put(extended(dy, more), more)),
        ),
        await refuses('dx of another shape', 'SHAPE_MISMATCH', async () =>
          scene.backward(layer, await scene.put(dy), { dx: await scene.junk(0, more) }),
        ),
        await refuses('another dtype', 'DTYPE_MISMATCH', () => layer.forward({ data: other, shape })),
        await refuses('no values', 'EMPTY_BATCH', () =>
          layer.forward({ data: x.slice(0, 0), shape: shape.with(0, 0) }),
        ),
        await refuses('out over x in training', 'INVALID_TENSOR', async () => {
          const put = await scene.put(x);
          return scene.forward(layer, put, { out: put });
        }),
        await refuses('a tensor of another backend', 'FOREIGN_TENSOR', () =>
          layer.forward(foreignTensor(x, shape) as never),
        ),
      );
      if (backend.capabilities.deviceTensors) {
        checks.push(
          await refuses('dy in other memory than x', 'INVALID_TENSOR', async () => {
            const there = await elsewhere(scene, dy);
            await layer.backward(there as Tensor).finally(() => 'dispose' in there && there.dispose());
          }),
        );
      }
      await scene.y(fresh, x);
      checks.push(
        ...same(
          'the gradients of the forward before',
          await scene.gradients(layer, dy),
          await scene.gradients(fresh, dy),
        ),
      );
      return checks;
    },
  },
  {
    name: 'a disposed layer',
    why: 'refuses every call; dispose twice is allowed; the layers beside it go on',
    exempt: anySize,
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const [layer, beside] = [scene.layer(), scene.layer()];
      await scene.y(layer, x);
      await scene.y(beside, x);
      const want = await scene.gradients(beside, dy);
      const state = await layer.state();
      const [putX, putDy] = [await scene.put(x), await scene.put(dy)];
      await layer.dispose();
      await layer.dispose();
      return [
        await refuses('forward', 'DISPOSED', () => scene.forward(layer, putX)),
        await refuses('backward', 'DISPOSED', () => scene.backward(layer, putDy)),
        await refuses('settle', 'DISPOSED', () => layer.settle()),
        await refuses('state', 'DISPOSED', () => layer.state()),
        await refuses('loadState', 'DISPOSED', () => layer.loadState(state)),
        ...same('the gradients of the layer beside it', await scene.gradients(beside, dy), want),
        ...same('a step of the layer beside it', await scene.gradients(beside, dy), want),
      ];
    },
  },
  {
    name: 'a disposed backend',
    why: 'dispose twice is allowed; every other call is DISPOSED',
    exempt: (cell, { create }) =>
      anySize(cell) ?? (create ? undefined : 'it needs a factory: the backend that was given is not disposed'),
    run: async (scene) => {
      const backend = await scene.create!();
      const { x, dy } = scene.batch(1);
      const { dtype, shape, channels: numFeatures } = scene;
      const elements: Tensor = { data: x, shape };
      const put = async (data: FloatArray) =>
        (!scene.memory.onHost ? await backend.upload({ data, shape }) : { data, shape }) as Tensor;
      const layer = new BatchNorm({ backend, dtype, numFeatures });
      const [putX, putDy] = [await put(x), await put(dy)];
      await layer.forward(putX);
      await Promise.all([backend.dispose(), backend.dispose()]);
      await backend.dispose();
      const isGone = (x: object) => 'disposed' in x && x.disposed === true;
      return [
        await refuses('forward', 'DISPOSED', () => layer.forward(putX)),
        await refuses('inference', 'DISPOSED', () => layer.forward(putX, { training: false })),
        // On the device x may have been disposed with its backend, and that is found first.
        await refuses('backward', isGone(putX) ? 'FORWARD_REQUIRED' : 'DISPOSED', () => layer.backward(putDy)),
        await refuses('upload', 'DISPOSED', () => backend.upload(elements)),
        await refuses('prepare', 'DISPOSED', () =>
          backend.prepare({ extent: { outer: 1, channels: 1, inner: 1 }, dtype }),
        ),
      ];
    },
  },
];

/** A training batch with one value, at index `at`, that is not finite. */
async function refusesBatch(scene: Scene, value: number, at: number): Promise<Check[]> {
  const what = `${value} at ${at}: `;
  const onHost = scene.memory.onHost;
  const [good, next] = [scene.batch(1), scene.batch(2)];
  const bad = next.x.slice();
  bad[at] = value;
  const [layer, fresh] = [scene.layer(), scene.layer()];
  for (const one of [layer, fresh]) await scene.y(one, good.x);
  const want = await scene.gradients(fresh, good.dy);
  const before = await layer.state();
  const checks: Check[] = [];
  if (onHost) {
    const out = await scene.junk(7);
    const untouched = await scene.memory.read(out);
    checks.push(
      await refuses(`${what}training`, 'NON_FINITE_STATISTICS', async () =>
        scene.forward(layer, await scene.put(bad), { out }),
      ),
      identical(`${what}out`, await scene.memory.read(out), untouched),
      ...same(`${what}the forward before`, await scene.gradients(layer, good.dy), want),
    );
  } else {
    await scene.y(layer, bad);
    checks.push(await refuses(`${what}settle()`, 'NON_FINITE_STATISTICS', () => layer.settle()));
  }
  const after = await layer.state();
  checks.push(
    identical(`${what}running mean`, after.runningMean, before.runningMean),
    identical(`${what}running variance`, after.runningVariance, before.runningVariance),
    outcome(`${what}batches tracked`, after.batchesTracked === 1, `: received ${after.batchesTracked}, expected 1`),
  );
  for (const one of [layer, fresh]) await scene.y(one, next.x);
  const [state, expected] = [await layer.state(), await fresh.state()];
  checks.push(
    identical(`${what}running mean after the next batch`, state.runningMean, expected.runningMean),
    identical(`${what}running variance after the next batch`, state.runningVariance, expected.runningVariance),
  );
  return checks;
}

/** A batch whose mean is finite and whose variance is not, because squares overflow. */
async function refusesOverflow(scene: Scene): Promise<Check[]> {
  const what = 'a variance beyond all numbers';
  const layer = scene.layer();
  const large = scene.batch(1).x.map((value: number) => 1e200 * value);
  const out = await scene.junk(7);
  const untouched = await scene.memory.read(out);
  const train = async () => {
    await scene.forward(layer, await scene.put(large), { out });
    await layer.settle();
  };
  const checks = [await refuses(what, 'NON_FINITE_STATISTICS', train)];
  // On the device the error comes when y has long been written.
  if (scene.memory.onHost) checks.push(identical(`${what}: out`, await scene.memory.read(out), untouched));
  return checks;
}

/** `values` repeated until there are as many as `shape` has. */
function extended(values: FloatArray, shape: readonly number[]): FloatArray {
  const length = shape.reduce((a, b) => a * b, 1);
  const longer = values.length === 0 ? values : Float64Array.from({ length }, (_, k) => values[k % values.length]!);
  return values.BYTES_PER_ELEMENT === 8 ? longer : Float32Array.from(longer);
}

function foreignTensor(x: FloatArray, shape: readonly number[]) {
  const dtype = x.BYTES_PER_ELEMENT === 8 ? 'float64' : 'float32';
  return { backend: {}, dtype, shape, disposed: false, read: () => x, dispose() {} };
}

/** The values in the other kind of memory: on the host for a scene on the device. */
async function elsewhere({ backend, memory, shape }: Scene, data: FloatArray): Promise<Activation> {
  return !memory.onHost ? { data, shape } : backend.upload({ data, shape });
}
