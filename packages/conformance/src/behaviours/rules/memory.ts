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

/**
 * How many steps precede the first measurement, and how many each window has. 1,000 steps are the least in all. Each has
 * more than the one before: what one work piles up and another clears away grows, too.
 */
const first = 400;
const windows = [600, 800, 1200, 2400];
/**
 * How much memory a step may add and still count as none. Objects are counted exactly; memory outside of the heap grows
 * by a page or two for other reasons, in bytes; the heap, which holds compiled code and strings, by more.
 */
const nothing: MemoryUse = { objects: 1 / 64, external: 24, heap: 256 };

/** How many calls must give the same result. */
const sameSteps = 300;

/** What is measured without garbage collection before it would be luck. */
const exempt = (cell: Omit<Cell, 'rule'>, subject: Subject): string | undefined =>
  (cell.memory === 'allocated' && subject.dtype === 'float64'
    ? 'the bytes of another dtype lie in the same memory'
    : undefined) ??
  (cell.size === 'small' ? undefined : 'what is left behind is left behind at every size') ??
  ('process' in globalThis ? undefined : 'only Node says how much memory is in use after garbage collection');

export const memoryRules: readonly Rule[] = [
  {
    name: '1,000 steps leave nothing behind',
    why: 'with out or without, in training and in inference, with masks, residuals and ReLU; nor do calls that fail',
    slow: true,
    exempt,
    run: async (scene) => {
      const works = [
        await stepsOfNetworks(scene),
        await batchesThatAreNotFinite(scene),
        ...(!scene.memory.onHost ? uploads(scene) : []),
        // Last, so that no backward clears away what it has piled up.
        await inferenceAlone(scene),
      ];
      return [
        ...(await leaveNothing(scene, works)),
        ...(await answersAlike(scene, true)),
        ...(await answersAlike(scene, false)),
      ];
    },
  },
  {
    name: 'kernels and layers leave nothing behind',
    why: 'kernels that are not used for long are let go, and with a layer what it kept',
    slow: true,
    exempt,
    run: async (scene) => leaveNothing(scene, [await manyBatchSizes(scene), await livesOfLayers(scene)], 0.1),
  },
];

/** What is done again and again. */
interface Work {
  readonly what: string;
  readonly run: () => Promise<unknown>;
}

/** Steps as in networks, and as they are not: in every order, with and without buffers, backward twice. */
async function stepsOfNetworks(scene: Scene): Promise<Work> {
  const layers = [scene.layer(), scene.layer({ trackRunningStatistics: false })];
  const { x, dy } = scene.batch(1);
  const [putX, putDy, y, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
  const onHost = scene.memory.onHost;
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
    dispose(fresh, gradients.dx);
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
    dispose(gradients.dx, gradients.dresidual);
    release(gradients, scene);
  };
  const run = async () => {
    for (const layer of layers) for (const training of [true, false]) await step(layer, training);
    for (const training of [true, false]) await stepWithAll(training);
  };
  return { what: 'steps', run };
}

/** A server never asks for gradients. */
async function inferenceAlone(scene: Scene): Promise<Work> {
  const layer = scene.layer();
  const [x, y] = [await scene.put(scene.batch(1).x), await scene.junk()];
  const run = async () => {
    await forward(layer, x, { training: false, out: y });
    await forward(layer, x, { out: y });
  };
  return { what: 'inference, and training without backward', run };
}

/** Neither what calls that fail had begun stays, nor what they had read. */
async function batchesThatAreNotFinite(scene: Scene): Promise<Work> {
  const layer = scene.layer();
  const bad = scene.batch(1).x.slice();
  bad[0] = Number.NaN;
  const [x, y] = [await scene.put(bad), await scene.junk()];
  const fail = async () => {
    await forward(layer, x, { out: y });
    await layer.settle();
  };
  return { what: 'a batch that is not finite', run: () => fail().catch(() => undefined) };
}

/** A batch is uploaded for each step, and one that is refused is none. */
function uploads(scene: Scene): Work[] {
  const { backend, shape } = scene;
  const data = scene.batch(1).x;
  const tooShort = { data: data.subarray(1), shape };
  const refused = () =>
    Promise.resolve(tooShort)
      .then((one) => backend.upload(one))
      .catch(() => undefined);
  return [
    { what: 'upload', run: async () => (await backend.upload({ data, shape })).dispose() },
    { what: 'an upload that is refused', run: refused },
  ];
}

/** A layer lets kernels go when it has seen more batch sizes than it keeps them for. */
async function manyBatchSizes(scene: Scene): Promise<Work> {
  const layer = scene.layer();
  const [rows, channels, ...runs] = scene.shape as [number, number, ...number[]];
  const sizes = Array.from({ length: 10 }, (_, n) => [rows + n, channels, ...runs.map((inner) => inner + (n % 4))]);
  const batches: Activation[] = [];
  for (const shape of sizes) batches.push(await scene.put(scene.batch(1, shape).x, shape));
  const epoch = async () => {
    for (const x of batches) dispose(await forward(layer, x, { training: false }));
  };
  return { what: 'ten batch sizes', run: epoch };
}

/** Neither its kernels outlive a layer, nor what its forwards kept. */
async function livesOfLayers(scene: Scene): Promise<Work> {
  const { backend, dtype, channels: numFeatures } = scene;
  const { x, dy } = scene.batch(1);
  const [putX, putDy, y, dx] = [await scene.put(x), await scene.put(dy), await scene.junk(), await scene.junk()];
  const life = async () => {
    const layer = new BatchNorm({ backend, dtype, numFeatures });
    await forward(layer, putX, { out: y });
    release(await backward(layer, putDy, { dx }), scene);
    await layer.dispose();
  };
  return { what: 'a layer and its step', run: life };
}

/** Disposes results that lie on the device; of those on the host every other one, because the rest are garbage. */
function dispose(...results: readonly unknown[]): void {
  for (const result of results) {
    if (Object(result).dispose && (!('data' in (result as object)) || dropped++ % 2 === 0)) {
      (result as DeviceTensor).dispose();
    }
  }
}

let dropped = 0;

/** Many calls give the same result as the first. On host arrays alone, which are quick to compare. */
async function answersAlike(scene: Scene, training: boolean): Promise<Check[]> {
  if (!scene.memory.onHost || !scene.backend.capabilities.deterministic) return [];
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
  if (memory.onHost) return;
  for (const vector of [dgamma, dbeta]) (vector as { dispose(): void }).dispose();
}

/**
 * That none of `works` leaves anything behind. They are measured all together, because counting objects takes longer
 * than they do, and one by one only to find which it is.
 */
async function leaveNothing(scene: Scene, works: readonly Work[], share = 1): Promise<Check[]> {
  const all = await leavesNothing(scene, works, share);
  if (all.passed) return [all];
  const each: Check[] = [];
  for (const work of works) each.push(await leavesNothing(scene, [work], share));
  return each.every(({ passed }) => passed) ? [all] : each;
}

/**
 * Does each work many times, one work after the other, and measures memory after each window of steps. It passes when
 * each measure has not grown in at least one window.
 */
async function leavesNothing(scene: Scene, works: readonly Work[], share: number): Promise<Check> {
  const what = works.map((work) => work.what).join('; ');
  const several = async (times: number) => {
    for (const { run } of works) for (let n = 0; n < times; n++) await run();
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
