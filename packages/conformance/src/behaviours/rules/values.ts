// What is computed: within the bound at every size, the same again, and what is not finite stays where it belongs.
import { extentOf, type FloatArray } from '@batchnorm/core-api';
import { channelOf, channelsOf } from '../../channels.js';
import { type Check, identical, identicalWhere, outcome } from '../../compare.js';
import { againstOracle } from '../against-oracle.js';
import { moreShapes, shapesOf } from '../extents.js';
import { notLarge, type Rule } from '../rule.js';
import { type Batch, Scene, same } from '../scene.js';

export const valueRules: readonly Rule[] = [
  {
    name: 'results are within their bounds',
    why: 'training, inference and their gradients, in shapes of networks and on either side of powers of two',
    run: async (scene, { memory, layout, size }, subject) => {
      const isFirst = scene.shape === shapesOf[layout][size][0]!.shape;
      // Around each power of two: in float32 on the host all three sizes; in float64 the power and the size above; on
      // the device, which shares its kernels with the host, the size above alone.
      const least = memory === 'device' ? 1 : subject.dtype === 'float64' ? 0 : -1;
      const isWanted = (shape: readonly number[]) => shape.every((n) => fromPower(n) >= least);
      const checks = await againstOracle(scene);
      for (const shape of isFirst ? moreShapes[layout][size].filter(isWanted) : []) {
        const another = new Scene(subject, memory, { shape, other: shape });
        try {
          const found = [...(await againstOracle(another)), another.surroundings()];
          for (const one of found) checks.push({ ...one, what: `[${shape}] ${one.what}` });
        } finally {
          await another.dispose();
        }
      }
      return checks;
    },
  },
  {
    name: 'same input, same bits',
    why: 'again, after other work, and after another size, where the backend says that it is deterministic',
    exempt: (_cell, { backend }) =>
      backend.capabilities.deterministic ? undefined : 'the backend does not say that it is deterministic',
    run: async (scene) => {
      const layer = scene.layer();
      const first = await scene.step(layer, scene.batch(1));
      const again = await scene.step(layer, scene.batch(1));
      await scene.step(layer, scene.batch(2));
      await scene.y(layer, scene.batch(2).x, { training: false });
      await scene.step(layer, scene.batch(3, scene.other), { shape: scene.other });
      const later = await scene.step(layer, scene.batch(1));
      return [...same('again', again, first), ...same('after other work', later, first)];
    },
  },
  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map(
    (value): Rule => ({
      name: `${value} stays in its channel`,
      why: 'in x and in dy: through batch statistics in its channel, through running ones in its element',
      exempt: Number.isNaN(value) ? () => undefined : notLarge('NaN is tried at these sizes'),
      run: (scene) => staysInItsChannel(scene, value),
    }),
  ),
  {
    name: 'a parameter that is NaN stays in its channel',
    why: 'gamma or beta of one channel; statistics and the gradients of parameters do not depend on them',
    exempt: notLarge('parameters are applied to one element after another, which other rules try at these sizes'),
    run: async (scene) => {
      const checks: Check[] = [];
      for (const name of ['gamma', 'beta'] as const) {
        for (const training of [true, false]) checks.push(...(await spoilsItsChannelAlone(scene, name, training)));
      }
      return checks;
    },
  },
];

/** −1, 0 or 1 for n just below, at or just above a power of two from 2^12 on; 1 for every other n. */
function fromPower(n: number): number {
  const beside = [-1, 0].find((offset) => Number.isInteger(Math.log2(n - offset)));
  return n < 4095 || beside === undefined ? 1 : beside;
}

async function spoilsItsChannelAlone(scene: Scene, name: 'gamma' | 'beta', training: boolean): Promise<Check[]> {
  const { channels, shape } = scene;
  const extent = extentOf(shape, 1);
  const [well, ill] = [scene.layer(), scene.layer()];
  const sick = channels >> 1;
  ill[name][sick] = Number.NaN;
  const want = await scene.step(well, scene.batch(1), { training });
  const got = await scene.step(ill, scene.batch(1), { training });
  const spoiled = (values: FloatArray) => values.map((v, k) => (channelOf(k, extent) === sick ? Number.NaN : v));
  const what = `${training ? 'training' : 'inference'}, ${name}`;
  return [
    identical(`${what}: y`, got.y, spoiled(want.y)),
    identical(`${what}: dx`, got.dx, name === 'gamma' ? spoiled(want.dx) : want.dx),
    identical(`${what}: dgamma`, got.dgamma, want.dgamma),
    identical(`${what}: dbeta`, got.dbeta, want.dbeta),
  ];
}

/** The value in channel `sick` (the last but one, or the only one), in the middle of it. */
async function staysInItsChannel(scene: Scene, value: number): Promise<Check[]> {
  const extent = extentOf(scene.shape, 1);
  const sick = Math.max(0, scene.channels - 2);
  const at = (Math.floor(extent.outer / 2) * extent.channels + sick) * extent.inner + Math.floor(extent.inner / 2);
  const spoiled = (values: FloatArray) => {
    const copy = values.slice();
    copy[at] = value;
    return copy;
  };
  const channel = channelsOf(extent);
  const isOther = (k: number) => channel[k] !== sick;
  const within = (what: string, received: FloatArray) => {
    const finite = received.findIndex((v, k) => !isOther(k) && Number.isFinite(v));
    return outcome(what, finite < 0, `[${finite}]: received ${received[finite]}, expected a number that is not finite`);
  };
  const otherChannel = (c: number) => c !== sick;
  const batch = scene.batch(1);
  const badX: Batch = { x: spoiled(batch.x), dy: batch.dy };
  const badDy: Batch = { x: batch.x, dy: spoiled(batch.dy) };

  const free = scene.layer({ trackRunningStatistics: false });
  const want = await scene.step(free, batch);
  const ofX = await scene.step(free, badX);
  const ofDy = await scene.step(free, badDy);
  const tracked = scene.layer();
  await scene.y(tracked, batch.x);
  const wantInference = await scene.step(tracked, batch, { training: false });
  const inferenceX = await scene.step(tracked, badX, { training: false });
  const inferenceDy = await scene.step(tracked, badDy, { training: false });
  return [
    identicalWhere('x: y of other channels', ofX.y, want.y, isOther),
    within('x: y of its channel', ofX.y),
    identicalWhere('x: dx of other channels', ofX.dx, want.dx, isOther),
    identicalWhere('x: dgamma of other channels', ofX.dgamma, want.dgamma, otherChannel),
    identical('x: dbeta', ofX.dbeta, want.dbeta),
    identical('dy: y', ofDy.y, want.y),
    identicalWhere('dy: dx of other channels', ofDy.dx, want.dx, isOther),
    within('dy: dx of its channel', ofDy.dx),
    identicalWhere('dy: dgamma of other channels', ofDy.dgamma, want.dgamma, otherChannel),
    identicalWhere('dy: dbeta of other channels', ofDy.dbeta, want.dbeta, otherChannel),
    identical('dy: dbeta of its channel is not finite', [Number.isFinite(ofDy.dbeta[sick]) ? 1 : 0], [0]),
    identicalWhere('inference, x: y of other elements', inferenceX.y, wantInference.y, (k) => k !== at),
    identical('inference, x: y of its element', [inferenceX.y[at]!], [value]),
    identical('inference, x: dx', inferenceX.dx, wantInference.dx),
    identicalWhere('inference, dy: dx of other elements', inferenceDy.dx, wantInference.dx, (k) => k !== at),
    identical('inference, dy: dx of its element', [inferenceDy.dx[at]!], [value]),
    identicalWhere('inference, dy: dgamma of other channels', inferenceDy.dgamma, wantInference.dgamma, otherChannel),
  ];
}
