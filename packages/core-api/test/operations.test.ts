// Operations as sequences of stages: which follows which, what each of them gets, and that nothing stays on a device.
import { describe, expect, it } from 'vitest';
import {
  type BackwardInput,
  type DeviceMemory,
  type ForwardTrainingInput,
  type HostMemory,
  type Memory,
  operationsOf,
  type Stages,
} from '../src/index.js';
import { expectError, filled, tensor } from './inputs.js';
import { ReferenceBackend } from './reference-backend.js';

const extent = { outer: 4, channels: 3, inner: 1 };
const shape = [4, 3];
const names = ['moments', 'normalize', 'gradientSums', 'inputGradient'] as const;
type Stage = (typeof names)[number];

/** A stage that was called, with what it got and gave. */
interface Call {
  readonly name: Stage;
  readonly input: Record<string, unknown>;
  output?: unknown;
}

/** The same stages, which write down every call. `spoil` comes before each: it may throw, or wait. */
function watched<M extends Memory>(stages: Stages<M>, spoil: (name: Stage) => unknown = () => undefined) {
  const calls: Call[] = [];
  const watch = (name: Stage) => [
    name,
    (input: never) => {
      const call: Call = { name, input };
      calls.push(call);
      const run = () => stages[name](input);
      const given = (output: unknown) => {
        call.output = output;
        return output;
      };
      const before = spoil(name);
      const result: unknown = before instanceof Promise ? before.then(run) : run();
      return result instanceof Promise ? result.then(given) : given(result);
    },
  ];
  return { calls, stages: Object.fromEntries(names.map(watch)) as unknown as Stages<M> };
}

const gamma = Float64Array.of(2, -1, 3);
const beta = Float64Array.of(1, 0, -1);
const vectors = { gamma, beta, epsilon: 1e-3 };
const given = { mean: Float64Array.of(1, 2, 3), variance: Float64Array.of(4, 5, 6) };

interface Scene<M extends Memory> {
  readonly backend: ReferenceBackend;
  readonly stages: Stages<M>;
  readonly forward: ForwardTrainingInput<M>;
  readonly gradient: Omit<BackwardInput<M>, 'saved'>;
}

function onHost(): Scene<HostMemory> {
  const backend = new ReferenceBackend();
  const [x, y, dy, dx] = [1, 2, 3, 4].map((seed) => filled(shape, seed).data);
  return {
    backend,
    stages: backend.prepare({ extent, dtype: 'float32' }),
    forward: { x: x!, y: y!, ...vectors, requireFinite: false },
    gradient: { dy: dy!, dx: dx!, dgamma: new Float64Array(3), dbeta: new Float64Array(3), parameterGradients: true },
  };
}

function onDevice(): Scene<DeviceMemory> {
  const backend = new ReferenceBackend();
  const [x, y, dy, dx] = [1, 2, 3, 4].map((seed) => backend.upload(filled(shape, seed)));
  return {
    backend,
    stages: backend.prepare({ extent, dtype: 'float32' }).device!,
    forward: { x: x!, y: y!, ...vectors, requireFinite: false },
    gradient: { dy: dy!, dx: dx!, dgamma: undefined, dbeta: undefined, parameterGradients: true },
  };
}

describe.each([
  ['host', onHost],
  ['device', onDevice],
] as [string, () => Scene<Memory>][])('operations on the %s', (_memory, sceneOf) => {
  it('training: moments, then normalize by them', async () => {
    const scene = sceneOf();
    const { calls, stages } = watched(scene.stages);
    const output = await operationsOf(stages).forwardTraining(scene.forward);
    expect(calls.map(({ name }) => name)).toEqual(['moments', 'normalize']);
    const [moments, normalize] = calls;
    const { x, y } = scene.forward;
    expect(moments!.input).toMatchObject({ x, epsilon: vectors.epsilon });
    expect(normalize!.input).toEqual({ x, y, ...vectors, by: { batch: moments!.output } });
    expect(output).toEqual({ ...(normalize!.output as object), moments: moments!.output });
    expect(output.y).toBe(y);
  });

  it('training reads gamma and beta before it waits for moments', async () => {
    const { stages, forward } = sceneOf();
    const { calls, stages: observed } = watched(stages);
    const [own, other] = [gamma.slice(), beta.slice()];
    const output = operationsOf(observed).forwardTraining({ ...forward, gamma: own, beta: other });
    own.fill(Number.NaN);
    other.fill(Number.NaN);
    await output;
    expect(calls[1]!.input).toMatchObject({ gamma, beta });
  });

  it('inference: normalize by what is given', async () => {
    const scene = sceneOf();
    const { calls, stages } = watched(scene.stages);
    const { requireFinite: _, ...forward } = scene.forward;
    const output = await operationsOf(stages).forwardInference({ ...forward, ...given });
    expect(calls.map(({ name }) => name)).toEqual(['normalize']);
    expect(calls[0]!.input).toEqual({ ...forward, by: { given } });
    expect(output).toBe(calls[0]!.output);
  });

  it.each([
    ['through the statistics', 'backwardTraining', true],
    ['through the statistics, for dx alone', 'backwardTraining', false],
    ['with constant statistics', 'backwardInference', true],
  ] as const)('backward %s: gradientSums, then inputGradient', async (_name, operation, parameterGradients) => {
    const scene = sceneOf();
    const { calls, stages } = watched(scene.stages);
    const { saved } = await operationsOf(scene.stages).forwardTraining(scene.forward);
    const output = await operationsOf(stages)[operation]({ saved, ...scene.gradient, parameterGradients });
    expect(calls.map(({ name }) => name)).toEqual(['gradientSums', 'inputGradient']);
    const [gradientSums, inputGradient] = calls;
    const { parameterGradients: _, ...buffers } = scene.gradient;
    const sums = gradientSums!.output;
    expect(gradientSums!.input).toEqual({ saved, dy: buffers.dy });
    expect(inputGradient!.input).toEqual({
      saved,
      ...buffers,
      sums,
      total: operation === 'backwardTraining' ? sums : null,
    });
    expect(output).toBe(inputGradient!.output);
  });

  it('backward with constant statistics, for dx alone: nothing is summed', async () => {
    const scene = sceneOf();
    const { calls, stages } = watched(scene.stages);
    const { saved } = await operationsOf(scene.stages).forwardTraining(scene.forward);
    await operationsOf(stages).backwardInference({ saved, ...scene.gradient, parameterGradients: false });
    expect(calls.map(({ name }) => name)).toEqual(['inputGradient']);
    expect(calls[0]!.input).toMatchObject({ sums: undefined, total: null });
  });

  it('an operation that has a fused form is that, and the others are stages', async () => {
    const scene = sceneOf();
    const { requireFinite: _, ...forward } = scene.forward;
    const { saved } = await operationsOf(scene.stages).forwardTraining(scene.forward);
    const backward = { saved, ...scene.gradient };
    const inputs = {
      forwardTraining: scene.forward,
      forwardInference: { ...forward, ...given },
      backwardTraining: backward,
      backwardInference: backward,
    };
    const operations = Object.keys(inputs) as (keyof typeof inputs)[];
    const answer = {};
    for (const one of operations) {
      const { calls, stages } = watched(scene.stages);
      const asked: unknown[] = [];
      // An object with a `this`, as a class that has fused operations.
      const fused = {
        answer,
        [one](this: { answer: object }, input: unknown) {
          asked.push(input);
          return this.answer;
        },
      };
      for (const operation of operations) {
        calls.length = 0;
        const result = await operationsOf({ ...stages, fused: fused as object })[operation](inputs[operation] as never);
        expect(result === answer).toBe(operation === one);
        expect(calls.length > 0).toBe(operation !== one);
      }
      expect(asked).toEqual([inputs[one]]);
      expect(asked[0]).toBe(inputs[one]);
    }
  });

  it.each(['throws', 'rejects'])('leave nothing behind when a stage %s', async (how) => {
    for (const failing of names) {
      const scene = sceneOf();
      const { stages } = watched(scene.stages, (name) => {
        if (name !== failing) return undefined;
        const error = new Error(`${name} failed`);
        if (how === 'throws') throw error;
        return Promise.reject(error);
      });
      const { saved } = await operationsOf(scene.stages).forwardTraining(scene.forward);
      const before = new Set(scene.backend.alive);
      const isForward = failing === 'moments' || failing === 'normalize';
      const call = async () =>
        isForward
          ? operationsOf(stages).forwardTraining(scene.forward)
          : operationsOf(stages).backwardTraining({ saved, ...scene.gradient });
      await expect(call()).rejects.toThrow(`${failing} failed`);
      expect(scene.backend.alive).toEqual(before);
    }
  });
});

describe('operations on the device', () => {
  it('dispose sums when inputGradient has ended, not before, and leave the moments to the caller', async () => {
    const { backend, stages: own, forward, gradient } = onDevice();
    let during: boolean | undefined;
    const stages: Stages<DeviceMemory> = {
      ...watched(own).stages,
      inputGradient: async (input) => {
        const output = await own.inputGradient(input);
        during = backend.alive.has(input.sums!);
        return output;
      },
    };
    const { saved, moments } = await operationsOf(stages).forwardTraining(forward);
    const before = backend.alive.size;
    const { dgamma, dbeta } = await operationsOf(stages).backwardTraining({ saved, ...gradient });
    expect(during).toBe(true);
    expect(backend.alive.size).toBe(before + 2);
    expect(backend.alive.has(moments)).toBe(true);
    for (const one of [dgamma, dbeta]) expect(backend.alive.has(one)).toBe(true);
  });

  it('read nothing, whatever the moments are', async () => {
    const { backend, stages, forward } = onDevice();
    const x = backend.upload(tensor(shape, Array(12).fill(Number.NaN)));
    await operationsOf(stages).forwardTraining({ ...forward, x, requireFinite: true });
    expect(backend.reads).toBe(0);
  });
});

describe('operations on the host', () => {
  it('whose moments must be finite, and are not, fail before normalize', async () => {
    const scene = onHost();
    const { calls, stages } = watched(scene.stages);
    const x = tensor(shape, [1, 2, 3, 4, 5, 6, 7, Number.NaN, 9, 10, 11, 12]).data;
    const before = scene.forward.y!.slice();
    const forward = (requireFinite: boolean) =>
      operationsOf(stages).forwardTraining({ ...scene.forward, x, requireFinite });
    await expectError('NON_FINITE_STATISTICS', () => forward(true), /channel 1/);
    expect(calls.map(({ name }) => name)).toEqual(['moments']);
    expect(scene.forward.y).toEqual(before);
    expect((await forward(false)).y).toBe(scene.forward.y);
  });

  it('wait for whatever can be awaited, also where its then() gives nothing', async () => {
    const { stages, forward, gradient } = onHost();
    /** The least that `await` takes. */
    const thenable = <T>(value: PromiseLike<T> | T): PromiseLike<T> => {
      const then = (...calls: Parameters<PromiseLike<T>['then']>) => void Promise.resolve(value).then(...calls);
      return { then } as unknown as PromiseLike<T>;
    };
    const operations = operationsOf<HostMemory>({
      moments: (input) => thenable(stages.moments(input)),
      normalize: (input) => thenable(stages.normalize(input)),
      gradientSums: (input) => thenable(stages.gradientSums(input)),
      inputGradient: (input) => thenable(stages.inputGradient(input)),
    });
    const { y, saved, moments } = await operations.forwardTraining(forward);
    expect([y, moments.count]).toEqual([forward.y, 4]);
    expect((await operations.backwardTraining({ saved, ...gradient })).dx).toBe(gradient.dx);
  });

  it('answer at once where the stages do', async () => {
    const { stages: asynchronous, forward, gradient } = onHost();
    const moments = await asynchronous.moments(forward);
    const { y, saved } = await asynchronous.normalize({ ...forward, by: { batch: moments } });
    const sums = await asynchronous.gradientSums({ saved, dy: gradient.dy });
    const gradients = await asynchronous.inputGradient({ saved, ...gradient, sums, total: sums });
    const operations = operationsOf<HostMemory>({
      moments: () => moments,
      normalize: () => ({ y, saved }),
      gradientSums: () => sums,
      inputGradient: () => gradients,
    });
    expect(operations.moments(forward)).toBe(moments);
    expect(operations.forwardTraining(forward)).toEqual({ y, saved, moments });
    expect(operations.forwardInference({ ...forward, ...given })).toEqual({ y, saved });
    for (const backward of ['backwardTraining', 'backwardInference'] as const) {
      expect(operations[backward]({ saved, ...gradient })).toBe(gradients);
    }
  });
});
