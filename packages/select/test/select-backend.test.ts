// Choosing between backends: what is taken, what is out and why, and that nothing is left behind.
import { getEventListeners } from 'node:events';
import {
  type Backend,
  BatchNorm,
  BatchNormError,
  type ErrorCode,
  type ForwardTrainingInput,
  type HostMemory,
  operationsOf,
  type Plan,
} from '@batchnorm/core-api';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Candidate, operations, type Selection, type SelectOptions, selectBackend } from '../src/index.js';
import { FakeBackend, type FakeOptions } from './fake-backend.js';

const shape = [8, 3];
const never = <T>() => new Promise<T>(() => {});

/** JavaScript callers have no types to stop them. */
const wrong = <T>(value: unknown): T => value as T;

/** Only this clock is pretended: time passes when a kernel says so. Timers that end a wait are real. */
beforeEach(() => vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => vi.useRealTimers());

const spend = (milliseconds: number) => {
  vi.advanceTimersByTime(milliseconds);
};

/** A candidate, with every backend that it made. */
interface FakeCandidate extends Candidate {
  readonly made: FakeBackend[];
}

function candidate(name: string, options: FakeOptions = {}): FakeCandidate {
  const made: FakeBackend[] = [];
  const create = () => {
    made.push(new FakeBackend(options));
    return made.at(-1)!;
  };
  return { name, made, create };
}

const taking = (milliseconds: number): FakeOptions => ({ before: () => spend(milliseconds) });
const failing = (name: string, create: () => never | Promise<never>): FakeCandidate => ({ name, made: [], create });

const select = (candidates: readonly Candidate[], options: Partial<SelectOptions> = {}) =>
  selectBackend(candidates, { shape, budgetMs: 20, ...options });

const rowOf = ({ report }: Selection, name: string) => report.candidates.find((row) => row.name === name)!;

/** That `attempt` fails with `code`, and a message that names what was received and what was expected. */
async function expectError(code: ErrorCode, attempt: () => Promise<unknown>, message = /received/): Promise<void> {
  const error = await attempt().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BatchNormError);
  expect(error).toMatchObject({ code, message: expect.stringMatching(/received .+, expected .+/) });
  expect((error as Error).message).toMatch(message);
}

/** That one backend is alive, and no other that these candidates made. */
function expectOneAlive({ backend }: Selection, candidates: readonly FakeCandidate[]): void {
  const made = candidates.flatMap((candidate) => candidate.made);
  expect(made.filter(({ disposals }) => disposals === 0)).toEqual([backend]);
  for (const fake of made) expect(fake.disposals).toBe(fake === backend ? 0 : 1);
  for (const fake of made) expect(fake.alive.size).toBe(0);
}

describe('selectBackend takes', () => {
  it('the fastest, and reports the median time of one call', async () => {
    const candidates = [candidate('slow', taking(3)), candidate('fast', taking(1)), candidate('medium', taking(2))];
    const selection = await select(candidates);
    expect(selection.report.chosen).toBe('fast');
    expect(selection.backend).toBe(candidates[1]!.made[0]);
    // A training step is two kernels.
    expect(selection.report.candidates.map(({ milliseconds }) => milliseconds)).toEqual([6, 2, 4]);
    for (const { samples } of selection.report.candidates) expect(samples).toBeGreaterThanOrEqual(1);
    expectOneAlive(selection, candidates);
  });

  it.each(operations)('the one that is fastest in %s', async (operation) => {
    const kernels = {
      'forward-training': ['forwardTraining'],
      'forward-inference': ['forwardInference'],
      backward: ['backwardTraining'],
      'training-step': ['forwardTraining', 'backwardTraining'],
    }[operation];
    const good = candidate('good', { before: (kernel) => spend(kernels.includes(kernel) ? 1 : 50) });
    const bad = candidate('bad', { before: (kernel) => spend(kernels.includes(kernel) ? 2 : 1) });
    const selection = await select([bad, good], { operation });
    expect(selection.report.chosen).toBe('good');
    expect(rowOf(selection, 'good').milliseconds).toBe(kernels.length);
  });

  it('the one that is fastest on the asked shape, not on the tiny case', async () => {
    const growing = candidate('growing', { before: (_kernel, _run, elements) => spend(elements / 1000) });
    const constant = candidate('constant', taking(3));
    expect((await select([growing, constant])).report.chosen).toBe('growing');
    expect((await select([growing, constant], { shape: [4000, 3] })).report.chosen).toBe('constant');
  });

  it('the typical time, whatever one call takes', async () => {
    const steady = candidate('steady', taking(2));
    const once = candidate('once', { before: (_kernel, run) => spend(run === 12 ? 500 : 1) });
    const selection = await select([steady, once], { operation: 'forward-training', budgetMs: 1100 });
    expect(selection.report.chosen).toBe('once');
  });

  it('the fastest, also when the machine is slow for a while', async () => {
    // Ten times slower for the first 600 ms that anybody computes: longer than the share of the first.
    let computed = 0;
    const during = (milliseconds: number): FakeOptions => ({
      before: () => {
        const taken = computed < 600 ? 10 * milliseconds : milliseconds;
        computed += taken;
        spend(taken);
      },
    });
    const candidates = [candidate('fast', during(1)), candidate('slow', during(2))];
    const selection = await select(candidates, { operation: 'forward-training', budgetMs: 1000 });
    expect(selection.report.chosen).toBe('fast');
  });

  it('the most accurate on request, also when it is the slowest', async () => {
    const off = (relative: number): FakeOptions => ({
      ...taking(relative === 0 ? 9 : 1),
      tamper: (_kernel, { dgamma }) =>
        dgamma &&
        (dgamma as Float64Array).forEach((v, c, all) => {
          all[c] = v * (1 + relative);
        }),
    });
    const candidates = [candidate('1e-5', off(1e-5)), candidate('exact', off(0)), candidate('1e-6', off(1e-6))];
    const selection = await select(candidates, { prefer: 'accuracy' });
    expect(selection.report.chosen).toBe('exact');
    expect(rowOf(selection, '1e-5').error).toBeCloseTo(1e-5, 10);
    expect(rowOf(selection, '1e-6').error).toBeCloseTo(1e-6, 10);
    expect(rowOf(selection, 'exact').error).toBeLessThan(1e-7);
    expectOneAlive(selection, candidates);
  });

  it.each(['speed', 'accuracy'] as const)('the first of those with equal %s', async (prefer) => {
    const selection = await select([candidate('a', taking(2)), candidate('b', taking(2))], { prefer });
    expect(selection.report.chosen).toBe('a');
  });

  it('the first of those that are tied, whichever is ahead, and says so', async () => {
    for (const [a, b] of [
      [1, 1.04],
      [1.04, 1],
      [0.001, 0.01],
      [0.01, 0.001],
    ]) {
      const { report } = await select([
        candidate('c', taking(9)),
        candidate('a', taking(a!)),
        candidate('b', taking(b!)),
      ]);
      expect(report).toMatchObject({ chosen: 'a', decision: 'tie' });
      expect(report.why).toMatch(/^'a' \(.* ms.*\) is tied with 'b' \(.* ms.*\), and comes first/);
    }
  });

  it('the only one that is left without timing it', async () => {
    const others = [
      failing('broken', () => Promise.reject(new Error('no driver'))),
      candidate('float64', { dtypes: [] }),
    ];
    for (const candidates of [[candidate('only')], [...others, candidate('only')]]) {
      const selection = await select(candidates);
      expect(selection.report).toMatchObject({ chosen: 'only', decision: 'only' });
      expect(rowOf(selection, 'only')).toMatchObject({
        available: true,
        milliseconds: null,
        allocatedMilliseconds: null,
      });
      expectOneAlive(selection, candidates);
    }
    const counted: number[] = [];
    await select([candidate('only', { before: (_kernel, run) => void counted.push(run) })]);
    // The known case is two forwards and a backward, the check on the shape a training step.
    expect(counted).toHaveLength(5);
  });

  it('the first that works without measuring, and makes none of those after it', async () => {
    const candidates = [
      failing('broken', () => Promise.reject(new Error('no driver'))),
      candidate('slow', taking(9)),
      candidate('fast', taking(1)),
    ];
    const selection = await select(candidates, { measure: false });
    expect(selection.report.chosen).toBe('slow');
    expect(rowOf(selection, 'broken')).toMatchObject({ available: false, reason: 'no driver' });
    expect(rowOf(selection, 'slow')).toMatchObject({ available: true, reason: null, milliseconds: null });
    expect(rowOf(selection, 'fast')).toMatchObject({ available: null, reason: expect.stringContaining('not tried') });
    expect(candidates[2]!.made).toEqual([]);
  });

  it('what the rules say, for any costs and failures', async () => {
    const kind = fc.constantFrom('works', 'throws', 'wrong', 'float64 only');
    const make = ({ kind, cost }: { kind: string; cost: number }, index: number): FakeCandidate => {
      if (kind === 'throws')
        return failing(`${index}`, () => {
          throw new Error('throws');
        });
      if (kind === 'float64 only') return candidate(`${index}`, { dtypes: ['float64'] });
      const tamper: FakeOptions['tamper'] = (_kernel, { y }) => y && (y as Float32Array).fill(0);
      return candidate(`${index}`, { ...taking(cost), ...(kind === 'wrong' && { tamper }) });
    };
    const specs = fc.array(fc.record({ kind, cost: fc.integer({ min: 1, max: 5 }) }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(specs, async (specs) => {
        const candidates = specs.map(make);
        const costs = specs.map(({ kind, cost }) => (kind === 'works' ? cost : Number.POSITIVE_INFINITY));
        const best = Math.min(...costs);
        if (best === Number.POSITIVE_INFINITY) {
          await expectError('BACKEND_UNAVAILABLE', () => select(candidates));
          for (const { made } of candidates) for (const { disposals } of made) expect(disposals).toBe(1);
          return;
        }
        const selection = await select(candidates);
        expect(selection.report.chosen).toBe(`${costs.indexOf(best)}`);
        expect(selection.report.candidates.map(({ available }) => available)).toEqual(costs.map(Number.isFinite));
        expectOneAlive(selection, candidates);
      }),
      { numRuns: 40, seed: 7 },
    );
  });
});

describe('what is timed is what the program does', () => {
  /** What the kernels of a candidate get as x and y, in the latest call. */
  function watched() {
    const seen: { x?: unknown; y?: unknown; dy?: unknown; dx?: unknown }[] = [];
    const one = candidate('one', { tamper: (_kernel, _result, input) => void seen.push(input) });
    return { one, other: candidate('other', taking(2)), seen };
  }

  it('buffers by default, and new results on request', async () => {
    const { one, other, seen } = watched();
    await select([one, other], { operation: 'forward-training' });
    expect(new Set(seen.slice(-3).map(({ y }) => y)).size).toBe(1);
    expect(seen.at(-1)!.y).toBeInstanceOf(Float32Array);
    await select([one, other], { operation: 'forward-training', out: false });
    expect(seen.at(-1)!.y).toBeUndefined();
  });

  it.each(operations)('tensors of the backend, on request, in %s', async (operation) => {
    const own = new WeakSet<object>();
    const { one, other, seen } = watched();
    const create = () => {
      const backend = one.create() as FakeBackend & Pick<Backend, 'resultLike'>;
      const { empty } = backend;
      backend.empty = (of, dtype) => {
        const tensor = empty.call(backend, of, dtype);
        own.add(tensor.data.buffer);
        return tensor;
      };
      backend.resultLike = ({ data, shape: of }) =>
        own.has(data.buffer) ? backend.empty([...of], 'float32') : undefined;
      return backend;
    };
    const allocating = { name: 'allocating', create };
    const asked = await select([allocating, other], { operation, memory: 'allocated' });
    const elements = seen
      .flatMap(({ x, y, dy, dx }) => [x, y, dy, dx])
      .filter((values) => values instanceof Float32Array);
    expect(elements.filter(({ buffer }) => own.has(buffer)).length).toBeGreaterThan(3);
    for (const { milliseconds, allocatedMilliseconds } of asked.report.candidates) {
      expect([milliseconds !== null, allocatedMilliseconds]).toEqual([true, null]);
    }
    // Of the chosen one it is told in addition.
    const told = await select([allocating, other], { operation, out: false });
    expect(rowOf(told, 'allocating').allocatedMilliseconds).toBeGreaterThan(0);
  });
});

describe('the backend that is taken', () => {
  it('runs a layer', async () => {
    const { backend } = await select([candidate('a')]);
    const layer = new BatchNorm({ backend, numFeatures: 3 });
    expect((await layer.forward({ data: new Float32Array(12), shape: [4, 3] })).shape).toEqual([4, 3]);
  });

  it.each([
    { shape: [2, 3, 4], axis: 1, extent: { outer: 2, channels: 3, inner: 4 } },
    { shape: [2, 4, 3], axis: -1, extent: { outer: 8, channels: 3, inner: 1 } },
    { shape: [3, 4], axis: 0, extent: { outer: 1, channels: 3, inner: 4 } },
    { shape: [1, 3], axis: 1, extent: { outer: 1, channels: 3, inner: 1 } },
  ])('is measured on the shape $shape with channels on axis $axis', async ({ shape, axis, extent }) => {
    const fast = candidate('a', taking(1));
    const selection = await select([fast, candidate('b', taking(2))], { shape, axis });
    expect(rowOf(selection, 'a').milliseconds).toBe(2);
    expect(fast.made[0]!.prepared.at(-1)).toEqual(extent);
  });

  it('is measured in float64 where that is asked', async () => {
    const float64 = (name: string, ms: number) => candidate(name, { ...taking(ms), dtypes: ['float64'] });
    const selection = await select([float64('a', 1), float64('b', 2)], { dtype: 'float64' });
    expect(rowOf(selection, 'a')).toMatchObject({ milliseconds: 2, available: true });
    expect(rowOf(selection, 'a').error).toBeLessThan(1e-12);
  });
});

describe('a candidate is out, and the report says why, when', () => {
  const whileMeasured = (elements: number) => elements === 24;
  const tampered = (kernel: string, name: string, change: (values: Float64Array) => void): FakeOptions => ({
    tamper: (which, result) => {
      if (which === kernel) change((name in result ? result[name] : Object(result.moments)[name]) as Float64Array);
    },
  });
  const off = (values: Float64Array) => {
    values[1]! += 0.25;
  };
  const cases: Record<string, [create: () => unknown, reason: RegExp, options?: Partial<SelectOptions>]> = {
    'its factory throws': [
      () => {
        throw new Error('no such driver');
      },
      /^no such driver$/,
    ],
    'its factory throws something that is no error': [() => Promise.reject('nothing'), /^'nothing'$/],
    'its factory rejects': [
      () => Promise.reject(new BatchNormError('BACKEND_UNAVAILABLE', 'no adapter')),
      /^BACKEND_UNAVAILABLE: no adapter$/,
    ],
    'its factory hangs': [() => never(), /timed out: no answer within 30 ms/, { timeoutMs: 30 }],
    'its factory makes nothing': [() => undefined, /INVALID_OPTION: received undefined from create/],
    'its factory makes no backend': [() => ({ contractVersion: 2 }), /expected a backend of contractVersion 2/],
    'its factory makes a backend of another contract': [
      () => ({ contractVersion: 1, prepare() {} }),
      /expected a backend of contractVersion 2/,
    ],
    'it lacks the dtype': [() => new FakeBackend({ dtypes: ['float64'] }), /DTYPE_MISMATCH.*float64/],
    'it holds too little': [
      () => new FakeBackend({ maxElements: 999 }),
      /LIMIT_EXCEEDED.*1200.*999/,
      { shape: [400, 3] },
    ],
    'it holds too little, and nobody measures': [
      () => new FakeBackend({ maxElements: 999 }),
      /LIMIT_EXCEEDED.*1200.*999/,
      { shape: [400, 3], measure: false },
    ],
    'its y is wrong': [
      () => new FakeBackend(tampered('forwardTraining', 'y', off)),
      /computes wrong: y of channel 0 is/,
    ],
    'its y is NaN': [
      () => new FakeBackend(tampered('forwardTraining', 'y', (y) => y.fill(Number.NaN))),
      /y of channel 0 is NaN where 4 is right/,
    ],
    'its batch mean is wrong': [
      () =>
        new FakeBackend(
          tampered('forwardTraining', 'mean', (mean) => {
            mean[0]! += 0.01;
          }),
        ),
      /mean of channel 0/,
    ],
    'its batch variance is wrong': [
      () =>
        new FakeBackend(
          tampered('forwardTraining', 'm2', (m2) => {
            m2[1]! *= 1.1;
          }),
        ),
      /variance of channel 1/,
    ],
    'its dx is wrong': [() => new FakeBackend(tampered('backwardTraining', 'dx', off)), /dx of channel 0/],
    'its dgamma is wrong': [() => new FakeBackend(tampered('backwardTraining', 'dgamma', off)), /dgamma of channel 1/],
    'its dbeta is wrong': [() => new FakeBackend(tampered('backwardTraining', 'dbeta', off)), /dbeta of channel 1/],
    'its inference is wrong': [() => new FakeBackend(tampered('forwardInference', 'y', off)), /z of channel 0/],
    'it hangs when it is checked': [() => new FakeBackend({ before: never }), /timed out/, { timeoutMs: 30 }],
    'it fails on the asked shape': [
      () =>
        new FakeBackend({
          before: (_kernel, _run, elements) => {
            if (whileMeasured(elements)) throw new BatchNormError('LIMIT_EXCEEDED', 'out of memory');
          },
        }),
      /^LIMIT_EXCEEDED: out of memory$/,
    ],
    'its device is lost while it is measured': [
      () =>
        new FakeBackend({
          before: (_kernel, run) => {
            spend(1);
            if (run === 12) throw new BatchNormError('DEVICE_LOST', 'the context is gone');
          },
        }),
      /^DEVICE_LOST: the context is gone$/,
    ],
    'it hangs when it is measured': [
      () => new FakeBackend({ before: (_kernel, _run, elements) => (whileMeasured(elements) ? never() : undefined) }),
      /timed out: no answer within 40 ms/,
      { timeoutMs: 30 },
    ],
  };
  const lacking = (parts: object) => () => Object.assign(new FakeBackend(), parts);
  const { capabilities, execution } = new FakeBackend();
  Object.assign(cases, {
    'it has no name': [lacking({ name: undefined }), /^INVALID_OPTION: received name of the backend undefined/],
    'it has no capabilities': [
      lacking({ capabilities: undefined }),
      /^INVALID_OPTION: .*capabilities.dtypes undefined/,
    ],
    'it has no limits': [
      lacking({ capabilities: { ...capabilities, limits: undefined } }),
      /^INVALID_OPTION: .*capabilities.limits.elements undefined, expected a number/,
    ],
    'it has no execution': [lacking({ execution: undefined }), /^INVALID_OPTION: .*execution.engine undefined/],
    'its execution is half of one': [
      lacking({ execution: { ...execution, threads: Symbol('two') } }),
      /^INVALID_OPTION: .*execution.threads Symbol\(two\), expected a number/,
    ],
    'its factory throws an error that throws when it is read': [
      () => {
        throw Object.defineProperty(new Error(), 'message', {
          get: () => {
            throw new Error('unreadable');
          },
        });
      },
      /^an error that can't be read$/,
    ],
    'its factory throws an error whose message is no text': [
      () => {
        throw Object.assign(new Error(), { message: Symbol('message') });
      },
      /^an error that can't be read$/,
    ],
    'its factory throws an object without a prototype': [() => Promise.reject(Object.create(null)), /^object$/],
  } satisfies typeof cases);
  for (const [name, [create, reason, options]] of Object.entries(cases)) {
    it(name, async () => {
      const made: unknown[] = [];
      const bad = {
        name: 'bad',
        create: async () => {
          made.push(await create());
          return wrong<Backend>(made[0]);
        },
      };
      const good = candidate('good', taking(1));
      const selection = await select([bad, good], options);
      expect(selection.report.chosen).toBe('good');
      expect(rowOf(selection, 'bad')).toMatchObject({ available: false, reason: expect.stringMatching(reason) });
      const disposals = made.filter((backend) => backend instanceof FakeBackend).map((backend) => backend.disposals);
      expect(disposals.every((count) => count === 1)).toBe(true);
      expect(good.made[0]!.disposals).toBe(0);
    });
  }

  it('its variance is E[x²] − E[x]² in float32', async () => {
    const { fround } = Math;
    const careless = candidate('careless', {
      tamper: (kernel, result, { x }) => {
        if (kernel !== 'forwardTraining') return;
        const { m2 } = result.moments as { m2: Float64Array };
        const M = (x as Float32Array).length / 3;
        for (let c = 0; c < 3; c++) {
          const values = (x as Float32Array).filter((_, k) => Math.floor(k / 2) % 3 === c);
          const mean = fround(values.reduce((sum, value) => fround(sum + value), 0) / M);
          const squares = fround(values.reduce((sum, value) => fround(sum + fround(value * value)), 0) / M);
          m2[c] = fround(squares - fround(mean * mean)) * M;
        }
      },
    });
    const selection = await select([careless, candidate('good')]);
    expect(rowOf(selection, 'careless').reason).toMatch(/computes wrong: variance of channel 1/);
  });
});

describe('a candidate that is right in the known case and wrong on the asked shape is out', () => {
  const large = [400, 3];
  const isLarge = ({ x, dy }: Record<string, unknown>) => ((x ?? dy) as Float32Array).length === 1200;

  /** Right below 1000 elements; of more it changes the last of one result. */
  const wrongIn = (wanted: 'y' | 'dx' | 'dgamma' | 'dbeta'): FakeOptions => ({
    ...taking(1),
    tamper: (_kernel, result, input) => {
      const values = result[wanted] as Float32Array | undefined;
      if (values !== undefined && isLarge(input)) values[values.length - 1]! *= 1.02;
    },
  });
  const of = (name: string, length: number) => new RegExp(`computes wrong: ${name}\\[${length - 1}\\] on shape`);

  it.each([
    ['y', 'forward-training', of('y', 1200)],
    ['y', 'forward-inference', of('y', 1200)],
    ['y', 'training-step', of('y', 1200)],
    ['dx', 'training-step', of('dx', 1200)],
    ['dx', 'backward', of('dx', 1200)],
    ['dgamma', 'backward', of('dgamma', 3)],
    ['dbeta', 'training-step', of('dbeta', 3)],
  ] as const)('in %s of %s, measured or not, or remembered', async (result, operation, reason) => {
    const candidates = () => [candidate('bad', wrongIn(result)), candidate('good', taking(2))];
    const { cache } = await select([candidate('bad', taking(1)), candidate('good', taking(2))], {
      shape: large,
      operation,
    });
    expect(cache.chosen).toBe('bad');
    for (const how of [{}, { measure: false }, { prefer: 'accuracy' as const }, { cache }]) {
      const made = candidates();
      const selection = await select(made, { shape: large, operation, ...how });
      expect(selection.report.chosen).toBe('good');
      expect(selection.report.decision).not.toBe('cache');
      expect(rowOf(selection, 'bad')).toMatchObject({
        available: false,
        reason: expect.stringMatching(reason),
        milliseconds: null,
      });
      expectOneAlive(selection, made);
    }
  });

  it.each([[[400, 3]], [[20, 3, 20]], [[400, 1, 3]]])(
    'in every dtype and layout, and only then (%j)',
    async (shape) => {
      for (const dtype of ['float32', 'float64'] as const) {
        for (const operation of operations) {
          const selection = await select([candidate('good', taking(1))], { shape, dtype, operation });
          expect(rowOf(selection, 'good')).toMatchObject({ available: true, reason: null });
        }
        const selection = await select([candidate('bad', wrongIn('dx')), candidate('good')], { shape, dtype });
        expect(rowOf(selection, 'bad').reason).toMatch(/computes wrong: dx\[1199\]/);
      }
    },
  );

  it('where it writes nothing, though a right one has written there before', async () => {
    const lazy = new FakeBackend(taking(1));
    const prepare = lazy.prepare.bind(lazy);
    Object.assign(lazy, {
      prepare: (plan: Plan) => {
        const kernels = prepare(plan);
        const operations = operationsOf<HostMemory>(kernels);
        const forwardTraining = async ({ y, ...input }: ForwardTrainingInput<HostMemory>) => {
          const output = await operations.forwardTraining({ ...input, y: undefined });
          y?.set(output.y.subarray(0, 1000));
          return { ...output, y: y ?? output.y };
        };
        return { ...kernels, fused: { ...kernels.fused, forwardTraining } };
      },
    });
    const options = { shape: large, operation: 'forward-training' } as const;
    const selection = await select([candidate('good', taking(2)), { name: 'lazy', create: () => lazy }], options);
    expect(rowOf(selection, 'lazy').reason).toMatch(/y\[1000\] on shape \[400, 3\] is NaN/);
  });

  it('in what is timed, though its first call was right', async () => {
    let calls = 0;
    const tiring = candidate('tiring', {
      ...taking(1),
      tamper: (kernel, { y }, input) => {
        if (kernel === 'forwardTraining' && isLarge(input) && ++calls > 1) (y as Float32Array).fill(0);
      },
    });
    const selection = await select([tiring, candidate('good', taking(2))], { shape: large });
    expect(selection.report.chosen).toBe('good');
    expect(rowOf(selection, 'tiring').reason).toMatch(/computes wrong: y\[0\]/);
  });

  it.each(operations)('and what it did to its inputs in %s harms no other', async (operation) => {
    const vandal = candidate('vandal', {
      ...taking(1),
      tamper: (_kernel, { y, dx }, { x, dy, ...input }) => {
        if (!isLarge({ x, dy, ...input })) return;
        for (const values of [x, dy, y, dx] as (Float32Array | undefined)[]) values?.fill(3);
      },
    });
    const selection = await select([candidate('a', taking(2)), vandal, candidate('b', taking(3))], {
      shape: large,
      operation,
    });
    expect(selection.report.chosen).toBe('a');
    expect(selection.report.candidates.map(({ available }) => available)).toEqual([true, false, true]);
  });

  it('and what it writes after its time harms no other', async () => {
    let release!: () => void;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const late = candidate('late', {
      before: (_kernel, _run, elements) => (elements === 1200 ? gate : spend(1)),
      tamper: (_kernel, { y }, input) => isLarge(input) && (y as Float32Array).fill(7),
    });
    const good = candidate('good', {
      before: async (kernel, _run, elements) => {
        spend(1);
        if (kernel !== 'backwardTraining' || elements !== 1200) return;
        release();
        await new Promise((resolve) => setTimeout(resolve, 5));
      },
    });
    const selection = await select([late, good], { shape: large, measure: false, timeoutMs: 300 });
    expect(rowOf(selection, 'late').reason).toMatch(/timed out/);
    expect(rowOf(selection, 'good')).toMatchObject({ available: true, reason: null });
  });
});

describe('what is made and not taken', () => {
  it('is disposed at once when it does not work, to leave its memory to the next', async () => {
    const broken = candidate('broken', { dtypes: ['float64'] });
    const create = () => {
      expect(broken.made[0]!.disposals).toBe(1);
      return new FakeBackend();
    };
    const { report } = await select([broken, { name: 'next', create }]);
    expect(report.candidates[1]!.reason).toBeNull();
  });

  it('is disposed also when it comes after its time is up', async () => {
    const late = new FakeBackend();
    let deliver!: (backend: Backend) => void;
    const hanging = {
      name: 'late',
      create: () =>
        new Promise<Backend>((resolve) => {
          deliver = resolve;
        }),
    };
    const { report } = await select([hanging, candidate('good')], { timeoutMs: 300 });
    expect(report.chosen).toBe('good');
    expect(late.disposals).toBe(0);
    deliver(late);
    await vi.waitFor(() => expect(late.disposals).toBe(1), 60_000);
  });

  it('is no longer called when its time is up, even if it never stops', async () => {
    let runs = 0;
    // On a clock that stands still no measurement comes to an end.
    const endless = candidate('endless', {
      before: () => {
        runs++;
        return new Promise((resolve) => setTimeout(resolve, 2));
      },
    });
    const { report } = await select([endless, candidate('good')], { timeoutMs: 300 });
    expect(report.candidates[0]!.reason).toMatch(/timed out/);
    await vi.waitFor(async () => {
      const before = runs;
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(runs).toBe(before);
    }, 60_000);
  });

  it('does not fail the selection when it rejects later', async () => {
    let fail!: (reason: Error) => void;
    const hanging = {
      name: 'late',
      create: () =>
        new Promise<Backend>((_, reject) => {
          fail = reject;
        }),
    };
    await select([hanging, candidate('good')], { timeoutMs: 300 });
    fail(new Error('too late'));
    await new Promise((resolve) => setTimeout(resolve, 5)); // an unhandled rejection would fail this test
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('will not go');
      },
    ],
    ['hangs', () => never()],
  ])('does not stand in the way when its disposal %s', async (_name, dispose) => {
    const stubborn = Object.assign(new FakeBackend(taking(5)), { dispose });
    const selection = await select([{ name: 'stubborn', create: () => stubborn }, candidate('good')], {
      timeoutMs: 300,
    });
    expect(selection.report.chosen).toBe('good');
  });
});

describe('when no candidate works', () => {
  it('the error lists every reason, and carries the errors', async () => {
    const lost = new BatchNormError('DEVICE_LOST', 'gone');
    const candidates = [
      failing('webgpu', () => Promise.reject(lost)),
      candidate('js', { tamper: (_kernel, { y }) => y && (y as Float32Array).fill(0) }),
    ];
    const error = await select(candidates).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(BatchNormError);
    expect(error).toMatchObject({
      code: 'BACKEND_UNAVAILABLE',
      message: expect.stringMatching(
        /received 2 candidates, expected .* webgpu: DEVICE_LOST: gone; js: computes wrong/,
      ),
    });
    expect(((error as Error).cause as AggregateError).errors[0]).toBe(lost);
    expect(candidates[1]!.made[0]!.disposals).toBe(1);
  });
});

describe('a cached choice', () => {
  const cached = async (options: Partial<SelectOptions> = {}) => {
    const { cache } = await select([candidate('a', taking(2)), candidate('b', taking(1))], options);
    return JSON.parse(JSON.stringify(cache)) as typeof cache;
  };
  const fresh = () => [candidate('a', taking(1)), candidate('b', taking(2))];

  it('is taken without making or measuring any other', async () => {
    const candidates = fresh();
    const selection = await select(candidates, { cache: await cached() });
    expect(selection.report).toMatchObject({ chosen: 'b', decision: 'cache' });
    expect(rowOf(selection, 'b')).toMatchObject({ available: true, milliseconds: null });
    expect(rowOf(selection, 'a')).toMatchObject({ available: null, reason: expect.stringContaining('cache') });
    expect(candidates[0]!.made).toEqual([]);
    expect(selection.cache).toEqual(await cached());
  });

  it.each<[string, Partial<SelectOptions>]>([
    ['shape', { shape: [16, 3] }],
    ['axis', { axis: 0 }],
    ['dtype', { dtype: 'float64' }],
    ['operation', { operation: 'backward' }],
    ['memory', { memory: 'allocated' }],
    ['way of getting results', { out: false }],
    ['preference', { prefer: 'accuracy' }],
    ['way to choose', { measure: false }],
  ])('of another %s is ignored', async (_name, options) => {
    const selection = await select(fresh(), { cache: await cached(), ...options });
    expect(selection.report.chosen).toBe('a');
    expect(selection.report.decision).not.toBe('cache');
  });

  it('is ignored with other candidates, in another order, and on another platform', async () => {
    const cache = await cached();
    const [a, b] = fresh();
    expect((await select([a!, b!, candidate('c', taking(9))], { cache })).report.decision).toBe('best');
    expect((await select([b!, a!], { cache })).report.decision).toBe('best');
    vi.spyOn(process, 'arch', 'get').mockReturnValue('arm64');
    expect((await select([a!, b!], { cache })).report.decision).toBe('best');
    vi.restoreAllMocks();
    expect((await select([a!, b!], { cache })).report.decision).toBe('cache');
  });

  it('is stale when its backend runs on another device by now', async () => {
    const other = candidate('b', taking(2));
    const create = () => {
      const backend = other.create() as FakeBackend;
      return Object.assign(backend, { execution: { ...backend.execution, device: 'another GPU' } });
    };
    const candidates = [candidate('a', taking(1)), { ...other, create }];
    const selection = await select(candidates, { cache: await cached() });
    expect(selection.report).toMatchObject({ chosen: 'a', decision: 'best' });
    expectOneAlive(selection, candidates);
    expect(other.made).toHaveLength(1);
  });

  it('that no longer works is measured anew, and is tried once only', async () => {
    const create = vi.fn(() => Promise.reject(new Error('driver removed')));
    const selection = await select([candidate('a'), { name: 'b', create }], { cache: await cached() });
    expect(selection.report).toMatchObject({ chosen: 'a', decision: 'only' });
    expect(rowOf(selection, 'b').reason).toBe('driver removed');
    expect(create).toHaveBeenCalledTimes(1);
  });

  it('that is malformed is ignored', async () => {
    const good = await cached();
    const bad = [
      null,
      0,
      '',
      'b',
      [],
      {},
      JSON.stringify(good),
      { ...good, formatVersion: 2 },
      { ...good, key: undefined },
      { ...good, chosen: 'c' },
      { ...good, chosen: { toString: 'b' } },
      { ...good, execution: null },
    ];
    for (const cache of bad) {
      const selection = await select(fresh(), { cache });
      expect(selection.report).toMatchObject({ chosen: 'a', decision: 'best' });
    }
  });
});

describe('a pinned choice', () => {
  const onDevice = (name: string, device: string, options?: FakeOptions): FakeCandidate => {
    const plain = candidate(name, options);
    const create = () => {
      const backend = plain.create() as FakeBackend;
      return Object.assign(backend, { execution: { ...backend.execution, device } });
    };
    return { ...plain, create };
  };
  const pinOf = ({ report }: Selection) => JSON.parse(JSON.stringify(report.pin)) as typeof report.pin;
  const slow = () => candidate('a', taking(9));
  const fast = () => candidate('b', taking(1));

  it('is taken again, for another question, too, and no other is made or measured', async () => {
    const pin = pinOf(await select([slow(), candidate('b', taking(20))]));
    const candidates = [fast(), slow()];
    const selection = await select(candidates, { pin, shape: [16, 3], dtype: 'float64' });
    expect(selection.report).toMatchObject({ chosen: 'a', decision: 'pin', why: "'a' is pinned", pin });
    expect(rowOf(selection, 'a').milliseconds).toBeNull();
    expect(rowOf(selection, 'b')).toMatchObject({ available: null, reason: "not tried: 'a' is pinned" });
    expect(candidates[0]!.made).toEqual([]);
    expectOneAlive(selection, candidates);
  });

  it('comes before a cached one', async () => {
    const first = await select([slow(), fast()]);
    const pin = { ...first.report.pin, name: 'a' };
    expect((await select([slow(), fast()], { pin, cache: first.cache })).report.chosen).toBe('a');
  });

  it.each<[string, () => FakeCandidate, RegExp]>([
    ['runs on another device', () => onDevice('a', 'another GPU'), /'a' on .*, another GPU, expected 'a' on .*, cpu/],
    ['can not be made', () => failing('a', () => Promise.reject(new Error('no driver'))), /out: no driver, expected/],
    ['lacks the dtype', () => candidate('a', { dtypes: ['float64'] }), /DTYPE_MISMATCH/],
    [
      'computes wrong',
      () => candidate('a', { tamper: (_kernel, { y }) => y && (y as Float32Array).fill(0) }),
      /computes wrong/,
    ],
  ])('that %s is an error, though another works', async (_name, make, message) => {
    const pin = pinOf(await select([slow()]));
    const candidates = [make(), fast()];
    await expectError('BACKEND_UNAVAILABLE', () => select(candidates, { pin }), message);
    for (const { disposals } of candidates.flatMap(({ made }) => made)) expect(disposals).toBe(1);
    expect(candidates[1]!.made).toEqual([]);
  });

  it('of a name that no candidate has is refused', async () => {
    const pin = pinOf(await select([slow()]));
    await expectError('INVALID_OPTION', () => select([fast()], { pin }), /a pin of 'a', expected one of .* 'b'/);
  });
});

describe('the report', () => {
  it('is rows of plain values, for console.table', async () => {
    const candidates = [candidate('a'), failing('b', () => Promise.reject(new Error('no driver'))), candidate('c')];
    const { report } = await select(candidates, { operation: 'forward-training' });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    for (const row of report.candidates) {
      expect(Object.keys(row)).toEqual(Object.keys(report.candidates[0]!));
      for (const value of Object.values(row)) expect(Object(value)).not.toBe(value);
    }
  });

  it('says what each runs on', async () => {
    const selection = await select([candidate('a'), candidate('b')]);
    const { engine, device, threads, fallbackReason } = selection.backend.execution;
    expect(rowOf(selection, 'a')).toMatchObject({ engine, device, threads, fallbackReason });
  });
});

describe('a selection that is done', () => {
  it('leaves no timer behind, which would keep a program from ending', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
    const before = timers();
    await select([candidate('a'), candidate('b')], { timeoutMs: 60_000 });
    expect(timers()).toBe(before);
  });
});

describe('a signal', () => {
  const reason = new Error('the user left');

  it('that was aborted before keeps every factory from being called', async () => {
    const create = vi.fn();
    const signal = AbortSignal.abort(reason);
    await expect(select([{ name: 'a', create }], { signal })).rejects.toBe(reason);
    expect(create).not.toHaveBeenCalled();
  });

  it.each<[string, (abort: () => void) => FakeOptions]>([
    [
      'is checked',
      (abort) => ({
        before: (_kernel, run) => {
          if (run === 1) abort();
        },
      }),
    ],
    [
      'hangs in its check',
      (abort) => ({
        before: (_kernel, run) => {
          if (run === 1) {
            abort();
            return never();
          }
          return undefined;
        },
      }),
    ],
    [
      'is measured',
      (abort) => ({
        before: (_kernel, run) => {
          spend(1);
          if (run === 6) abort();
        },
      }),
    ],
    [
      'hangs in a measurement',
      (abort) => ({
        before: (_kernel, run) => {
          if (run === 5) {
            abort();
            return never();
          }
          return undefined;
        },
      }),
    ],
  ])('that is aborted while a candidate %s disposes everything', async (_name, options) => {
    const controller = new AbortController();
    const candidates = [
      candidate('a', taking(1)),
      candidate(
        'b',
        options(() => controller.abort(reason)),
      ),
      candidate('c'),
    ];
    await expect(select(candidates, { signal: controller.signal })).rejects.toBe(reason);
    for (const { made } of candidates) for (const { disposals } of made) expect(disposals).toBe(1);
    expect(candidates[1]!.made).toHaveLength(1);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  it('that is aborted while a factory hangs disposes what was made, and what it makes later', async () => {
    const controller = new AbortController();
    const late = new FakeBackend();
    let deliver!: (backend: Backend) => void;
    const first = candidate('a');
    const create = () => {
      setTimeout(() => controller.abort(reason));
      return new Promise<Backend>((resolve) => {
        deliver = resolve;
      });
    };
    await expect(select([first, { name: 'b', create }], { signal: controller.signal })).rejects.toBe(reason);
    expect(first.made[0]!.disposals).toBe(1);
    deliver(late);
    await vi.waitFor(() => expect(late.disposals).toBe(1), 60_000);
  });

  it('that is never aborted keeps no listener', async () => {
    const { signal } = new AbortController();
    await select([candidate('a'), candidate('b')], { signal });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('a selection is refused', () => {
  const create = vi.fn();
  const one = [{ name: 'a', create }];
  const cases: Record<string, [candidates: unknown, options: unknown, message: RegExp]> = {
    'without candidates': [[], { shape }, /candidates array of 0, expected an array of at least one/],
    'with candidates that are no array': [{ a: create }, { shape }, /candidates Object/],
    'with a candidate that is none': [[null], { shape }, /candidate 0 null/],
    'with a candidate without a name': [[{ create }], { shape }, /candidate 0 Object, expected { name/],
    'with a candidate without a factory': [[{ name: 'a', create: {} }], { shape }, /candidate 0/],
    'with two candidates of one name': [[...one, ...one], { shape }, /two candidates 'a', expected names that differ/],
    'without options': [one, undefined, /undefined, expected an object of options/],
    'with a misspelt option': [one, { shape, op: 'backward' }, /an option 'op'/],
    'without a shape': [one, {}, /shape undefined/],
    'with a shape that is no array': [one, { shape: 24 }, /shape 24/],
    'with a shape of rank 1': [one, { shape: [24] }, /shape \[24\], expected an array of two or more/],
    'with an empty shape': [one, { shape: [0, 3] }, /shape \[0, 3\], expected .* whole numbers of at least 1/],
    'with a shape that has a hole': [
      one,
      { shape: Object.assign(new Array(3), { 0: 8, 2: 3 }) },
      /shape \[8, undefined, 3\], expected .* whole numbers of at least 1/,
    ],
    'with a shape of symbols': [one, { shape: [8, Symbol('C')] }, /shape \[8, Symbol\(C\)\]/],
    'with a shape of more axes than there can be': [
      one,
      { shape: new Array(1e9) },
      /shape array of 1000000000.*at most 64/,
    ],
    'with a shape that is an object without prototype': [one, { shape: Object.create(null) }, /shape object/],
    'with an axis beyond all': [one, { shape, axis: 1e9 }, /axis 1000000000/],
    'with options that are a symbol': [one, Symbol('options'), /Symbol\(options\), expected an object of options/],
    'with a preference that is a symbol': [one, { shape, prefer: Symbol('speed') }, /prefer Symbol\(speed\)/],
    'with a signal that is half of one': [
      one,
      { shape, signal: { throwIfAborted: () => {} } },
      /signal Object, expected an AbortSignal/,
    ],
    'with a candidate whose name is a symbol': [[{ name: Symbol('a'), create }], { shape }, /candidate 0 Object/],
    'with a candidate without prototype': [[Object.create(null)], { shape }, /candidate 0 object/],
    'with a shape of fractions': [one, { shape: [1.5, 2] }, /whole numbers of at least 1/],
    'with an axis that shape lacks': [one, { shape, axis: 2 }, /axis 2, expected an axis of the 2/],
    'with a negative axis that shape lacks': [one, { shape, axis: -3 }, /axis -3/],
    'with a fractional axis': [one, { shape, axis: 0.5 }, /axis 0.5, expected a whole number/],
    'with an unknown dtype': [
      one,
      { shape, dtype: 'bfloat16' },
      /'bfloat16', expected 'float16' or 'float32' or 'float64'/,
    ],
    'with an unknown operation': [one, { shape, operation: 'train' }, /'train', expected 'forward-training' or/],
    'with an unknown memory': [one, { shape, memory: 'device' }, /'device', expected 'host' or 'allocated'/],
    'with buffers as out': [one, { shape, out: [] }, /out array of 0, expected true or false/],
    'with an unknown preference': [one, { shape, prefer: 'size' }, /'size', expected 'speed' or 'accuracy'/],
    'with a budget of 0': [one, { shape, budgetMs: 0 }, /budgetMs 0, expected .* greater than 0; `measure: false`/],
    'with a negative budget': [one, { shape, budgetMs: -1 }, /budgetMs -1/],
    'with an endless budget': [one, { shape, budgetMs: Number.POSITIVE_INFINITY }, /budgetMs Infinity/],
    'with a budget that is no number': [one, { shape, budgetMs: '200' }, /budgetMs '200'/],
    'with a time-out of 0': [one, { shape, timeoutMs: 0 }, /timeoutMs 0/],
    'with measure that is no boolean': [one, { shape, measure: 'no' }, /measure 'no', expected true or false/],
    'with a pin that is a name': [one, { shape, pin: 'a' }, /pin 'a', expected the `report.pin` of a selection/],
    'with a pin without a device': [
      one,
      { shape, pin: { name: 'a', engine: 'e' } },
      /pin \{ name, engine \}, expected .* device/,
    ],
    'with a signal that is none': [one, { shape, signal: {} }, /signal Object, expected an AbortSignal/],
  };
  for (const [name, [candidates, options, message]] of Object.entries(cases)) {
    it(`${name}, before any factory is called`, async () => {
      await expectError('INVALID_OPTION', () => selectBackend(wrong(candidates), wrong(options)), message);
      expect(create).not.toHaveBeenCalled();
    });
  }

  it('with LIMIT_EXCEEDED where nobody can count its elements', async () => {
    const options = { shape: [2 ** 52, 3, 25] };
    await expectError('LIMIT_EXCEEDED', () => selectBackend(one, options), /shape \[4503599627370496, 3, 25\]/);
    expect(create).not.toHaveBeenCalled();
  });

  it('with a reason for each candidate where no memory holds the shape', async () => {
    const boundless = candidate('a', { maxElements: Number.POSITIVE_INFINITY });
    const attempt = () => select([boundless], { shape: [2 ** 46, 3] });
    await expectError('BACKEND_UNAVAILABLE', attempt, /a: LIMIT_EXCEEDED: received shape \[70368744177664, 3\]/);
    expect(boundless.made[0]!.disposals).toBe(1);
  });
});
