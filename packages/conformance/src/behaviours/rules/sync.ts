// Calls that return at once (`layer.sync`): the same as those that are awaited, or refused.
import type { BatchNorm, FloatArray, Tensor } from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../../compare.js';
import { refuses } from '../../expect-refusal.js';
import type { Rule } from '../rule.js';
import { type Results, type Scene, same } from '../scene.js';

export const syncRules: readonly Rule[] = [
  {
    name: 'calls that return at once',
    why: 'they give what awaited ones give, between these and into buffers, or are refused where a backend has to wait',
    run: async (scene) => {
      const layer = scene.layer();
      if (scene.backend.capabilities.synchronous !== true) {
        return [await refuses('layer.sync', 'UNSUPPORTED', async () => layer.sync)];
      }
      const [one, two] = [scene.batch(1), scene.batch(2)];
      const awaited = scene.layer();
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const mode = training ? 'training' : 'inference';
        const want = await scene.step(awaited, one, { training });
        checks.push(...same(mode, await stepAtOnce(scene, layer, one.x, one.dy, training), want));
        const wantNext = await scene.step(awaited, two, { training });
        checks.push(...same(`${mode}, awaited after it`, await scene.step(layer, two, { training }), wantNext));
      }
      const [state, expected] = [await layer.state(), await awaited.state()];
      return [
        ...checks,
        identical('running mean', state.runningMean, expected.runningMean),
        identical('running variance', state.runningVariance, expected.runningVariance),
        ...(await intoBuffers(scene)),
        ...(await passesAtOnce(scene)),
        ...(await refusedAtOnce(scene)),
      ];
    },
  },
];

/** y is read only after the backward: nothing else may happen in between. */
async function stepAtOnce(
  scene: Scene,
  layer: BatchNorm,
  x: FloatArray,
  dy: FloatArray,
  training: boolean,
): Promise<Results> {
  const [putX, putDy] = [await scene.put(x), await scene.put(dy)];
  const y = layer.sync.forward(putX as Tensor, { training });
  const gradients = layer.sync.backward(putDy as Tensor);
  for (const result of [y, gradients.dx, gradients.dgamma, gradients.dbeta]) scene.memory.own(result);
  return { y: await scene.memory.read(y), ...(await scene.read(gradients)) };
}

/** Everything has been written when the call returns. */
async function intoBuffers(scene: Scene): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const want = await scene.step(scene.layer(), { x, dy });
  const layer = scene.layer();
  const [putX, putDy, out, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
  const y = layer.sync.forward(putX as Tensor, { out: out as Tensor });
  const now = 'view' in out ? out.view!().slice() : 'data' in out ? out.data.slice() : await scene.memory.read(out);
  const gradients = layer.sync.backward(putDy as Tensor, { out: { dx: dx as Tensor } });
  for (const result of [gradients.dgamma, gradients.dbeta]) scene.memory.own(result);
  return [
    outcome('out', y === out && gradients.dx === dx, ': received another tensor, expected the one that was given'),
    identical('y, when the call returns', now, want.y),
    ...same('into buffers', await scene.read(gradients), want),
  ];
}

/** Two passes that are alive, and the latest forward beside them. */
async function passesAtOnce(scene: Scene): Promise<Check[]> {
  const batches = [scene.batch(1), scene.batch(2)];
  const [layer, awaited] = [scene.layer(), scene.layer()];
  const checks: Check[] = [];
  const latest = await scene.put(scene.batch(3).x);
  scene.memory.own(layer.sync.forward(latest as Tensor));
  const inputs = await Promise.all(batches.map(async ({ x }) => scene.put(x)));
  const passes = inputs.map((x) => layer.sync.forwardPass(x as Tensor));
  for (const [n, { x, dy }] of [...batches.entries()].reverse()) {
    const pass = passes[n]!;
    scene.memory.own(pass.y);
    const gradients = pass.backward((await scene.put(dy)) as Tensor);
    for (const result of [gradients.dx, gradients.dgamma, gradients.dbeta]) scene.memory.own(result);
    const want = await scene.step(awaited, { x, dy });
    const got = { y: await scene.memory.read(pass.y), ...(await scene.read(gradients)) };
    checks.push(...same(`pass ${n + 1}`, got, want));
    pass.dispose();
    checks.push(await refuses('a pass after its dispose()', 'DISPOSED', async () => pass.backward(pass.y)));
  }
  const { dy } = scene.batch(3);
  const want = await scene.step(awaited, scene.batch(3));
  const gradients = layer.sync.backward((await scene.put(dy)) as Tensor);
  for (const result of [gradients.dx, gradients.dgamma, gradients.dbeta]) scene.memory.own(result);
  return [...checks, ...same('the latest forward', await scene.read(gradients), want)];
}

/** While an awaited call has not ended, and for what the other form refuses; the next call is right. */
async function refusedAtOnce(scene: Scene): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const [layer, wrong] = [scene.layer(), scene.other];
  const putX = (await scene.put(x)) as Tensor;
  const putWrong = (await scene.put(scene.batch(1, [...wrong, 1]).x, [...wrong, 1])) as Tensor;
  const pending = scene.forward(layer, putX);
  const checks = [
    await refuses('before an earlier call has ended', 'CALL_PENDING', async () => layer.sync.forward(putX)),
  ];
  await pending;
  const before = await layer.state();
  checks.push(
    await refuses('a backward of another shape', 'SHAPE_MISMATCH', async () => layer.sync.backward(putWrong)),
    await refuses('an unknown option', 'INVALID_OPTION', async () =>
      layer.sync.forward(putX, { nothing: 1 } as object),
    ),
    identical('running mean after them', (await layer.state()).runningMean, before.runningMean),
    ...same('after them', await stepAtOnce(scene, layer, x, dy, true), await scene.step(scene.layer(), { x, dy })),
  );
  return checks;
}
