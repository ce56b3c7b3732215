// Parameters, epsilon and running statistics: those of the call, whatever they were before and become afterwards.
import { allocate, type BatchNormState, extentOf, type FloatArray, type Tensor } from '@batchnorm/core-api';
import { channelOf } from '../../channels.js';
import { type Check, identical } from '../../compare.js';
import { againstOracle } from '../against-oracle.js';
import { notLarge, type Rule } from '../rule.js';
import { type Results, same } from '../scene.js';

export const parameterRules: readonly Rule[] = [
  {
    name: 'every forward takes gamma and beta as they are',
    why: 'an optimiser changes them after each step',
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const change = ({ gamma, beta }: { gamma: Float64Array; beta: Float64Array }) => {
        gamma.set(gamma.map((value) => -2 * value));
        beta.set(beta.map((value) => value + 3));
      };
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const [fresh, used] = [scene.layer(), scene.layer()];
        await scene.step(used, { x, dy }, { training });
        for (const layer of [fresh, used]) change(layer);
        const [want, got] = [
          await scene.step(fresh, { x, dy }, { training }),
          await scene.step(used, { x, dy }, { training }),
        ];
        checks.push(...same(training ? 'training' : 'inference', got, want));
      }
      return checks;
    },
  },
  {
    name: 'backward takes gamma as its forward had it',
    why: 'parameters and y may change in between',
    run: async (scene) => {
      const { x, dy } = scene.batch(1);
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const layer = scene.layer();
        const y = await scene.forward(layer, await scene.put(x), { training });
        const want = await scene.gradients(layer, dy);
        layer.gamma.fill(9);
        layer.beta.fill(-9);
        if ('data' in y) y.data.fill(7);
        else y.dispose();
        checks.push(...same(training ? 'training' : 'inference', await scene.gradients(layer, dy), want));
      }
      return checks;
    },
  },
  {
    name: 'parameters that a layer lacks are ones and zeros',
    why: 'gamma alone, beta alone or neither: nobody asks for their gradients, and dx is the same',
    run: async (scene) => {
      const batch = scene.batch(1);
      const checks: Check[] = [];
      for (const lacking of [{ affine: false }, { scale: false }, { center: false }]) {
        const [part, full] = [scene.layer(lacking), scene.layer()];
        full.gamma = part.gamma.length > 0 ? part.gamma : full.gamma.map(() => 1);
        full.beta = part.beta.length > 0 ? part.beta : full.beta.map(() => 0);
        for (const training of [true, false]) {
          const [got, want] = [
            await scene.step(part, batch, { training }),
            await scene.step(full, batch, { training }),
          ];
          const { y, dx } = want;
          const dgamma = part.gamma.length > 0 ? want.dgamma : new Float64Array(0);
          const dbeta = part.beta.length > 0 ? want.dbeta : new Float64Array(0);
          checks.push(
            ...same(`${Object.keys(lacking)} false, ${training ? 'training' : 'inference'}`, got, {
              y,
              dx,
              dgamma,
              dbeta,
            }),
          );
        }
      }
      return checks;
    },
  },
  {
    name: 'epsilon may be 0',
    why: 'a channel whose values are all the same is its beta, and has no gradient; the others are what they are with almost none',
    run: async (scene) => {
      const { shape, channels, dtype } = scene;
      const extent = extentOf(shape, 1);
      const constant = channels >> 1;
      const isConstant = (k: number) => channelOf(k, extent) === constant;
      const { x, dy } = scene.batch(1);
      const batch = { x: x.map((value, k) => (isConstant(k) ? 0.7 : value)), dy };
      const none = scene.layer({ epsilon: 0 });
      const got = await scene.step(none, batch);
      const almost = await scene.step(scene.layer({ epsilon: 1e-30 }), batch);
      const beta = dtype === 'float32' ? Math.fround(none.beta[constant]!) : none.beta[constant]!;
      const replaced = (values: FloatArray, value: number) => values.map((v, k) => (isConstant(k) ? value : v));
      return [
        identical('y', got.y, replaced(almost.y, beta)),
        // 0 and −0 are both right.
        identical('dx', replaced(got.dx, 0), replaced(almost.dx, 0)),
        identical(
          'dx of the constant channel',
          got.dx.filter((v, k) => isConstant(k) && v !== 0),
          [],
        ),
        identical('dgamma of the constant channel', [Math.abs(got.dgamma[constant]!)], [0]),
        identical('dbeta', got.dbeta, almost.dbeta),
      ];
    },
  },
  {
    name: 'a pass tells the statistics of its batch',
    why: 'and keeps them, whatever comes after it',
    run: async (scene) => {
      const layer = scene.layer({ momentum: 0 });
      const pass = async (n: number, training: boolean) => {
        const handle = await layer.forwardPass((await scene.put(scene.batch(n).x)) as Tensor, { training });
        scene.memory.own(handle.y);
        return handle;
      };
      const first = await pass(1, true);
      const { runningMean, runningVariance } = await layer.state();
      const second = await pass(2, true);
      await first.backward((await scene.put(scene.batch(1).dy)) as Tensor).then(({ dx }) => scene.memory.own(dx));
      const { mean, variance } = await first.statistics();
      const inference = await pass(1, false);
      const used = await inference.statistics();
      const latest = await layer.state();
      for (const one of [first, second, inference]) await one.dispose();
      return [
        identical('mean', mean, runningMean),
        identical('variance', variance, runningVariance),
        identical('mean of inference', used.mean, latest.runningMean),
        identical('variance of inference', used.variance, latest.runningVariance),
      ];
    },
  },
  {
    name: 'a batch without values may pass',
    why: 'the last part of a dataset may be empty: an empty y, gradients of nothing, and nothing has changed',
    exempt: notLarge('nothing has one size'),
    run: async (scene) => {
      const { channels, dtype, shape } = scene;
      const layer = scene.layer({ emptyBatch: 'pass' });
      await scene.y(layer, scene.batch(1).x);
      const before = await layer.state();
      const nothing = { x: allocate(dtype, 0), dy: allocate(dtype, 0) };
      const empty = [0, ...shape.slice(1)];
      const checks: Check[] = [];
      for (const training of [true, false]) {
        const got = await scene.step(layer, nothing, { training, shape: empty });
        const zeros = new Float64Array(channels);
        checks.push(
          ...same(training ? 'training' : 'inference', got, {
            y: nothing.x,
            dx: nothing.dy,
            dgamma: zeros,
            dbeta: zeros,
          }),
        );
      }
      const after = await layer.state();
      return [
        ...checks,
        identical('running mean', after.runningMean, before.runningMean),
        identical('batches tracked', [after.batchesTracked], [before.batchesTracked]),
      ];
    },
  },
  {
    name: 'each layer has its own epsilon',
    why: 'it is an argument of a call, not of the kernels',
    run: async (scene, { size }) => {
      const { x, dy } = scene.batch(1);
      const epsilons = [1e-5, 2];
      const want: Results[] = [];
      for (const epsilon of epsilons) want.push(await scene.step(scene.layer({ epsilon }), { x, dy }));
      const layers = epsilons.map((epsilon) => scene.layer({ epsilon }));
      const y = [];
      for (const layer of layers) y.push(await scene.y(layer, x));
      const checks: Check[] = y.map((values, n) => identical(`epsilon ${epsilons[n]}: y`, values, want[n]!.y));
      for (const [n, layer] of layers.entries()) {
        checks.push(...same(`epsilon ${epsilons[n]}`, await scene.gradients(layer, dy), want[n]!));
      }
      // Layers would agree with each other, too, if the backend used one epsilon for all.
      if (size === 'small') for (const epsilon of epsilons) checks.push(...(await againstOracle(scene, { epsilon })));
      return checks;
    },
  },
  {
    name: 'backward takes running statistics as its forward had them',
    why: 'an inference forward copies them: they change in place',
    run: async (scene) => {
      const [{ x, dy }, { x: x2 }] = [scene.batch(1), scene.batch(2)];
      const layer = scene.layer({ momentum: 0 });
      await scene.y(layer, x2);
      await scene.y(layer, x, { training: false });
      const want = await scene.gradients(layer, dy);
      const { channels: C } = scene;
      await layer.loadState({
        formatVersion: 1,
        numFeatures: C,
        gamma: Array(C).fill(3),
        beta: Array(C).fill(3),
        runningMean: Array(C).fill(5),
        runningVariance: Array(C).fill(100),
        batchesTracked: 1,
      });
      return same('after loadState()', await scene.gradients(layer, dy), want);
    },
  },
  {
    name: 'running statistics average the batches of training',
    why: 'in call order; inference leaves them alone and uses them as they are',
    run: async (scene) => {
      const { other } = scene;
      const layer = scene.layer({ momentum: 'cumulative' });
      const batches = [1, 2].map((n) => scene.batch(n));
      const alone: BatchNormState[] = [];
      for (const { x } of batches) {
        const once = scene.layer({ momentum: 0 });
        await scene.y(once, x);
        alone.push(await once.state());
      }
      for (const { x } of batches) await scene.y(layer, x);
      const before = await layer.state();
      const average = (name: 'runningMean' | 'runningVariance') =>
        alone[0]![name].map((value, c) => 0.5 * value + 0.5 * alone[1]![name][c]!);
      const one = await scene.y(layer, batches[0]!.x, { training: false });
      await scene.step(layer, scene.batch(3, other), { training: false, shape: other });
      const after = await layer.state();
      const restored = scene.layer({ momentum: 'cumulative' });
      await restored.loadState(JSON.parse(JSON.stringify(after)));
      return [
        identical('the mean of two batches', before.runningMean, average('runningMean')),
        identical('the variance of two batches', before.runningVariance, average('runningVariance')),
        identical('batches tracked', [before.batchesTracked], [2]),
        identical('running mean after inference', after.runningMean, before.runningMean),
        identical('running variance after inference', after.runningVariance, before.runningVariance),
        identical('batches tracked after inference', [after.batchesTracked], [2]),
        identical('y of a layer with this state', await scene.y(restored, batches[0]!.x, { training: false }), one),
      ];
    },
  },
];
