// What a backend does with buffers, calls and errors, beside computing right.
import {
  allocate,
  type Backend,
  BatchNorm,
  BatchNormError,
  type DeviceTensor,
  type Dtype,
  dtypeOf,
  type ErrorCode,
  type FloatArray,
  type Gradients,
  type Tensor,
} from '@batchnorm/core-api';
import { outcome } from './compare.js';
import type { Check, ConformanceCase, Subject } from './conformance-case.js';
import { bytesInArrays } from './memory.js';
import { normal, solve } from './problem.js';

/** Two batches of one shape, on rows and on runs. */
const shapes = [
  [21, 6],
  [3, 6, 7],
] as const;

function batchesOf(shape: readonly number[], dtype: Dtype): { x: Tensor; dy: Tensor; x2: Tensor; dy2: Tensor } {
  const { steps } = solve({
    name: `behaviour ${shape}`,
    why: '',
    shape,
    steps: 2,
    x: (random, _j, c) => c + normal(random),
  });
  const tensor = (data: ArrayLike<number>): Tensor => ({
    shape,
    data: dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data),
  });
  const [first, second] = steps;
  return {
    x: tensor(first!.x.data),
    dy: tensor(first!.dy!.data),
    x2: tensor(second!.x.data),
    dy2: tensor(second!.dy!.data),
  };
}

const copyOf = ({ data, shape }: Tensor): Tensor => ({ data: data.slice(), shape });
const filled = ({ data, shape }: Tensor, value: number): Tensor => ({ data: data.slice().fill(value), shape });

/** Equal to the bit: NaN is NaN, and 0 is not −0. */
function same(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  if (a.length !== b.length) return false;
  for (let k = 0; k < a.length; k++) if (!Object.is(a[k], b[k])) return false;
  return true;
}

const sameGradients = (a: Gradients, b: Gradients) =>
  same(a.dx.data, b.dx.data) && same(a.dgamma, b.dgamma) && same(a.dbeta, b.dbeta);

function check(what: string, holds: boolean): Check {
  return outcome(what, holds, ': it does not hold');
}

/** A check that `attempt` fails with `code`. */
async function fails(what: string, code: ErrorCode, attempt: () => unknown): Promise<Check> {
  try {
    await attempt();
    return outcome(what, false, `: received no error, expected ${code}`);
  } catch (error) {
    const received = error instanceof BatchNormError ? error.code : String(error);
    return outcome(what, received === code, `: received ${received}, expected ${code}`);
  }
}

type Batches = ReturnType<typeof batchesOf>;
type Body = (newLayer: (options?: object) => BatchNorm, batches: Batches, subject: Subject) => Promise<Check[]>;

/** A behaviour, on both shapes; every layer that it makes is disposed. */
function behaviour(name: string, why: string, body: Body): ConformanceCase {
  return {
    group: 'behaviour',
    source: 'behaviour',
    name,
    why,
    run: async (subject) => {
      const checks: Check[] = [];
      for (const shape of shapes) {
        const layers: BatchNorm[] = [];
        const newLayer = (options: object = {}) => {
          const { backend, dtype } = subject;
          const layer = new BatchNorm({ backend, dtype, numFeatures: shape[1], ...options });
          layer.gamma.forEach((_, c, gamma) => {
            gamma[c] = 1 + c / 8;
          });
          layer.beta.forEach((_, c, beta) => {
            beta[c] = c / 4;
          });
          layers.push(layer);
          return layer;
        };
        for (const one of await body(newLayer, batchesOf(shape, subject.dtype), subject)) {
          checks.push({ ...one, what: `[${shape}] ${one.what}` });
        }
        for (const layer of layers) await layer.dispose();
      }
      return checks;
    },
  };
}

export const behaviourCases: readonly ConformanceCase[] = [
  behaviour('inputs are never written', 'x, dy and parameters are the caller’s', async (newLayer, { x, dy }) => {
    const layer = newLayer();
    const before = { x: x.data.slice(), dy: dy.data.slice(), gamma: layer.gamma.slice(), beta: layer.beta.slice() };
    for (const training of [true, false]) {
      await layer.forward(x, { training });
      await layer.backward(dy);
    }
    return [
      check('x', same(x.data, before.x)),
      check('dy', same(dy.data, before.dy)),
      check('gamma', same(layer.gamma, before.gamma)),
      check('beta', same(layer.beta, before.beta)),
    ];
  }),

  behaviour(
    'inference leaves running statistics alone',
    'only training updates them',
    async (newLayer, { x, x2, dy2 }) => {
      const layer = newLayer();
      await layer.forward(x);
      const before = await layer.state();
      await layer.forward(x2, { training: false });
      await layer.backward(dy2);
      const after = await layer.state();
      return [
        check('runningMean', same(after.runningMean, before.runningMean)),
        check('runningVariance', same(after.runningVariance, before.runningVariance)),
        check('batchesTracked', after.batchesTracked === before.batchesTracked),
      ];
    },
  ),

  behaviour('out receives the results', 'a training loop allocates nothing', async (newLayer, { x, dy }) => {
    const [fresh, reusing] = [newLayer(), newLayer()];
    const checks: Check[] = [];
    for (const training of [true, false]) {
      const mode = training ? 'training' : 'inference';
      const y = await fresh.forward(x, { training });
      const gradients = await fresh.backward(dy);
      const out = filled(x, 7);
      const buffers = {
        dx: filled(x, 7),
        dgamma: gradients.dgamma.slice().fill(7),
        dbeta: gradients.dbeta.slice().fill(7),
      };
      const gotY = await reusing.forward(x, { training, out });
      const got = await reusing.backward(dy, { out: buffers });
      checks.push(
        check(`${mode}: y is in out`, gotY === out && same(out.data, y.data)),
        check(`${mode}: gradients are in out`, got.dx === buffers.dx && sameGradients(got, gradients)),
        check(
          `${mode}: dgamma and dbeta are the given arrays`,
          got.dgamma === buffers.dgamma && got.dbeta === buffers.dbeta,
        ),
      );
    }
    return checks;
  }),

  behaviour(
    'works in place where the contract says so',
    'y over x in inference, dx over dy',
    async (newLayer, { x, dy }) => {
      const layer = newLayer();
      await layer.forward(x);
      const gradients = await layer.backward(dy);
      const gradientInPlace = copyOf(dy);
      await layer.backward(gradientInPlace, { out: { dx: gradientInPlace } });
      const y = await layer.forward(x, { training: false });
      const inPlace = copyOf(x);
      await layer.forward(inPlace, { training: false, out: inPlace });
      return [
        check('dx over dy', same(gradientInPlace.data, gradients.dx.data)),
        check('y over x', same(inPlace.data, y.data)),
        await fails('no backward after it: x is gone', 'FORWARD_REQUIRED', () => layer.backward(dy)),
      ];
    },
  ),

  behaviour(
    'same input, same bits',
    'twice, and after other work, if it says that it is deterministic',
    async (newLayer, { x, dy, x2, dy2 }, { backend }) => {
      if (!backend.capabilities.deterministic) return [check('it does not say so', true)];
      const layer = newLayer();
      const run = async () => ({ y: await layer.forward(x), gradients: await layer.backward(dy) });
      const first = await run();
      const again = await run();
      await layer.forward(x2);
      await layer.backward(dy2);
      await layer.forward(x2, { training: false });
      const later = await run();
      return [
        check('twice', same(again.y.data, first.y.data) && sameGradients(again.gradients, first.gradients)),
        check('after other work', same(later.y.data, first.y.data) && sameGradients(later.gradients, first.gradients)),
      ];
    },
  ),

  behaviour(
    'two layers on one backend, interleaved',
    'each has a forward of its own',
    async (newLayer, { x, dy, x2, dy2 }) => {
      const alone = newLayer();
      const wantY = await alone.forward(x);
      const want = await alone.backward(dy);
      const [a, b] = [newLayer(), newLayer()];
      const y = await a.forward(x);
      await b.forward(x2);
      const gradients = await a.backward(dy);
      await b.backward(dy2);
      return [check('y', same(y.data, wantY.data)), check('gradients', sameGradients(gradients, want))];
    },
  ),

  behaviour(
    'overlapping calls take effect in call order',
    'also when nobody awaited',
    async (newLayer, { x, dy, x2, dy2 }) => {
      const [inTurn, overlapping] = [newLayer(), newLayer()];
      const want = {
        y: await inTurn.forward(x),
        gradients: await inTurn.backward(dy),
        y2: await inTurn.forward(x2),
        gradients2: await inTurn.backward(dy2),
        state: await inTurn.state(),
      };
      const [y, gradients, y2, gradients2, state] = await Promise.all([
        overlapping.forward(x),
        overlapping.backward(dy),
        overlapping.forward(x2),
        overlapping.backward(dy2),
        overlapping.state(),
      ]);
      return [
        check('y', same(y.data, want.y.data) && same(y2.data, want.y2.data)),
        check('gradients', sameGradients(gradients, want.gradients) && sameGradients(gradients2, want.gradients2)),
        check('running statistics', same(state.runningMean, want.state.runningMean)),
      ];
    },
  ),

  behaviour(
    'backward belongs to its forward',
    'again gives the same; parameters and buffers may change',
    async (newLayer, { x, dy, x2 }) => {
      const layer = newLayer();
      const y = await layer.forward(x);
      const want = await layer.backward(dy);
      const again = await layer.backward(dy);
      y.data.fill(7);
      layer.gamma.fill(9);
      const changed = await layer.backward(dy);
      const bad = copyOf(x2);
      bad.data[0] = Number.NaN;
      const refused = await fails('NaN in training', 'NON_FINITE_STATISTICS', () => layer.forward(bad));
      return [
        check('again', sameGradients(again, want)),
        check('after gamma and y changed', sameGradients(changed, want)),
        refused,
        check('after a forward that failed', sameGradients(await layer.backward(dy), want)),
      ];
    },
  ),

  behaviour('the gradient is that of the latest forward', 'not of one before it', async (newLayer, { x, x2, dy2 }) => {
    const [fresh, used] = [newLayer(), newLayer()];
    await fresh.forward(x2);
    await used.forward(x);
    await used.backward(dy2);
    await used.forward(x2);
    return [check('gradients', sameGradients(await used.backward(dy2), await fresh.backward(dy2)))];
  }),

  behaviour('a call that fails changes nothing', 'not even out', async (newLayer, { x }) => {
    const layer = newLayer();
    await layer.forward(x);
    const before = await layer.state();
    const bad = copyOf(x);
    bad.data[bad.data.length - 1] = Number.POSITIVE_INFINITY;
    const out = filled(x, 7);
    const refused = await fails('infinity in training', 'NON_FINITE_STATISTICS', () => layer.forward(bad, { out }));
    const after = await layer.state();
    return [
      refused,
      check('out', same(out.data, filled(x, 7).data)),
      check(
        'running statistics',
        same(after.runningMean, before.runningMean) && same(after.runningVariance, before.runningVariance),
      ),
    ];
  }),

  ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((value) =>
    behaviour(
      `${value} stays in its channel`,
      'through batch statistics, and through running ones in its element',
      async (newLayer, { x, dy }) => {
        const C = x.shape[1]!;
        const inner = x.shape[2] ?? 1;
        const channelOf = (k: number) => Math.floor(k / inner) % C;
        const bad = copyOf(x);
        bad.data[inner] = value;
        const others = (got: FloatArray, want: FloatArray) =>
          got.every((v: number, k: number) => channelOf(k) === 1 || Object.is(v, want[k]));
        const free = newLayer({ trackRunningStatistics: false });
        const want = { y: await free.forward(x), gradients: await free.backward(dy) };
        const y = await free.forward(bad);
        const { dx, dgamma } = await free.backward(dy);
        const tracked = newLayer();
        await tracked.forward(x);
        const wantInference = await tracked.forward(x, { training: false });
        const inference = await tracked.forward(bad, { training: false });
        return [
          check('y of other channels', others(y.data, want.y.data)),
          check(
            'y of its channel',
            y.data.every((v: number, k: number) => channelOf(k) !== 1 || Number.isNaN(v)),
          ),
          check('dx of other channels', others(dx.data, want.gradients.dx.data)),
          check(
            'dgamma of other channels',
            dgamma.every((v, c) => c === 1 || Object.is(v, want.gradients.dgamma[c])),
          ),
          check(
            'inference: y of other elements',
            inference.data.every((v: number, k: number) => k === inner || Object.is(v, wantInference.data[k])),
          ),
          check('inference: y of its element', Object.is(inference.data[inner], value)),
        ];
      },
    ),
  ),

  behaviour(
    '1,000 steps leave nothing behind',
    'and give the same bits as one',
    async (newLayer, { x, dy }, { backend }) => {
      const layer = newLayer();
      const y = await layer.forward(x);
      const gradients = await layer.backward(dy);
      const out = { y: copyOf(y), dx: copyOf(gradients.dx) };
      const steps = async (count: number) => {
        for (let n = 0; n < count; n++) {
          await layer.forward(x, { out: out.y });
          await layer.backward(dy, { out: { dx: out.dx } });
        }
      };
      await steps(100);
      const before = await bytesInArrays();
      await steps(1000);
      const growth = ((await bytesInArrays()) ?? 0) - (before ?? 0);
      const bits =
        !backend.capabilities.deterministic || (same(out.y.data, y.data) && same(out.dx.data, gradients.dx.data));
      return [
        check('same bits', bits),
        // A quarter of what it would be, had every step kept one activation.
        outcome('no growth', growth < x.data.byteLength * 250, `: ${growth} bytes more in typed arrays`),
      ];
    },
  ),

  behaviour(
    'device tensors',
    'as the host computes, or UNSUPPORTED where the capabilities say so',
    async (newLayer, { x, dy }, { backend }) => {
      const layer = newLayer();
      const foreign = {
        backend: {},
        dtype: 'float32',
        shape: x.shape,
        disposed: false,
        read: () => x.data,
        dispose() {},
      };
      const refused = await fails('another backend’s', 'FOREIGN_TENSOR', () => layer.forward(foreign as never));
      if (!backend.capabilities.deviceTensors) {
        return [refused, await fails('upload', 'UNSUPPORTED', () => backend.upload(x))];
      }
      return [refused, ...(await deviceChecks(backend, layer, newLayer(), x, dy))];
    },
  ),

  behaviour(
    'limits.elements',
    'more are refused before anything runs, and the next call works',
    async (newLayer, { x }, { backend }) => {
      const { elements } = backend.capabilities.limits;
      let prepared = 0;
      const small = withLimit(backend, x.data.length - 1, () => prepared++);
      const layer = newLayer({ backend: small });
      return [
        check('a whole number', Number.isSafeInteger(elements) && elements > 0),
        await fails('one element too many', 'LIMIT_EXCEEDED', () => layer.forward(x)),
        check('nothing was prepared', prepared === 0),
        ...(elements < mostElementsToTry ? await limitChecks(backend, newLayer(), x) : []),
      ];
    },
  ),

  {
    group: 'behaviour',
    source: 'behaviour',
    name: 'a disposed backend',
    why: 'dispose twice is allowed; every other call is DISPOSED',
    inapplicable: ({ create }) =>
      create ? undefined : 'it needs a factory: the backend that was given is not disposed',
    run: async ({ create, dtype }) => {
      const backend = await create!();
      const { x, dy } = batchesOf(shapes[0], dtype);
      const layer = new BatchNorm({ backend, dtype, numFeatures: shapes[0][1] });
      await layer.forward(x);
      await backend.dispose();
      await backend.dispose();
      return [
        await fails('forward', 'DISPOSED', () => layer.forward(x)),
        await fails('backward', 'DISPOSED', () => layer.backward(dy)),
        await fails('upload', 'DISPOSED', () => backend.upload(x)),
        await fails('prepare', 'DISPOSED', () =>
          backend.prepare({ extent: { outer: 1, channels: 1, inner: 1 }, dtype }),
        ),
      ];
    },
  },
];

/** The backend, saying that it holds no more than so many elements. */
function withLimit(backend: Backend, elements: number, onPrepare: () => void): Backend {
  const { contractVersion, name, capabilities, execution } = backend;
  return {
    contractVersion,
    name,
    capabilities: { ...capabilities, limits: { elements } },
    execution,
    prepare: (plan) => {
      onPrepare();
      return backend.prepare(plan);
    },
    upload: (tensor) => backend.upload(tensor),
    dispose() {},
  };
}

/** A tensor beyond a backend's own limit is made where it takes no more than 256 MiB. */
const mostElementsToTry = 2 ** 25;

async function limitChecks(backend: Backend, layer: BatchNorm, x: Tensor): Promise<Check[]> {
  const channels = x.shape[1]!;
  const { elements } = backend.capabilities.limits;
  const length = (Math.floor(elements / channels) + 1) * channels;
  const tooLarge = { data: allocate(dtypeOf(x.data), length), shape: [length / channels, channels] };
  const y = await layer.forward(x);
  return [
    await fails('forward beyond it', 'LIMIT_EXCEEDED', () => layer.forward(tooLarge)),
    ...(backend.capabilities.deviceTensors
      ? [await fails('upload beyond it', 'LIMIT_EXCEEDED', () => backend.upload(tooLarge))]
      : []),
    check('the next call works', same((await layer.forward(x)).data, y.data)),
  ];
}

async function deviceChecks(
  backend: Backend,
  layer: BatchNorm,
  host: BatchNorm,
  x: Tensor,
  dy: Tensor,
): Promise<Check[]> {
  const upload = async (tensor: Tensor): Promise<DeviceTensor> => backend.upload(tensor);
  const [xThere, dyThere] = [await upload(x), await upload(dy)];
  const roundTrip = same(await xThere.read(), x.data);
  const checks: Check[] = [check('what is uploaded is read back', roundTrip)];
  for (const training of [true, false]) {
    const mode = training ? 'training' : 'inference';
    const want = { y: await host.forward(x, { training }), ...(await host.backward(dy)) };
    const y = await layer.forward(xThere, { training });
    const { dx, dgamma, dbeta } = await layer.backward(dyThere);
    checks.push(
      check(`${mode}: y`, same(await y.read(), want.y.data)),
      check(`${mode}: dx`, same(await dx.read(), want.dx.data)),
      check(
        `${mode}: dgamma and dbeta`,
        same(await dgamma.read(), want.dgamma) && same(await dbeta.read(), want.dbeta),
      ),
    );
    for (const result of [y, dx, dgamma, dbeta]) result.dispose();
  }
  const [state, wanted] = [await layer.state(), await host.state()];
  checks.push(check('running statistics', same(state.runningMean, wanted.runningMean)));
  xThere.dispose();
  xThere.dispose();
  checks.push(await fails('a disposed one', 'DISPOSED', () => layer.forward(xThere)));
  dyThere.dispose();
  return checks;
}
