// The contract of kernels by itself: what a layer relies on, tried without one.
import type { Extent, Moments } from '@batchnorm/core-api';
import { type Check, identical, repeated } from '../compare.js';
import type { ConformanceCase, MemoryKind } from '../conformance-case.js';
import { memoryKinds, reasonAgainst, refusedMemory } from '../memory/kinds.js';
import { refusedByLimit } from '../refused-by-limit.js';
import { type Forwarded, type Gradients, KernelScene, same } from './kernel-scene.js';
import type { Rule } from './rule.js';
import { stageRules } from './stage-rules.js';

const shapes = [
  [21, 6],
  [3, 6, 7],
  [1031, 5],
  [2, 5, 523],
  [5, 300],
  [2, 130, 3],
  [1027, 67],
];

/** y and gradients of kernels that did nothing else. */
async function alone(scene: KernelScene, seed: number, training: boolean): Promise<Gradients & { y: Gradients['dx'] }> {
  const kernels = await scene.prepare();
  const x = await scene.put(scene.values(seed));
  const { y, saved } = await scene.forward(kernels, x, await scene.parameters(seed), training);
  const gradients = await scene.backward(kernels, saved, scene.values(seed + 1), training);
  return { y: await scene.elements(y), ...gradients };
}

const rules: readonly Rule[] = [
  {
    name: 'vectors are read before the first suspension',
    why: 'gamma, beta, mean and variance are the layer’s, which goes on when it has the promise',
    run: async (scene, training) => {
      const want = await alone(scene, 1, training);
      const kernels = await scene.prepare();
      const { gamma, beta, mean, variance, ...others } = await scene.parameters(1);
      const x = await scene.put(scene.values(1));
      const answer = scene.forward(kernels, x, { gamma, beta, mean, variance, ...others }, training);
      for (const vector of [gamma, beta, mean, variance]) vector.fill(Number.NaN);
      const { y, saved } = await answer;
      return [
        identical('y', await scene.elements(y), want.y),
        ...same('gradients', await scene.backward(kernels, saved, scene.values(2), training), want),
      ];
    },
  },
  {
    name: 'what is saved does not change',
    why: 'with parameters, statistics or y that change later, nor with another forward',
    run: async (scene, training) => {
      const want = await alone(scene, 1, training);
      const kernels = await scene.prepare();
      const { gamma, beta, mean, variance, ...others } = await scene.parameters(1);
      const x = await scene.put(scene.values(1));
      const { y, saved } = await scene.forward(kernels, x, { gamma, beta, mean, variance, ...others }, training);
      for (const vector of [gamma, beta, mean, variance]) vector.fill(7);
      if (ArrayBuffer.isView(y)) y.fill(7);
      else y.dispose();
      await scene.forward(kernels, await scene.put(scene.values(3)), await scene.parameters(3), !training);
      return same('gradients', await scene.backward(kernels, saved, scene.values(2), training), want);
    },
  },
  {
    name: 'several saved forwards are alive at once',
    why: 'each until it is disposed, whatever becomes of the others',
    run: async (scene, training) => {
      const seeds = [1, 3, 5, 7];
      const want = new Map<number, Gradients>();
      for (const seed of seeds) want.set(seed, await alone(scene, seed, training));
      const kernels = await scene.prepare();
      const saved = new Map<number, Forwarded['saved']>();
      const forward = async (seed: number) => {
        const x = await scene.put(scene.values(seed));
        saved.set(seed, (await scene.forward(kernels, x, await scene.parameters(seed), training)).saved);
      };
      const judge = async (what: string, seed: number) => {
        const dy = scene.values(seed + 1);
        return same(what, await scene.backward(kernels, saved.get(seed)!, dy, training), want.get(seed)!);
      };
      for (const seed of seeds) await forward(seed);
      const checks = [...(await judge('the second', 3)), ...(await judge('the first', 1))];
      scene.free(saved.get(3)!);
      checks.push(
        ...(await judge('the first, when the second is gone', 1)),
        ...(await judge('the third, when the second is gone', 5)),
        ...(await judge('the fourth, when the second is gone', 7)),
      );
      await forward(3);
      checks.push(...(await judge('the first, when another is there', 1)), ...(await judge('the other', 3)));
      return checks;
    },
  },
  {
    name: 'kernels know their own plan alone',
    why: 'those of other sizes, prepared later, and those of the same plan, disposed earlier, are nothing to them',
    run: async (scene, training) => {
      const want = await alone(scene, 1, training);
      const { outer, channels, inner } = scene.extent;
      const [kernels, twin] = [await scene.prepare(), await scene.prepare()];
      const others: Extent[] = [
        { outer: outer + 1, channels, inner },
        { outer: channels, channels: outer, inner },
        { outer: 1, channels, inner: inner * outer },
      ];
      for (const extent of others) await scene.prepare(extent);
      await scene.prepare(scene.extent, scene.activation === 'relu' ? 'none' : 'relu');
      const x = await scene.put(scene.values(1));
      const { y, saved } = await scene.forward(kernels, x, await scene.parameters(1), training);
      const ofTwin = await scene.forward(twin, await scene.put(scene.values(3)), await scene.parameters(3), training);
      scene.free(ofTwin.saved);
      scene.free(twin);
      scene.free(await scene.prepare());
      const gradients = await scene.backward(kernels, saved, scene.values(2), training);
      const again = await scene.forward(kernels, await scene.put(scene.values(1)), await scene.parameters(1), training);
      return [
        identical('y', await scene.elements(y), want.y),
        ...same('gradients', gradients, want),
        identical('y again', await scene.elements(again.y), want.y),
        ...same('gradients again', await scene.backward(kernels, again.saved, scene.values(2), training), want),
      ];
    },
  },
  {
    name: 'moments are those of the batch',
    why: 'on the device also after the forwards that follow, and when what was saved is gone',
    run: async (scene, training) => {
      if (!training) return [];
      const forward = async (seed: number) => {
        const x = await scene.put(scene.values(seed));
        return scene.forward(await scene.prepare(), x, await scene.parameters(seed), true);
      };
      const kernels = await scene.prepare();
      const [first, second] = [await scene.put(scene.values(1)), await scene.put(scene.values(3))];
      const parameters = await scene.parameters(1);
      const { mask } = parameters;
      const { saved, moments } = await scene.forward(kernels, first, parameters, true);
      // On the host moments are valid until the next call of these kernels.
      const early = moments && 'read' in moments ? undefined : await copyOf(moments);
      scene.free(saved);
      await scene.forward(kernels, second, await scene.parameters(3), true);
      const received = early ?? (await copyOf(moments));
      const expected = await copyOf((await forward(1)).moments);
      return [
        identical('count', [received.count], [mask?.count ?? scene.extent.outer * scene.extent.inner]),
        identical('mean', received.mean, expected.mean),
        identical('m2', received.m2, expected.m2),
      ];
    },
  },
  ...stageRules,
];

/** A copy; moments on the device are disposed. */
async function copyOf(moments: Forwarded['moments']): Promise<Moments> {
  if (moments === undefined) throw new Error('moments: received none, expected those of the batch');
  const { count, mean, m2 } = 'read' in moments ? await moments.read() : moments;
  if ('dispose' in moments) moments.dispose();
  return { count, mean: mean.slice(), m2: m2.slice() };
}

/** Every shape alone; the first ones also with a mask, a residual and ReLU. */
const variants = (['none', 'relu'] as const).flatMap((activation) =>
  shapes
    .slice(0, activation === 'none' ? shapes.length : 4)
    .flatMap((shape) => [true, false].map((training) => ({ shape, activation, training }))),
);

/** A quick run tries the two smallest, one of rows and one of runs. */
const quickVariants = variants.filter(({ shape }) => shapes.indexOf(shape) < 2);

export const kernelCases: readonly ConformanceCase[] = rules.flatMap((rule) =>
  memoryKinds.map((memory) => caseOf(rule, memory)),
);

function caseOf({ name, why, run }: Rule, memory: MemoryKind): ConformanceCase {
  return {
    group: 'kernels',
    source: 'kernels',
    name: `${name} [${memory}]`,
    why,
    inapplicable: (subject) => reasonAgainst(memory, subject),
    run: async (subject) => {
      const refusal = (await refusedMemory(memory, subject)) ?? (await refusedByLimit(subject, shapes));
      if (refusal) return refusal;
      const checks: Check[] = [];
      for (const { shape, activation, training } of subject.quick ? quickVariants : variants) {
        const scene = new KernelScene(subject, memory, shape, activation);
        const mode = `${training ? 'training' : 'inference'}${activation === 'relu' ? ' with all extras' : ''}`;
        try {
          for (const one of await run(scene, training)) {
            checks.push({ ...repeated(one, subject), what: `[${shape}] ${mode}, ${one.what}` });
          }
        } finally {
          scene.dispose();
        }
      }
      return checks;
    },
  };
}
