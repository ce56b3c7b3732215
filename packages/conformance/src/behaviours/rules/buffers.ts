// Who owns which memory: inputs are the caller's, results too, and `out` receives them wherever it begins and whatever
// it held.
import type { FloatArray, Gradients } from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../../compare.js';
import type { Vector } from '../../memory/activation-memory.js';
import type { Rule } from '../rule.js';
import { type Scene, same } from '../scene.js';

export const bufferRules: readonly Rule[] = [
  {
    name: 'inputs are never written',
    why: 'x, dy and parameters are the caller’s',
    run: async (scene) => {
      const layer = scene.layer();
      const { x, dy } = scene.batch(1);
      const [gamma, beta] = [layer.gamma.slice(), layer.beta.slice()];
      const [putX, putDy] = [await scene.put(x), await scene.put(dy)];
      for (const training of [true, false]) {
        await scene.forward(layer, putX, { training });
        await scene.read(await scene.backward(layer, putDy));
      }
      return [
        identical('x', await scene.memory.read(putX), x),
        identical('dy', await scene.memory.read(putDy), dy),
        identical('gamma', layer.gamma, gamma),
        identical('beta', layer.beta, beta),
      ];
    },
  },
  {
    name: 'out receives the results',
    why: 'y, and any of the gradients, whatever was there before; a training loop allocates nothing',
    run: async (scene) => {
      const checks: Check[] = [];
      // With momentum 0, running statistics are those of the latest batch, however often it came.
      const [fresh, reusing] = [scene.layer({ momentum: 0 }), scene.layer({ momentum: 0 })];
      for (const training of [true, false]) {
        const mode = training ? 'training' : 'inference';
        const { x, dy } = scene.batch(1);
        const want = await scene.step(fresh, { x, dy }, { training });
        for (const before of [Number.NaN, 7]) {
          const out = await scene.junk(before);
          const y = await scene.forward(reusing, await scene.put(x), { training, out });
          checks.push(
            is(`${mode}: y is out`, y === out),
            identical(`${mode}: y in out`, await scene.memory.read(out), want.y),
          );
        }
        for (const names of subsets) checks.push(...(await intoOut(scene, `${mode}: `, reusing, dy, want, names)));
      }
      return checks;
    },
  },
  {
    name: 'works in place',
    why: 'y over x in inference, dx over dy, where the contract says so',
    run: async (scene) => {
      const layer = scene.layer();
      const { x, dy } = scene.batch(1);
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const mode = training ? 'training' : 'inference';
        const want = await scene.step(layer, { x, dy }, { training });
        const over = await scene.put(dy);
        const gradients = await scene.backward(layer, over, { dx: over });
        checks.push(
          is(`${mode}: dx is dy`, gradients.dx === over),
          ...same(`${mode}, dx over dy`, await scene.read(gradients), without(want)),
        );
        checks.push(...same(`${mode}, after dx over dy`, await scene.gradients(layer, dy), without(want)));
      }
      const want = await scene.y(layer, x, { training: false });
      const over = await scene.put(x);
      const y = await scene.forward(layer, over, { training: false, out: over });
      checks.push(is('y is x', y === over), identical('y over x', await scene.memory.read(over), want));
      return checks;
    },
  },
  {
    name: 'one array may be both inputs',
    why: 'dy is x itself, as in the gradient of Σ x²/2, or lies where y was; and dx may lie over that',
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const layer = scene.layer();
        const want = await scene.step(layer, { x, dy: x }, { training });
        const both = await scene.put(x);
        await scene.forward(layer, both, { training });
        const got = await scene.read(await scene.backward(layer, both));
        const mode = training ? 'training' : 'inference';
        checks.push(...same(`${mode}: dy is x`, got, without(want)));
        const y = await scene.forward(layer, await scene.put(x), { training });
        // From here on the memory of y holds a gradient.
        await scene.refill(y, dy);
        const wantOfDy = await scene.gradients(layer, dy);
        checks.push(
          ...same(`${mode}: dy is y`, await scene.read(await scene.backward(layer, y)), wantOfDy),
          ...same(`${mode}: dx over y`, await scene.read(await scene.backward(layer, y, { dx: y })), wantOfDy),
        );
      }
      return checks;
    },
  },
  {
    name: 'the same buffers hold something else each time',
    why: 'x and dy are filled with the next batch, and so are the buffers for results; nothing is known by its buffer',
    run: async (scene) => {
      const [layer, fresh] = [scene.layer({ momentum: 0 }), scene.layer({ momentum: 0 })];
      const [x, dy, y] = [await scene.junk(), await scene.junk(), await scene.junk()];
      const checks: Check[] = [];
      // The first, the middle and the last element stay the same: a backend must not take them for a sign of the
      // others.
      const withEnds = (values: FloatArray) => {
        const copy = values.slice();
        for (const k of [0, copy.length >> 1, copy.length - 1]) copy[k] = 1;
        return copy;
      };
      for (const [n, training] of [true, true, false, false].entries()) {
        const batch = { x: withEnds(scene.batch(n + 1).x), dy: withEnds(scene.batch(n + 1).dy) };
        const what = `${training ? 'training' : 'inference'} ${n + 1}`;
        await scene.refill(x, batch.x);
        await scene.refill(dy, batch.dy);
        const want = await scene.step(fresh, batch, { training });
        await scene.forward(layer, x, { training, out: y });
        checks.push(
          identical(`${what}: y`, await scene.memory.read(y), want.y),
          ...same(what, await scene.read(await scene.backward(layer, dy)), without(want)),
        );
        const other = withEnds(scene.batch(n + 5).dy);
        await scene.refill(dy, other);
        const again = await scene.read(await scene.backward(layer, dy));
        checks.push(...same(`${what}, another dy`, again, await scene.gradients(fresh, other)));
        // A caller may write over y: the next forward of the same x must not depend on it.
        await scene.refill(y, batch.x);
        await scene.forward(layer, x, { training, out: y });
        checks.push(identical(`${what}: y, written over`, await scene.memory.read(y), want.y));
      }
      return checks;
    },
  },
  {
    name: 'results are the caller’s',
    why: 'no later call changes them: of the same layer, of another one, of another size; nor does dispose()',
    run: async (scene, { size }) => {
      const layer = scene.layer();
      const { x, dy } = scene.batch(1);
      const results: [string, Parameters<Scene['memory']['read']>[0]][] = [];
      const before: FloatArray[] = [];
      const keep = async (mode: string, training: boolean) => {
        results.push([`${mode} y`, await scene.forward(layer, await scene.put(x), { training })]);
        const gradients = await scene.backward(layer, await scene.put(dy));
        for (const name of ['dx', 'dgamma', 'dbeta'] as const) results.push([`${mode} ${name}`, gradients[name]]);
        for (const [, result] of results.slice(-4)) before.push(await scene.memory.read(result));
      };
      await keep('training', true);
      await keep('inference', false);
      const another = scene.layer();
      // Several steps, because a backend may take turns between buffers.
      for (const n of size === 'small' ? Array.from({ length: 20 }, (_, n) => n + 5) : [2, 5, 6]) {
        for (const training of [true, false]) await scene.step(layer, scene.batch(n), { training });
      }
      for (const training of [true, false]) {
        await scene.step(another, scene.batch(3), { training });
        await scene.step(layer, scene.batch(4, scene.other), { training, shape: scene.other });
      }
      await another.dispose();
      await keep('the last', true);
      await layer.dispose();
      for (const training of [true, false]) await scene.step(scene.layer(), scene.batch(6), { training });
      const after = await Promise.all(results.map(([, result]) => scene.memory.read(result)));
      return results.map(([what], n) => identical(what, after[n]!, before[n]!));
    },
  },
];

type Name = keyof Gradients;
const names: readonly Name[] = ['dx', 'dgamma', 'dbeta'];
/** Every subset of the gradients, for which the caller gives buffers. */
const subsets = Array.from({ length: 8 }, (_, bits) => names.filter((_, n) => bits & (1 << n)));

const is = (what: string, holds: boolean): Check =>
  outcome(what, holds, ': received another object, expected the one that was given');

const without = ({ dx, dgamma, dbeta }: Awaited<ReturnType<Scene['step']>>) => ({ dx, dgamma, dbeta });

/**
 * A backward of the latest forward into buffers for `names` alone. On the device vectors are those of an earlier
 * backward.
 */
async function intoOut(
  scene: Scene,
  what: string,
  layer: Parameters<Scene['backward']>[0],
  dy: Parameters<Scene['gradients']>[1],
  want: Awaited<ReturnType<Scene['step']>>,
  names: readonly Name[],
): Promise<Check[]> {
  const has = (name: Name) => names.includes(name);
  const earlier = !scene.memory.onHost ? await scene.backward(layer, await scene.put(dy)) : undefined;
  const vector = (name: 'dgamma' | 'dbeta'): Vector | undefined =>
    has(name) ? (earlier?.[name] ?? scene.memory.vector(scene.channels)) : undefined;
  const out = { dx: has('dx') ? await scene.junk(7) : undefined, dgamma: vector('dgamma'), dbeta: vector('dbeta') };
  const gradients = await scene.backward(layer, await scene.put(dy), out);
  const onHost = scene.memory.onHost;
  return [
    ...(out.dx === undefined ? [] : [is(`${what}dx is out.dx`, gradients.dx === out.dx)]),
    ...(['dgamma', 'dbeta'] as const)
      .filter((name) => onHost && out[name] !== undefined)
      .map((name) => is(`${what}${name} is out.${name}`, gradients[name] === out[name])),
    ...same(`${what}into out { ${names.join(', ')} }`, await scene.read(gradients), without(want)),
  ];
}
