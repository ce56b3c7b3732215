// Masks: what does not count has no part in the statistics, and is normalised with them all the same.
import {
  type ErrorCode,
  extentOf,
  type FloatArray,
  type ForwardPass,
  type Mask,
  product,
  statisticsOf,
  type Tensor,
} from '@batchnorm/core-api';
import { channelOf, channelsOf } from '../../channels.js';
import { type Check, identical, identicalWhere, outcome, toHalfOfTheDigits } from '../../compare.js';
import { refuses } from '../../expect-refusal.js';
import { countedPositions, type MaskKind, maskOf } from '../../masks.js';
import { randomSeededBy } from '../../problem.js';
import { againstOracle } from '../against-oracle.js';
import { notLarge, type Rule } from '../rule.js';
import { type Scene, same } from '../scene.js';

const anySize = notLarge('masks of more positions are tried by other rules');

/** Kinds that differ little from others are tried with small activations. */
const kindsOf: Readonly<Record<string, readonly MaskKind[]>> = {
  small: ['padded', 'scattered', 'samples', 'one'],
  blocks: ['padded', 'scattered'],
};

export const maskRules: readonly Rule[] = [
  {
    name: 'masked results are within their bounds',
    why: 'statistics of the positions that count, dx through them there alone, dgamma and dbeta over all',
    run: async (scene, { memory, size }) => {
      const checks: Check[] = [];
      for (const kind of kindsOf[size] ?? ([memory === 'host' ? 'scattered' : 'padded'] as const)) {
        const mask = drawn(scene, kind);
        const count = countOf(scene, mask);
        // Far away, so that they show in sums, and a pivot among them loses digits.
        const x = elsewhere(scene, mask, scene.batch(1).x, (value) => 1000 * value + 500);
        const found = [
          ...(await againstOracle(scene, { mask, x, runningVariance: count > 1 ? 'sample' : 'population' })),
          ...(size === 'small' ? await againstOracle(scene, { mask }) : []),
          ...(await momentsAgree(scene, mask, x)),
        ];
        for (const one of found) checks.push({ ...one, what: `${kind}, ${one.what}` });
        await scene.disposeLayers();
      }
      return checks;
    },
  },
  {
    name: 'a mask goes with a residual and ReLU',
    why: 'each of them as it is without the others',
    exempt: anySize,
    run: async (scene) => {
      const [mask, residual] = [drawn(scene, 'scattered'), scene.batch(2).x];
      return againstOracle(scene, { mask, residual, activation: 'relu' });
    },
  },
  {
    name: 'what does not count does not show',
    why: 'NaN, infinities or large numbers in padding: not in statistics, in other y, in dbeta or in other channels',
    run: async (scene, { size }) => {
      const isLarge = size === 'elements' || size === 'rows or channels';
      const values = isLarge ? [Number.NaN] : [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e30];
      const checks: Check[] = [];
      for (const value of values) {
        checks.push(...(await doesNotShow(scene, value)));
        await scene.disposeLayers();
      }
      return checks;
    },
  },
  {
    name: 'a mask is that of its call',
    why: 'once that is done, it may be written to; passes have masks of their own, and the forward after one has none',
    exempt: anySize,
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const masks = [drawn(scene, 'scattered'), drawn(scene, 'padded'), undefined];
      const want = [];
      for (const mask of masks) want.push(await scene.step(scene.layer(), { x, dy }, { mask }));
      const layer = scene.layer();
      const put = await scene.put(x);
      const passes: ForwardPass[] = [];
      for (const mask of masks) {
        const own = mask && { data: mask.data.slice(), shape: [...mask.shape] };
        passes.push(await layer.forwardPass(put as Tensor, own && { mask: own }));
        own?.data.fill(1);
        own?.shape.fill(0);
        scene.memory.own(passes.at(-1)!.y);
      }
      const checks: Check[] = [];
      for (const n of [1, 0, 2]) {
        const gradients = await passes[n]!.backward((await scene.put(dy)) as Tensor);
        for (const result of [gradients.dx, gradients.dgamma, gradients.dbeta]) scene.memory.own(result);
        const got = { y: await scene.memory.read<FloatArray>(passes[n]!.y), ...(await scene.read(gradients)) };
        checks.push(...same(`pass ${n}`, got, want[n]!));
      }
      for (const n of [0, 2, 1]) {
        checks.push(...same(`forward ${n}`, await scene.step(layer, { x, dy }, { mask: masks[n] }), want[n]!));
      }
      return checks;
    },
  },
  {
    name: 'a mask of ones is none, and inference has none',
    why: 'to the bit, in y, gradients and running statistics; where running statistics normalise nothing need count',
    exempt: anySize,
    run: async (scene) => {
      const batch = scene.batch(1);
      const [plain, masked] = [scene.layer(), scene.layer()];
      const all = drawn(scene, 'all');
      const none = { data: all.data.map(() => 0), shape: all.shape };
      const checks: Check[] = [];
      for (const [mode, mask] of Object.entries({ training: all, inference: none })) {
        const training = mode === 'training';
        const want = await scene.step(plain, batch, { training });
        checks.push(...same(mode, await scene.step(masked, batch, { training, mask }), want));
      }
      const [want, got] = [await plain.state(), await masked.state()];
      return [
        ...checks,
        identical('running mean', got.runningMean, want.runningMean),
        identical('running variance', got.runningVariance, want.runningVariance),
      ];
    },
  },
  {
    name: 'a wrong mask is refused',
    why: 'another shape or dtype, other numbers than 0 and 1, nothing that counts: and the layer is as it was',
    exempt: anySize,
    run: async (scene) => {
      const { shape } = scene;
      const { x, dy } = scene.batch(1);
      const [layer, fresh] = [scene.layer(), scene.layer()];
      for (const one of [layer, fresh]) await scene.y(one, x);
      const { data, shape: of } = drawn(scene, 'scattered');
      const wrong: readonly (readonly [string, ErrorCode, unknown])[] = [
        ['with the channel axis', 'SHAPE_MISMATCH', { data: new Uint8Array(x.length).fill(1), shape }],
        ['of another length', 'SHAPE_MISMATCH', { data: data.slice(1), shape: of.with(0, of[0]! - 1) }],
        ['of too few elements', 'INVALID_TENSOR', { data: data.slice(1), shape: of }],
        ['of another dtype', 'DTYPE_MISMATCH', { data: Float32Array.from(data), shape: of }],
        ['with a 2', 'INVALID_TENSOR', { data: data.map((value) => 2 * value), shape: of }],
        ['by which nothing counts', 'EMPTY_BATCH', { data: data.map(() => 0), shape: of }],
      ];
      const out = await scene.junk(7);
      const before = await scene.memory.read(out);
      const put = await scene.put(x);
      const checks: Check[] = [];
      for (const [what, code, mask] of wrong) {
        checks.push(
          await refuses(what, code, () => scene.forward(layer, put, { mask: mask as Mask, out })),
          await refuses(`moments, ${what}`, code, () => layer.moments(put as Tensor, { mask: mask as Mask })),
        );
      }
      const [state, expected] = [await layer.state(), await fresh.state()];
      return [
        ...checks,
        identical('out', await scene.memory.read(out), before),
        identical('running mean', state.runningMean, expected.runningMean),
        outcome('batches tracked', state.batchesTracked === 1, `: received ${state.batchesTracked}, expected 1`),
        ...same('the forward before', await scene.gradients(layer, dy), await scene.gradients(fresh, dy)),
      ];
    },
  },
];

function drawn({ shape }: Scene, kind: MaskKind): Mask {
  return maskOf(kind, randomSeededBy(`${kind} ${shape}`), shape);
}

/** How many positions count. */
function countOf({ shape, channels }: Scene, mask: Mask): number {
  return countedPositions(mask, shape)?.count ?? product(shape) / channels;
}

/** Whether the position of element k counts. */
function counter({ shape }: Scene, mask: Mask): (k: number) => boolean {
  const { channels, inner } = extentOf(shape, 1);
  const positions = countedPositions(mask, shape)?.positions;
  return (k) => positions?.[Math.floor(k / (channels * inner)) * inner + (k % inner)] !== 0;
}

/** The values, changed where they do not count. */
function elsewhere(
  scene: Scene,
  mask: Mask,
  values: FloatArray,
  change: (value: number, k: number) => number,
): FloatArray {
  const counts = counter(scene, mask);
  return values.map((value: number, k: number) => (counts(k) ? value : change(value, k)));
}

/** The moments of what counts are those that a training forward averages. */
async function momentsAgree(scene: Scene, mask: Mask, x: FloatArray): Promise<Check[]> {
  const layer = scene.layer({ momentum: 0 });
  const put = await scene.put(x);
  await scene.forward(layer, put, { mask });
  await layer.settle();
  const moments = await layer.moments(put as Tensor, { mask });
  const count = countOf(scene, mask);
  return [
    outcome('count', moments.count === count, `: received ${moments.count}, expected ${count}`),
    identical('mean of moments', moments.mean, layer.runningMean),
    identical('variance of moments', statisticsOf(moments).variance, layer.runningVariance),
  ];
}

/** `value` at every position that does not count, of every channel or of one. */
async function doesNotShow(scene: Scene, value: number): Promise<Check[]> {
  const mask = drawn(scene, 'scattered');
  const counts = counter(scene, mask);
  const { x, dy } = scene.batch(1);
  const extent = extentOf(scene.shape, 1);
  const sick = scene.channels >> 1;
  const [well, ill, partly] = [scene.layer(), scene.layer(), scene.layer()];
  const want = await scene.step(well, { x, dy }, { mask });
  const all = await scene.step(ill, { x: elsewhere(scene, mask, x, () => value), dy }, { mask });
  const spoiled = elsewhere(scene, mask, x, (own, k) => (channelOf(k, extent) === sick ? value : own));
  const one = await scene.step(partly, { x: spoiled, dy }, { mask });
  for (const layer of [well, ill, partly]) await layer.settle();
  const pick = (what: string, got: FloatArray, expected: FloatArray, isWanted: (k: number) => boolean) =>
    identicalWhere(`${value}: ${what}`, got, expected, isWanted);
  const channel = channelsOf(extent);
  const isOther = (k: number) => channel[k] !== sick;
  const untouched = (k: number) => counts(k) || isOther(k);
  const finite = all.y.findIndex((got, k) => !counts(k) && Number.isFinite(got) && !Number.isFinite(value));
  return [
    identical(`${value}: running mean`, ill.runningMean, well.runningMean),
    identical(`${value}: running variance`, ill.runningVariance, well.runningVariance),
    pick('y of what counts', all.y, want.y, counts),
    outcome(`${value}: y of what does not`, finite < 0, `[${finite}]: received ${all.y[finite]}, expected ${value}`),
    // Sums of gradients are over all positions: x may be beyond the arithmetic that a backend would take else.
    toHalfOfTheDigits(
      pick('dx of what does not count', all.dx, want.dx, (k) => !counts(k)),
      scene.dtype,
    ),
    toHalfOfTheDigits(identical(`${value}: dbeta`, all.dbeta, want.dbeta), scene.dtype),
    pick('y of all others', one.y, want.y, untouched),
    pick('dx of other channels', one.dx, want.dx, isOther),
    pick('dgamma of other channels', one.dgamma, want.dgamma, (c) => c !== sick),
  ];
}
