// Residuals and ReLU: what is added, what passes, and what becomes of it in the gradients.
import {
  type DeviceTensor,
  type ErrorCode,
  extentOf,
  type FloatArray,
  type Gradients,
  type Tensor,
} from '@batchnorm/core-api';
import { channelOf } from '../../channels.js';
import { type Check, identical, outcome } from '../../compare.js';
import type { SizeClass } from '../../conformance-case.js';
import { refuses } from '../../expect-refusal.js';
import type { Activation } from '../../memory/activation-memory.js';
import { againstOracle, isRectified } from '../against-oracle.js';
import { moreShapes, shapesOf } from '../extents.js';
import { notLarge, type Rule } from '../rule.js';
import { Scene, same } from '../scene.js';

const anySize = notLarge('each element has its own, and other rules try many of them');

const modes = ['training', 'inference'] as const;

export const residualRules: readonly Rule[] = [
  {
    name: 'residuals and ReLU are within their bounds',
    why: 'each alone and both, in training and inference; gradients have the gates of their y, dresidual to the bit',
    run: async (scene, { memory, layout, size }, subject) => {
      const checks: Check[] = [];
      const both = async (one: Scene) => againstOracle(one, { residual: one.batch(2).x, activation: 'relu' });
      checks.push(...(await both(scene)));
      if (size === 'small' || size === 'blocks') {
        for (const [what, trial] of [
          ['ReLU alone', { activation: 'relu' }],
          ['a residual alone', { residual: scene.batch(2).x }],
        ] as const) {
          await scene.disposeLayers();
          for (const one of await againstOracle(scene, trial)) checks.push({ ...one, what: `${what}, ${one.what}` });
        }
      }
      // A whole number of vectors and blocks; those of the scene have some left.
      const isFirst = size !== 'rows or channels' && scene.shape === shapesOf[layout][size][0]!.shape;
      const even = moreShapes[layout][size].find((shape) => shape.every((n) => Number.isInteger(Math.log2(n))));
      if (isFirst && even) {
        const another = new Scene(subject, memory, { shape: even, other: even });
        try {
          const found = [...(await both(another)), another.surroundings()];
          for (const one of found) checks.push({ ...one, what: `[${even}] ${one.what}` });
        } finally {
          await another.dispose();
        }
      }
      return checks;
    },
  },
  {
    name: 'ReLU is 0 where z is 0 or −0, and lets NaN through',
    why: 'so is g; what dy is where nothing passes does not show, NaN even',
    run: async (scene, { size }) => {
      const checks: Check[] = [];
      for (const mode of modes) checks.push(...(await atTheKink(scene, mode === 'training')));
      if (size === 'small' || size === 'blocks') {
        for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
          checks.push(...(await inTheResidual(scene, value)), ...(await whereNothingPasses(scene, value)));
          await scene.disposeLayers();
        }
      }
      return checks;
    },
  },
  {
    name: 'dresidual is the caller’s',
    why: 'in out or new, whatever was there; no other result shares its memory, and no later call changes it',
    run: async (scene, { size }) => {
      const checks: Check[] = [];
      const { x, dy } = scene.batch(1);
      const residual = scene.batch(2).x;
      const activations = size === 'small' ? (['none', 'relu'] as const) : (['relu'] as const);
      for (const activation of activations) {
        for (const mode of isLarge(size) ? (['training'] as const) : modes) {
          const options = { training: mode === 'training', residual };
          const [fresh, layer] = [scene.layer({ activation, momentum: 0 }), scene.layer({ activation, momentum: 0 })];
          const want = await scene.step(fresh, { x, dy }, options);
          const [putX, putDy, putResidual] = await Promise.all([x, dy, residual].map((values) => scene.put(values)));
          const forward = { training: options.training, residual: putResidual };
          const y = await scene.forward(layer, putX!, { ...forward, out: await scene.junk(7) });
          const what = `${activation}, ${mode}`;
          const into = async (name: string, out: Partial<Record<keyof Gradients, Activation>>, upstream = putDy!) => {
            const gradients = await scene.backward(layer, upstream, out);
            const { dresidual } = gradients;
            if (out.dresidual) checks.push(is(`${what}: dresidual is out.dresidual`, dresidual === out.dresidual));
            checks.push(...same(`${what}, into ${name}`, await scene.read(gradients), gradientsOf(want)));
            return dresidual as Activation;
          };
          const made = await into('nothing', {});
          await into('out.dresidual', { dresidual: await scene.junk() });
          await into('out.dresidual and out.dx', { dresidual: await scene.junk(7), dx: await scene.junk() });
          const over = await scene.put(dy);
          await into('out.dresidual beside dx over dy', { dresidual: await scene.junk(), dx: over }, over);
          // Without ReLU y is not needed any more: dresidual may lie there.
          const again = await into('y', { dresidual: y });
          checks.push(
            identical(`${what}: x`, await scene.memory.read(putX!), x),
            identical(`${what}: dy`, await scene.memory.read(putDy!), dy),
            identical(`${what}: residual`, await scene.memory.read(putResidual!), residual),
          );
          await scene.refill(again, x);
          checks.push(
            identical(`${what}: the first dresidual`, await scene.memory.read(made), want.dresidual ?? []),
            identical(`${what}: dy, when dresidual is written to`, await scene.memory.read(putDy!), dy),
          );
          await scene.refill(made, x);
          checks.push(
            identical(`${what}: dy, when a new dresidual is written to`, await scene.memory.read(putDy!), dy),
            ...same(`${what}, afterwards`, await scene.read(await scene.backward(layer, putDy!)), gradientsOf(want)),
          );
        }
      }
      return checks;
    },
  },
  {
    name: 'a residual is that of its forward',
    why: 'whatever other forwards have; with ReLU it is lent until the backward, without it may change at once',
    exempt: anySize,
    run: async (scene) => {
      const checks: Check[] = [];
      const { x, dy } = scene.batch(1);
      const residuals = [scene.batch(2).x, undefined, scene.batch(3).x];
      for (const activation of ['none', 'relu'] as const) {
        const want = [];
        for (const residual of residuals)
          want.push(await scene.step(scene.layer({ activation }), { x, dy }, { residual }));
        const layer = scene.layer({ activation });
        const put = await scene.put(x);
        const passes = [];
        for (const values of residuals) {
          const residual = values && ((await scene.put(values)) as Tensor);
          const pass = await layer.forwardPass(put as Tensor, residual && { residual });
          scene.memory.own(pass.y);
          passes.push(pass);
        }
        for (const n of [1, 2, 0]) {
          const gradients = await passes[n]!.backward((await scene.put(dy)) as Tensor);
          for (const result of Object.values(gradients)) scene.memory.own(result);
          const got = { y: await scene.memory.read<FloatArray>(passes[n]!.y), ...(await scene.read(gradients)) };
          checks.push(
            ...same(`${activation}, pass ${n}`, got, want[n]!),
            outcome(
              `${activation}, pass ${n}: dresidual`,
              (gradients.dresidual !== undefined) === (residuals[n] !== undefined),
              ': received one without a residual, or none with one',
            ),
          );
        }
        const lent = await scene.put(residuals[0]!);
        await scene.forward(layer, put, { residual: lent });
        await scene.refill(lent, x);
        const backward = async () => scene.backward(layer, await scene.put(dy));
        if (activation === 'relu')
          checks.push(await refuses('a lent residual that has changed', 'INPUT_CHANGED', backward));
        else
          checks.push(
            ...same('a residual that has changed', await scene.read(await backward()), gradientsOf(want[0]!)),
          );
        if ('dispose' in lent && activation === 'relu') {
          const gone = (await scene.put(residuals[0]!)) as DeviceTensor;
          await scene.forward(layer, put, { residual: gone });
          gone.dispose();
          checks.push(await refuses('a lent residual that is disposed', 'FORWARD_REQUIRED', backward));
        }
      }
      return checks;
    },
  },
  {
    name: 'a wrong residual is refused',
    why: 'another shape, dtype, memory or backend, or memory that a result is to have: and the layer is as it was',
    exempt: anySize,
    run: async (scene) => {
      const { shape, dtype, backend } = scene;
      const { x, dy } = scene.batch(1);
      const [layer, fresh] = [scene.layer({ activation: 'relu' }), scene.layer({ activation: 'relu' })];
      for (const one of [layer, fresh]) await scene.y(one, x, { residual: scene.batch(2).x });
      const [put, putDy] = [await scene.put(x), await scene.put(dy)];
      const out = await scene.junk(7);
      const before = await scene.memory.read(out);
      const less = shape.with(0, shape[0]! - 1);
      const part = x.slice(
        0,
        less.reduce((a, b) => a * b, 1),
      );
      const otherDtype = dtype === 'float32' ? Float64Array.from(x) : Float32Array.from(x);
      const foreign = { backend: {}, dtype, shape, disposed: false, read: () => x, dispose() {} };
      const given: (readonly [string, ErrorCode, unknown])[] = [
        ['another shape', 'SHAPE_MISMATCH', await scene.put(part, less)],
        ['a tensor of another backend', 'FOREIGN_TENSOR', foreign],
        ['no tensor', 'INVALID_TENSOR', 1],
      ];
      if (scene.memory.onHost) given.push(['another dtype', 'DTYPE_MISMATCH', { data: otherDtype, shape }]);
      if (backend.capabilities.deviceTensors) {
        const there = scene.memory.onHost ? await backend.upload({ data: x, shape }) : { data: x, shape };
        given.push(['other memory than x', 'INVALID_TENSOR', there]);
      }
      const checks: Check[] = [];
      for (const [what, code, residual] of given) {
        for (const mode of modes) {
          const request = { training: mode === 'training', residual: residual as Activation, out };
          checks.push(await refuses(`${what}, ${mode}`, code, () => scene.forward(layer, put, request)));
        }
        const isUploaded = scene.memory.onHost && what === 'other memory than x';
        if (isUploaded) (residual as DeviceTensor).dispose();
      }
      const residual = await scene.put(x);
      checks.push(
        await refuses('out over the residual', 'INVALID_TENSOR', () =>
          scene.forward(layer, put, { residual, out: residual }),
        ),
        await refuses('out.dresidual over dy', 'INVALID_TENSOR', () =>
          scene.backward(layer, putDy, { dresidual: putDy }),
        ),
        await refuses('out.dresidual over out.dx', 'INVALID_TENSOR', () =>
          scene.backward(layer, putDy, { dresidual: out, dx: out }),
        ),
        await refuses('out.dresidual of another shape', 'SHAPE_MISMATCH', async () =>
          scene.backward(layer, putDy, { dresidual: await scene.junk(0, less) }),
        ),
      );
      const [state, expected] = [await layer.state(), await fresh.state()];
      checks.push(
        identical('out', await scene.memory.read(out), before),
        identical('running mean', state.runningMean, expected.runningMean),
        outcome('batches tracked', state.batchesTracked === 1, `: received ${state.batchesTracked}, expected 1`),
        ...same('the forward before', await scene.gradients(layer, dy), await scene.gradients(fresh, dy)),
      );
      await scene.forward(layer, put);
      checks.push(
        await refuses('out.dresidual without a residual', 'INVALID_OPTION', () =>
          scene.backward(layer, putDy, { dresidual: out }),
        ),
        identical('out.dresidual', await scene.memory.read(out), before),
      );
      return checks;
    },
  },
];

const isLarge = (size: SizeClass) => size === 'elements' || size === 'rows or channels';

const gradientsOf = ({ y: _, ...gradients }: Awaited<ReturnType<Scene['step']>>) => gradients;

const is = (what: string, holds: boolean): Check =>
  outcome(what, holds, ': received another object, expected the one that was given');

/**
 * gamma and beta are 0, so that z is the residual: 0, −0, NaN and numbers of either sign, in turn. No rounding decides
 * anything here.
 */
async function atTheKink(scene: Scene, training: boolean): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const layer = scene.layer({ activation: 'relu' });
  layer.gamma.fill(0);
  layer.beta.fill(0);
  const values = [
    0,
    -0,
    1,
    -1,
    Number.NaN,
    2 ** -126,
    -(2 ** -126),
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ];
  const residual = x.map((_, k) => values[k % values.length]!);
  const passes = residual.map((z) => (z <= 0 ? 0 : 1));
  const { y, dresidual = new Float64Array(0), dbeta } = await scene.step(layer, { x, dy }, { training, residual });
  const what = training ? 'training' : 'inference';
  const dyWhere = dy.map((value: number, k: number) => (passes[k] === 1 ? value : 0));
  const none = dbeta.findIndex((value) => !Number.isFinite(value));
  return [
    identical(
      `${what}: y`,
      y,
      residual.map((z: number, k: number) => (passes[k] === 1 ? z : 0)),
    ),
    identical(`${what}: dresidual`, dresidual, dyWhere),
    outcome(`${what}: dbeta`, none < 0, `[${none}]: received ${dbeta[none]}, expected a finite number`),
  ];
}

/** `value` in one element of the residual: statistics do not hear of it, and y elsewhere does not. */
async function inTheResidual(scene: Scene, value: number): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const residual = scene.batch(2).x;
  const at = x.length >> 1;
  const checks: Check[] = [];
  for (const activation of ['none', 'relu'] as const) {
    for (const mode of modes) {
      const training = mode === 'training';
      const [well, ill] = [scene.layer({ activation }), scene.layer({ activation })];
      const want = await scene.step(well, { x, dy }, { training, residual });
      const got = await scene.step(ill, { x, dy }, { training, residual: withValue(residual, at, value) });
      for (const layer of [well, ill]) await layer.settle();
      const what = `${activation}, ${mode}, ${value} in the residual`;
      const y = activation === 'relu' && value < 0 ? 0 : value;
      const passes = activation === 'none' || !(value < 0);
      checks.push(
        identical(`${what}: y`, got.y, withValue(want.y, at, y)),
        identical(`${what}: dresidual`, got.dresidual ?? [], withValue(want.dresidual!, at, passes ? dy[at]! : 0)),
        identical(`${what}: running mean`, ill.runningMean, well.runningMean),
      );
      if (activation === 'relu') checks.push(isRectified(`${what}: y`, got.y));
      await scene.disposeLayers();
    }
  }
  return checks;
}

/** dy is `value` in an element that ReLU does not let through: all gradients are what they are of another dy there. */
async function whereNothingPasses(scene: Scene, value: number): Promise<Check[]> {
  const { x, dy } = scene.batch(1);
  const at = x.length >> 1;
  const extent = extentOf(scene.shape, 1);
  const checks: Check[] = [];
  for (const mode of modes) {
    const layer = scene.layer({ activation: 'relu' });
    const residual = withValue(scene.batch(2).x, at, -1e4);
    const options = { training: mode === 'training', residual };
    const want = await scene.step(layer, { x, dy }, options);
    const got = await scene.gradients(layer, withValue(dy, at, value));
    const what = `${mode}, dy of ${value} in channel ${channelOf(at, extent)} where nothing passes`;
    checks.push(...same(what, got, gradientsOf(want)));
  }
  return checks;
}

function withValue(values: FloatArray, at: number, value: number): FloatArray {
  const copy = values.slice();
  copy[at] = value;
  return copy;
}
