// Calls in any order: of one layer, of several on one backend, awaited or not.
import type { FloatArray } from '@batchnorm/core-api';
import { type Check, identical } from '../../compare.js';
import type { Cell } from '../../conformance-case.js';
import { notLarge, type Rule } from '../rule.js';
import { type Results, same } from '../scene.js';

/** gpu.js makes a WebAssembly memory for each of its kernels, and a page gets no more than some dozens. */
function needsManyKernels({ size }: Pick<Cell, 'size'>): string | undefined {
  if (size !== 'small') return 'how many kernels there are does not depend on their size';
  return 'process' in globalThis ? undefined : 'browsers give a page few memories for kernels: Node tries it';
}

export const orderRules: readonly Rule[] = [
  {
    name: 'two layers on one backend, interleaved',
    why: 'each has a forward of its own, whatever sizes the other has',
    run: async (scene) => {
      const { other } = scene;
      const [batch1, batch2, batch3] = [scene.batch(1), scene.batch(2), scene.batch(3, other)];
      const alone = scene.layer();
      const want = [
        await scene.step(alone, batch1),
        await scene.step(scene.layer(), batch2),
        await scene.step(scene.layer(), batch3, { shape: other }),
      ];
      const [a, b, c] = [scene.layer(), scene.layer(), scene.layer()];
      const y = [await scene.y(a, batch1.x), await scene.y(b, batch2.x), await scene.y(c, batch3.x, { shape: other })];
      const ofA = await scene.gradients(a, batch1.dy);
      await c.dispose();
      const ofB = await scene.gradients(b, batch2.dy);
      const again = await scene.gradients(a, batch1.dy);
      return [
        ...y.map((values, n) => identical(`y of layer ${n + 1}`, values, want[n]!.y)),
        ...same('gradients of layer 1', ofA, want[0]!),
        ...same('gradients of layer 2, after layer 3 is disposed', ofB, want[1]!),
        ...same('gradients of layer 1 again', again, want[0]!),
      ];
    },
  },
  {
    name: 'three dozen layers on one backend',
    why: 'a network has many: all forwards, then all backwards, from the last to the first; then all of them at once',
    slow: true,
    exempt: (cell) => needsManyKernels(cell),
    run: async (scene) => {
      const batches = Array.from({ length: 36 }, (_, n) => scene.batch(n));
      const want: (Results & { readonly inference: FloatArray })[] = [];
      for (const batch of batches) {
        const alone = scene.layer();
        const step = await scene.step(alone, batch);
        want.push({ ...step, inference: await scene.y(alone, batch.x, { training: false }) });
        await alone.dispose();
      }
      const layers = batches.map(() => scene.layer());
      const checks: Check[] = [];
      for (const [n, layer] of layers.entries()) {
        checks.push(identical(`y of layer ${n}`, await scene.y(layer, batches[n]!.x), want[n]!.y));
      }
      for (const [n, layer] of [...layers.entries()].reverse()) {
        checks.push(...same(`layer ${n}`, await scene.gradients(layer, batches[n]!.dy), want[n]!));
      }
      for (const [n, layer] of layers.entries()) {
        const y = await scene.y(layer, batches[n]!.x, { training: false });
        checks.push(identical(`inference of layer ${n}`, y, want[n]!.inference));
      }
      const atOnce = await Promise.all(layers.map((layer, n) => scene.step(layer, batches[n]!)));
      for (const [n, step] of atOnce.entries()) {
        checks.push(...same(`layer ${n}, all at once`, step, want[n]!));
      }
      return checks;
    },
  },
  {
    name: 'a backward comes long after its forward',
    why: 'forty steps of another layer lie between them, and what was saved is as it was',
    exempt: notLarge('other rules have calls between them at these sizes'),
    run: async (scene) => {
      const batch = scene.batch(1);
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const [layer, other] = [scene.layer(), scene.layer()];
        const want = await scene.step(scene.layer(), batch, { training });
        const y = await scene.y(layer, batch.x, { training });
        for (let n = 0; n < 40; n++) await scene.step(other, scene.batch(2 + (n % 5)), { training: n % 3 > 0 });
        const mode = training ? 'training' : 'inference';
        checks.push(identical(`${mode}: y`, y, want.y), ...same(mode, await scene.gradients(layer, batch.dy), want));
      }
      return checks;
    },
  },
  {
    name: 'batches of two sizes take turns',
    why: 'the last batch of an epoch is smaller: kernels of both sizes are alive, and either may have been prepared last',
    run: async (scene) => {
      const { other } = scene;
      const [batch, small] = [scene.batch(1), scene.batch(2, other)];
      const want = await scene.step(scene.layer(), batch);
      const wantSmall = await scene.step(scene.layer(), small, { shape: other });
      const layer = scene.layer();
      const checks: Check[] = [];
      for (const turn of [1, 2]) {
        checks.push(...same(`turn ${turn}`, await scene.step(layer, batch), want));
        checks.push(
          ...same(`turn ${turn}, the other size`, await scene.step(layer, small, { shape: other }), wantSmall),
        );
      }
      return checks;
    },
  },
  {
    name: 'more batch sizes than a layer keeps kernels for',
    why: 'those that it has not used for long go, and what they gave stays: results, and statistics that wait on the device',
    slow: true,
    exempt: (cell) => needsManyKernels(cell),
    run: async (scene) => {
      const [rows, ...rest] = scene.shape as [number, ...number[]];
      const sizes = Array.from({ length: 12 }, (_, n) => [rows + n, ...rest]);
      const [layer, settling] = [scene.layer({ momentum: 0.5 }), scene.layer({ momentum: 0.5 })];
      const checks: Check[] = [];
      for (const turn of [1, 2]) {
        for (const [n, shape] of sizes.entries()) {
          const batch = scene.batch(n, shape);
          const fresh = scene.layer();
          const want = await scene.step(fresh, batch, { shape });
          await fresh.dispose();
          checks.push(...same(`turn ${turn}, [${shape}]`, await scene.step(layer, batch, { shape }), want));
          for (let again = 0; again < 2; again++) await scene.y(layer, batch.x, { shape });
          for (let each = 0; each < 3; each++) {
            await scene.y(settling, batch.x, { shape });
            await settling.settle();
          }
        }
      }
      const [state, expected] = [await layer.state(), await settling.state()];
      return [
        ...checks,
        identical('running mean', state.runningMean, expected.runningMean),
        identical('running variance', state.runningVariance, expected.runningVariance),
      ];
    },
  },
  {
    name: 'layers of two dtypes take turns',
    why: 'on one backend, with the same sizes',
    exempt: (_cell, { backend: { capabilities } }) =>
      capabilities.dtypes.includes('float32') && capabilities.dtypes.includes('float64')
        ? undefined
        : 'the backend has one dtype besides float16',
    run: async (scene) => {
      const otherDtype = scene.dtype === 'float32' ? 'float64' : 'float32';
      const [batch, otherBatch] = [scene.batch(1), scene.batch(2, scene.shape, otherDtype)];
      const want = await scene.step(scene.layer(), batch);
      const wantOther = await scene.step(scene.layer({ dtype: otherDtype }), otherBatch);
      const [a, b] = [scene.layer(), scene.layer({ dtype: otherDtype })];
      const [y, otherY] = [await scene.y(a, batch.x), await scene.y(b, otherBatch.x)];
      return [
        identical('y', y, want.y),
        identical('y of the other', otherY, wantOther.y),
        ...same('gradients', await scene.gradients(a, batch.dy), want),
        ...same('gradients of the other', await scene.gradients(b, otherBatch.dy), wantOther),
      ];
    },
  },
  {
    name: 'overlapping calls take effect in call order',
    why: 'of one layer, when nobody awaits; of two layers, whatever one does while the other computes',
    run: async (scene) => {
      const [one, two] = [scene.batch(1), scene.batch(2)];
      const inTurn = scene.layer();
      const want = [await scene.step(inTurn, one), await scene.step(inTurn, two)];
      const state = await inTurn.state();
      const [a, b] = [scene.layer(), scene.layer()];
      const [x1, dy1, x2, dy2] = await Promise.all([one.x, one.dy, two.x, two.dy].map((values) => scene.put(values)));
      // Promise.all, so that a call that fails leaves no other rejection unhandled.
      const [y1, gradients1, y2, gradients2, yB, gradientsB, ofState] = await Promise.all([
        scene.forward(a, x1!),
        scene.backward(a, dy1!),
        scene.forward(a, x2!),
        scene.backward(a, dy2!),
        scene.forward(b, x2!),
        scene.backward(b, dy2!),
        a.state(),
      ]);
      const { memory } = scene;
      return [
        identical('y 1', await memory.read(y1), want[0]!.y),
        ...same('gradients 1', await scene.read(gradients1), want[0]!),
        identical('y 2', await memory.read(y2), want[1]!.y),
        ...same('gradients 2', await scene.read(gradients2), want[1]!),
        identical('y of the other layer', await memory.read(yB), want[1]!.y),
        ...same('gradients of the other layer', await scene.read(gradientsB), want[1]!),
        identical('running mean', ofState.runningMean, state.runningMean),
        identical('running variance', ofState.runningVariance, state.runningVariance),
      ];
    },
  },
  {
    name: 'backward may come again',
    why: 'the same dy gives the same, another dy what it gives alone, after a training forward and after an inference one',
    run: async (scene) => {
      const [{ x, dy }, { dy: dy2 }] = [scene.batch(1), scene.batch(2)];
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const mode = training ? 'training' : 'inference';
        const [layer, fresh] = [scene.layer(), scene.layer()];
        for (const one of [layer, fresh]) await scene.y(one, x, { training });
        const want2 = await scene.gradients(fresh, dy2);
        const want = await scene.gradients(layer, dy);
        checks.push(
          ...same(`${mode}: again`, await scene.gradients(layer, dy), want),
          ...same(`${mode}: another dy`, await scene.gradients(layer, dy2), want2),
          ...same(`${mode}: the first dy once more`, await scene.gradients(layer, dy), want),
        );
      }
      return checks;
    },
  },
  {
    name: 'the gradient is that of the latest forward',
    why: 'not of one before it, and in its mode',
    run: async (scene) => {
      const [one, two] = [scene.batch(1), scene.batch(2)];
      const checks: Check[] = [];
      for (const [first, second] of [
        [true, true],
        [true, false],
        [false, true],
      ] as const) {
        const [fresh, used] = [scene.layer(), scene.layer()];
        if (!second) await scene.y(fresh, one.x);
        await scene.y(fresh, two.x, { training: second });
        await scene.y(used, one.x, { training: first });
        await scene.gradients(used, one.dy);
        await scene.y(used, two.x, { training: second });
        const modes = [first, second].map((training) => (training ? 'training' : 'inference')).join(', then ');
        checks.push(...same(modes, await scene.gradients(used, two.dy), await scene.gradients(fresh, two.dy)));
      }
      return checks;
    },
  },
];
