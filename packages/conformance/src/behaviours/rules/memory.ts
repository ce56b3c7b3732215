// What stays in memory: nothing of a step, of a layer that is disposed, or of a forward that no backward follows.
import { BatchNorm, type DeviceTensor, type Tensor } from '@batchnorm/core-api';
import { type Check, outcome, sameBits } from '../../compare.js';
import type { Cell, Subject } from '../../conformance-case.js';
import { maskOf } from '../../masks.js';
import type { Activation } from '../../memory/activation-memory.js';
import { type MemoryUse, memoryInUse } from '../../memory/memory-use.js';
import { randomSeededBy } from '../../problem.js';
import type { Rule } from '../rule.js';
import { backward, forward, type Scene } from '../scene.js';

/** How many steps precede the first measurement, and how many each window has. 1,000 steps are the least in all. */
const first = 400;
const windows = [600, 600, 1200, 2400];
/**
 * How much memory a step may add and still count as none. Objects are counted exactly; memory outside of the heap grows
 * by a page or two for other reasons, in bytes; the heap, which holds compiled code and strings, by more.
 */
const nothing: MemoryUse = { objects: 1 / 64, external: 24, heap: 256 };

/** How many calls must give the same result. */
const sameSteps = 300;

/** What is measured without garbage collection before it would be luck. */
const exempt = (cell: Omit<Cell, 'rule'>, _subject?: Subject): string | undefined =>
  (cell.size === 'small' ? undefined : 'what is left behind is left behind at every size') ??
  ('process' in globalThis ? undefined : 'only Node says how much memory is in use after garbage collection');

export const memoryRules: readonly Rule[] = [
  {
    name: '1,000 steps leave nothing behind',
    why: 'with out or without, in training and in inference, with masks, residuals and ReLU',
    slow: true,
    exempt,
    run: async (scene) => {
      const layers = [scene.layer(), scene.layer({ trackRunningStatistics: false })];
      const { x, dy } = scene.batch(1);
      const [putX, putDy, y, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
      const onHost = scene.memory.kind === 'host';
      const vectors = onHost && {
        dgamma: scene.memory.vector(scene.channels),
        dbeta: scene.memory.vector(scene.channels),
      };
      const step = async (layer: BatchNorm, training: boolean) => {
        await forward(layer, putX, { training, out: y });
        // As in a network, another layer comes between the two.
        await forward(layers.find((other) => other !== layer)!, putX, { training, out: y });
        release(await backward(layer, putDy, { dx, ...vectors }), scene);
        const fresh = await forward(layer, putX, { training });
        const gradients = await backward(layer, putDy, {});
        for (const result of [fresh, gradients.dx]) if ('dispose' in result) (result as DeviceTensor).dispose();
        release(gradients, scene);
        const more = await backward(layer, dx, { dx });
        if ('read' in y) await Promise.all([y.read(), (more.dgamma as unknown as DeviceTensor).read()]);
        if ('view' in y) y.view!();
        release(more, scene);
        await forward(layer, y, { training: false, out: y });
        // Buffers of the caller's that are new each time, and dropped.
        if (onHost) {
          const own = () => ({ data: (y as Tensor).data.slice(), shape: scene.shape });
          await forward(layer, putX, { training, out: own() });
          await backward(layer, putDy, { dx: own() });
        }
      };
      const withAll = scene.layer({ activation: 'relu' });
      const mask = maskOf('scattered', randomSeededBy('memory'), scene.shape);
      const dresidual = await scene.junk();
      /** ReLU has something to remember until the backward, and a mask comes and goes. */
      const stepWithAll = async (training: boolean) => {
        await forward(withAll, putX, { training, out: y, residual: putDy, ...(training && { mask }) });
        release(await backward(withAll, putDy, { dx, dresidual }), scene);
        const gradients = await backward(withAll, putDy, {});
        for (const result of [gradients.dx, gradients.dresidual] as object[]) {
          if ('dispose' in result) (result as DeviceTensor).dispose();
        }
        release(gradients, scene);
      };
      return [
        await leavesNothing(scene, 'steps', async () => {
          for (const layer of layers) for (const training of [true, false]) await step(layer, training);
          for (const training of [true, false]) await stepWithAll(training);
        }),
        ...(await answersAlike(scene, true)),
        ...(await answersAlike(scene, false)),
      ];
    },
  },
  {
    name: 'inference without backward leaves nothing behind',
    why: 'a server never asks for gradients',
    slow: true,
    exempt,
    run: async (scene) => {
      const layer = scene.layer();
      const { x } = scene.batch(1);
      const [putX, y] = [await scene.put(x), await scene.junk()];
      return [
        await leavesNothing(scene, 'inference, and training without backward', async () => {
          await forward(layer, putX, { training: false, out: y });
          await forward(layer, putX, { out: y });
        }),
      ];
    },
  },
  {
    name: 'tensors that are disposed leave nothing behind',
    why: 'a batch is uploaded for each step, and one that is refused is none',
    slow: true,
    exempt: (cell, subject) => (cell.memory === 'host' ? 'it is about device tensors' : exempt(cell, subject)),
    run: async (scene) => {
      const { backend, shape } = scene;
      const data = scene.batch(1).x;
      const upload = async () => (await backend.upload({ data, shape })).dispose();
      const tooShort = { data: data.subarray(1), shape };
      return [
        await leavesNothing(scene, 'upload', upload),
        await leavesNothing(scene, 'an upload that is refused', async () => {
          await Promise.resolve(tooShort)
            .then((one) => backend.upload(one))
            .catch(() => undefined);
        }),
      ];
    },
  },
  {
    name: 'calls that fail leave nothing behind',
    why: 'neither what they had begun, nor what they had read',
    slow: true,
    exempt,
    run: async (scene) => {
      const layer = scene.layer();
      const bad = scene.batch(1).x.slice();
      bad[0] = Number.NaN;
      const [putBad, y] = [await scene.put(bad), await scene.junk()];
      const fail = async () => {
        await forward(layer, putBad, { out: y });
        await layer.settle();
      };
      return [await leavesNothing(scene, 'a batch that is not finite', () => fail().catch(() => undefined))];
    },
  },
  {
    name: 'kernels that are not used for long leave nothing behind',
    why: 'a layer lets them go when it has seen more batch sizes than it keeps kernels for',
    slow: true,
    exempt,
    run: async (scene) => {
      const layer = scene.layer();
      const [rows, channels, ...runs] = scene.shape as [number, number, ...number[]];
      const sizes = Array.from({ length: 10 }, (_, n) => [rows + n, channels, ...runs.map((inner) => inner + (n % 4))]);
      const batches: Activation[] = [];
      for (const shape of sizes) batches.push(await scene.put(scene.batch(1, shape).x, shape));
      const epoch = async () => {
        for (const x of batches) {
          const y = await forward(layer, x, { training: false });
          if ('dispose' in y) y.dispose();
        }
      };
      return [await leavesNothing(scene, 'ten batch sizes', epoch, 0.1)];
    },
  },
  {
    name: 'a layer that is disposed leaves nothing behind',
    why: 'neither kernels nor what its forwards kept',
    slow: true,
    exempt,
    run: async (scene) => {
      const { backend, dtype, channels: numFeatures } = scene;
      const { x, dy } = scene.batch(1);
      const [putX, putDy, y, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
      const life = async () => {
        const layer = new BatchNorm({ backend, dtype, numFeatures });
        await forward(layer, putX, { out: y });
        release(await backward(layer, putDy, { dx }), scene);
        await layer.dispose();
      };
      return [await leavesNothing(scene, 'a layer and its step', life, 0.1)];
    },
  },
];

/** Many calls give the same result as the first. On host arrays alone, which are quick to compare. */
async function answersAlike(scene: Scene, training: boolean): Promise<Check[]> {
  if (scene.memory.kind === 'device' || !scene.backend.capabilities.deterministic) return [];
  // With momentum 0, running statistics are those of the latest batch.
  const layer = scene.layer({ momentum: 0 });
  const put = await scene.put(scene.batch(1).x);
  const out = (await scene.junk()) as Tensor;
  await forward(layer, put, { training, out });
  const [y, mean, variance] = [out.data.slice(), layer.runningMean.slice(), layer.runningVariance.slice()];
  let other = 0;
  for (let n = 0; n < sameSteps; n++) {
    await forward(layer, put, { training, out });
    const same =
      sameBits(out.data, y) && sameBits(layer.runningMean, mean) && sameBits(layer.runningVariance, variance);
    if (!same) other++;
  }
  const mode = training ? 'training' : 'inference';
  return [outcome(`${mode}, again and again`, other === 0, `: received ${other} other results, expected none`)];
}

/** Disposes gradients of parameters on the device, which are the caller's. */
function release({ dgamma, dbeta }: { readonly dgamma: unknown; readonly dbeta: unknown }, { memory }: Scene): void {
  if (memory.kind === 'host') return;
  for (const vector of [dgamma, dbeta]) (vector as { dispose(): void }).dispose();
}

/**
 * Repeats `work` and measures memory after each window of steps. It passes when each measure has not grown in at least
 * one window.
 */
async function leavesNothing(scene: Scene, what: string, work: () => Promise<unknown>, share = 1): Promise<Check> {
  const several = async (times: number) => {
    for (let n = 0; n < times; n++) await work();
  };
  const measures = Object.keys(nothing) as (keyof MemoryUse)[];
  const grown = new Map(measures.map((measure) => [measure, Number.POSITIVE_INFINITY]));
  // With fewer steps in a window, more of the heap's own noise falls on each.
  const most: MemoryUse = { ...nothing, heap: nothing.heap / share };
  const isGrown = (measure: keyof MemoryUse) => !(grown.get(measure)! <= most[measure]);
  await several(first * share);
  let before = await usedBy(scene);
  for (const window of windows) {
    await several(window * share);
    const now = await usedBy(scene, isGrown('objects'));
    for (const measure of measures.filter(isGrown)) {
      const perStep = (now[measure] - before[measure]) / (window * share);
      // Not Math.min, which would keep NaN.
      if (!(perStep >= grown.get(measure)!)) grown.set(measure, perStep);
    }
    if (!measures.some(isGrown)) return outcome(what, true, '');
    before = now;
  }
  const more = measures.filter(isGrown).map((measure) => `${grown.get(measure)!.toPrecision(3)} ${units[measure]}`);
  return outcome(what, false, `: received ${more.join(' and ')} more after each, expected none`);
}

const units = { objects: 'objects', external: 'bytes outside of the heap', heap: 'bytes of the heap' };

/**
 * The memory of this program, and of the backend's device where it says how much that is. Objects are counted where
 * `countsObjects` says so: once they have not grown nobody asks again.
 */
async function usedBy({ backend }: Scene, countsObjects = true): Promise<MemoryUse> {
  const { objects, external, heap } = (await memoryInUse(countsObjects)) ?? { objects: 0, external: 0, heap: 0 };
  return { objects, external: external + (backend.allocatedBytes?.() ?? 0), heap };
}
