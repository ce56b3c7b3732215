// Calls that return at once (`layer.sync`): the same as those that are awaited, or refused.
import type { BatchNorm, BatchNormOptions, Gradients, Tensor } from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../../compare.js';
import { refuses } from '../../expect-refusal.js';
import { maskOf } from '../../masks.js';
import type { Activation } from '../../memory/activation-memory.js';
import { randomSeededBy } from '../../problem.js';
import type { Rule } from '../rule.js';
import { type Batch, type Results, type Scene, type StepOptions, same } from '../scene.js';

export const syncRules: readonly Rule[] = [
  {
    name: 'calls that return at once',
    why: 'they give what awaited ones give, between these and into buffers, or are refused where a backend has to wait',
    exempt: ({ size }) =>
      size === 'rows or channels' ? 'there is something to wait for at the sizes before, too' : undefined,
    run: async (scene) => {
      if (scene.backend.capabilities.synchronous !== true) {
        return [await refuses('layer.sync', 'UNSUPPORTED', async () => scene.layer().sync)];
      }
      return [
        ...(await inAnyOrder(scene)),
        ...(await withExtras(scene)),
        ...(await intoBuffers(scene)),
        ...(await passesAtOnce(scene)),
        ...(await besideAnother(scene)),
        ...(await refusedAtOnce(scene)),
      ];
    },
  },
];

/** Both halves of a step at once, one of them, or none; then the running statistics. */
async function inAnyOrder(scene: Scene): Promise<Check[]> {
  const [layer, awaited] = [scene.layer(), scene.layer()];
  const checks: Check[] = [];
  let n = 0;
  for (const training of [true, false]) {
    for (const [forward, backward] of [
      [true, true],
      [false, true],
      [true, false],
      [false, false],
    ] as const) {
      const batch = scene.batch(1 + (n++ % 2));
      const want = await scene.step(awaited, batch, { training });
      const halves = `${training ? 'training' : 'inference'}, at once: forward ${forward}, backward ${backward}`;
      checks.push(...same(halves, await step(scene, layer, batch, { training }, { forward, backward }), want));
    }
  }
  const [state, expected] = [await layer.state(), await awaited.state()];
  return [
    ...checks,
    identical('running mean', state.runningMean, expected.runningMean),
    identical('running variance', state.runningVariance, expected.runningVariance),
  ];
}

/** A mask, a residual and ReLU, by themselves and together. */
async function withExtras(scene: Scene): Promise<Check[]> {
  const [batch, { x: residual }] = [scene.batch(1), scene.batch(2)];
  const mask = maskOf('scattered', randomSeededBy('at once'), scene.shape);
  const trials: Record<string, [Partial<BatchNormOptions>, StepOptions]> = {
    'a mask': [{}, { mask }],
    'a residual': [{}, { residual }],
    ReLU: [{ activation: 'relu' }, {}],
    'all of them': [{ activation: 'relu' }, { mask, residual }],
  };
  const checks: Check[] = [];
  for (const [name, [options, given]] of Object.entries(trials)) {
    const want = await scene.step(scene.layer(options), batch, given);
    checks.push(...same(name, await step(scene, scene.layer(options), batch, given), want));
  }
  return checks;
}

/** Everything has been written when the call returns. */
async function intoBuffers(scene: Scene): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const want = await scene.step(scene.layer(), { x, dy });
  const layer = scene.layer();
  const [putX, putDy, out, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
  const y = layer.sync.forward(putX as Tensor, { out: out as Tensor });
  const now = 'view' in out ? out.view!().slice() : 'data' in out ? out.data.slice() : await scene.memory.read(out);
  const gradients = owned(scene, layer.sync.backward(putDy as Tensor, { out: { dx: dx as Tensor } }));
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
  scene.memory.own(layer.sync.forward((await scene.put(scene.batch(3).x)) as Tensor));
  const inputs = await Promise.all(batches.map(async ({ x }) => scene.put(x)));
  const passes = inputs.map((x) => layer.sync.forwardPass(x as Tensor));
  for (const [n, { x, dy }] of [...batches.entries()].reverse()) {
    const pass = passes[n]!;
    scene.memory.own(pass.y);
    const gradients = owned(scene, pass.backward((await scene.put(dy)) as Tensor));
    const want = await scene.step(awaited, { x, dy });
    const got = { y: await scene.memory.read(pass.y), ...(await scene.read(gradients)) };
    checks.push(...same(`pass ${n + 1}`, got, want));
    pass.dispose();
    checks.push(await refuses('a pass after its dispose()', 'DISPOSED', async () => pass.backward(pass.y)));
  }
  const { dy } = scene.batch(3);
  const want = await scene.step(awaited, scene.batch(3));
  const gradients = owned(scene, layer.sync.backward((await scene.put(dy)) as Tensor));
  return [...checks, ...same('the latest forward', await scene.read(gradients), want)];
}

/** An awaited call of another layer has begun, and has not ended. */
async function besideAnother(scene: Scene): Promise<Check[]> {
  const [one, two] = [scene.batch(1), scene.batch(2)];
  const want = [await scene.step(scene.layer(), one), await scene.step(scene.layer(), two)];
  const checks: Check[] = [];
  // In the same turn, when it has begun to compute, and when it may wait for something.
  const turns = [undefined, Promise.resolve(), new Promise<void>((resolve) => setTimeout(resolve))];
  for (const turn of turns) {
    const [running, layer] = [scene.layer(), scene.layer()];
    const [x, dy, x2, dy2] = await Promise.all([one.x, one.dy, two.x, two.dy].map((values) => scene.put(values)));
    const y = scene.forward(running, x!);
    const gradients = scene.backward(running, dy!);
    if (turn) await turn;
    const y2 = layer.sync.forward(x2 as Tensor);
    const gradients2 = owned(scene, layer.sync.backward(dy2 as Tensor));
    scene.memory.own(y2);
    const [first, second] = [
      { y: await y, gradients: await gradients },
      { y: y2, gradients: gradients2 },
    ];
    for (const [n, { y, gradients }] of [first, second].entries()) {
      const got = { y: await scene.memory.read(y), ...(await scene.read(gradients)) };
      checks.push(...same(n === 0 ? 'what another layer computes' : 'beside another layer', got, want[n]!));
    }
  }
  return checks;
}

/** While an awaited call has not ended, and for what the other form refuses; the next call is right. */
async function refusedAtOnce(scene: Scene): Promise<Check[]> {
  const batch = scene.batch(1);
  const [layer, wrong] = [scene.layer(), [...scene.other, 1]];
  const putX = (await scene.put(batch.x)) as Tensor;
  const putWrong = (await scene.put(scene.batch(1, wrong).x, wrong)) as Tensor;
  const pending = scene.forward(layer, putX);
  const checks = [
    await refuses('before an earlier call has ended', 'CALL_PENDING', async () => layer.sync.forward(putX)),
  ];
  await pending;
  const before = await layer.state();
  // On the device y tells of it, and nobody waits for that.
  if (scene.memory.onHost) {
    const bad = { data: batch.x.map((value, k) => (k === 0 ? Number.NaN : value)), shape: scene.shape };
    checks.push(await refuses('a batch of NaN', 'NON_FINITE_STATISTICS', async () => layer.sync.forward(bad)));
    checks.push(...same('after it', await step(scene, layer, batch, {}), await scene.step(scene.layer(), batch)));
    await layer.loadState(before);
  }
  checks.push(
    await refuses('a backward of another shape', 'SHAPE_MISMATCH', async () => layer.sync.backward(putWrong)),
    await refuses('an unknown option', 'INVALID_OPTION', async () =>
      layer.sync.forward(putX, { nothing: 1 } as object),
    ),
    identical('running mean after them', (await layer.state()).runningMean, before.runningMean),
    ...same('after them', await step(scene, layer, batch, {}), await scene.step(scene.layer(), batch)),
  );
  return checks;
}

/** A step, of which both halves are made at once, or as is said. y is read after the backward: nothing comes between. */
async function step(
  scene: Scene,
  layer: BatchNorm,
  { x, dy }: Batch,
  { training = true, mask, residual }: StepOptions,
  isAtOnce = { forward: true, backward: true },
): Promise<Results> {
  const [putX, putDy] = [await scene.put(x), await scene.put(dy)];
  const added = residual && ((await scene.put(residual)) as Tensor);
  const options = { training, ...(mask && { mask }), ...(added && { residual: added }) };
  const y: Activation = isAtOnce.forward
    ? layer.sync.forward(putX as Tensor, options)
    : await layer.forward(putX as Tensor, options);
  scene.memory.own(y);
  const gradients = isAtOnce.backward ? layer.sync.backward(putDy as Tensor) : await layer.backward(putDy as Tensor);
  return { y: await scene.memory.read(y), ...(await scene.read(owned(scene, gradients))) };
}

/** The same gradients, which are freed with the scene. */
function owned(scene: Scene, gradients: Gradients): Gradients {
  const { dx, dresidual, dgamma, dbeta } = gradients;
  for (const result of [dx, dgamma, dbeta]) scene.memory.own(result);
  if (dresidual) scene.memory.own(dresidual);
  return gradients;
}
