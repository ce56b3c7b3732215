// Wrong in their stages alone: their operations are fused, and right.
import {
  type Backend,
  type GradientSums,
  type Kernels,
  type Memory,
  type Moments,
  type NormalizeInput,
  type OnDevice,
  operationsOf,
  type Saved,
  type Stages,
  statisticsOf,
} from '@batchnorm/core-api';
import { codeOf, copyOf, tensor } from './programs.js';
import { contentsOf, copyOfMoments, type RightSaved, type Stored } from './right-backend.js';
import { stagesOnDevice, stagesOnHost } from './wrap.js';
import type { WrongBackend } from './wrong-backend.js';

type Where = 'host' | 'device';

const [rows, channels] = [6, 4];
const [x, dy] = [tensor([rows, channels]), tensor([rows, channels], 2)];
const [gamma, beta] = [Float64Array.of(1, 2, 3, 4), Float64Array.of(4, 3, 2, 1)];
const vectors = { gamma, beta, epsilon: 1e-3, y: undefined };
const none = { dx: undefined, dgamma: undefined, dbeta: undefined };
const given = { mean: Float64Array.of(1, 0, -1, 0), variance: Float64Array.of(1, 2, 3, 4) };

const kernelsOf = async (backend: Backend, outer = rows, inner = 1): Promise<Kernels> =>
  backend.prepare({ extent: { outer, channels, inner }, dtype: 'float32' });

const on = (where: Where, kernels: Kernels): Stages<Memory> => (where === 'host' ? kernels : kernels.device!);

/** Rows of an activation, where the stages want them. */
async function put(backend: Backend, where: Where, { data }: typeof x, begin = 0, end = rows) {
  const part = { data: data.slice(begin * channels, end * channels), shape: [end - begin, channels] };
  return where === 'host' ? part.data : backend.upload(part);
}

async function read<T extends Moments | GradientSums>(found: T | OnDevice<T>): Promise<T> {
  return structuredClone('read' in found ? await found.read() : found);
}

async function seen(results: object): Promise<unknown> {
  const copies = [];
  for (const result of Object.values(results)) copies.push(await copyOf(result));
  return copies;
}

/** Without what other batches add to a total. */
const alone = <I extends { readonly sums: unknown; readonly total: unknown }>(input: I): I => ({
  ...input,
  total: input.total && (input.sums ?? input.total),
});

/** Two parts of a batch, each normalised by the moments of all, with a gradient through the sums of all. */
const parts = (where: Where) => async (backend: Backend) => {
  const whole = on(where, await kernelsOf(backend));
  const [all, upstream] = [await put(backend, where, x), await put(backend, where, dy)];
  const moments = await read(await whole.moments({ x: all, epsilon: 1e-3 }));
  const { saved } = await whole.normalize({ ...vectors, x: all, by: { batch: moments } });
  const total = await read(await whole.gradientSums({ saved, dy: upstream }));
  const results: unknown[] = [];
  for (const [begin, end] of [
    [0, 2],
    [2, rows],
  ] as const) {
    const stages = on(where, await kernelsOf(backend, end - begin));
    const part = { x: await put(backend, where, x, begin, end), dy: await put(backend, where, dy, begin, end) };
    await stages.moments({ x: part.x, epsilon: 1e-3 });
    const { y, saved } = await stages.normalize({ ...vectors, x: part.x, by: { batch: moments } });
    const sums = await stages.gradientSums({ saved, dy: part.dy });
    const { dx } = await stages.inputGradient({ saved, dy: part.dy, ...none, sums: undefined, total });
    const gradients = await stages.inputGradient({ saved, dy: part.dy, ...none, sums, total });
    results.push(await seen({ y, dx }), await seen(gradients));
  }
  return results;
};

/** Two batches on the same stages, one stage of both after the other. */
const interleaved = (where: Where) => async (backend: Backend) => {
  const stages = on(where, await kernelsOf(backend));
  const batches = [
    { x: await put(backend, where, x), dy: await put(backend, where, dy) },
    { x: await put(backend, where, dy), dy: await put(backend, where, x) },
  ];
  const kept = async <T extends Moments | GradientSums>(found: T | OnDevice<T>) =>
    where === 'host' ? read(found) : found;
  const moments: NormalizeInput<Memory>['by'][] = [];
  for (const { x } of batches) moments.push({ batch: await kept(await stages.moments({ x, epsilon: 1e-3 })) });
  const forwards = [];
  for (const [n, { x }] of batches.entries()) {
    forwards.push(await stages.normalize({ ...vectors, x, by: moments[n]! }));
  }
  const sums: GradientSums[] = [];
  for (const [n, { dy }] of batches.entries()) {
    const found = await stages.gradientSums({ saved: forwards[n]!.saved, dy });
    sums.push((await kept(found)) as GradientSums);
  }
  const results: unknown[] = [];
  for (const [n, { dy }] of batches.entries()) {
    const { y, saved } = forwards[n]!;
    const own = { sums: sums[n]!, total: sums[n]! };
    results.push(await copyOf(y), await seen(await stages.inputGradient({ saved, dy, ...none, ...own })));
  }
  return results;
};

/** The gradients of a forward by stages, by whole operations, and the other way round. */
const eitherHalf = (where: Where, training: boolean) => async (backend: Backend) => {
  const kernels = await kernelsOf(backend);
  const stages = on(where, kernels);
  const operations = operationsOf(stages);
  const [input, upstream] = [await put(backend, where, x), await put(backend, where, dy)];
  const by = training ? { batch: await stages.moments({ x: input, epsilon: 1e-3 }) } : { given };
  const byStages = await stages.normalize({ ...vectors, x: input, by });
  const byOperations = await (training
    ? operations.forwardTraining({ ...vectors, x: input, requireFinite: true })
    : operations.forwardInference({ ...vectors, x: input, ...given }));
  const backward = { dy: upstream, ...none };
  const [first, last] = [byStages.saved, byOperations.saved];
  const ofOperations = await (training
    ? operations.backwardTraining({ ...backward, saved: first, parameterGradients: true })
    : operations.backwardInference({ ...backward, saved: first, parameterGradients: true }));
  const sums = await stages.gradientSums({ saved: last, dy: upstream });
  const ofStages = await stages.inputGradient({ ...backward, saved: last, sums, total: training ? sums : null });
  return [await seen(ofOperations), await seen(ofStages)];
};

/** The moments of a batch of runs, when other stages have been called. */
const momentsAfter = (where: Where) => async (backend: Backend) => {
  const stages = on(where, await kernelsOf(backend, 2, 3));
  const runs = { data: x.data, shape: [2, channels, 3] };
  const input = where === 'host' ? runs.data : await backend.upload(runs);
  const moments = await stages.moments({ x: input, epsilon: 1e-3 });
  await stages.normalize({ ...vectors, x: input, by: { given } });
  const { count, mean, m2 } = await read(moments);
  return [count, mean, m2];
};

const together = (where: Where) => `moments and sums of parts are put together [${where}]`;
const unchanged = (where: Where) => `what a stage found out does not change [${where}]`;
const alike = (where: Where) => `stages give what operations give [${where}]`;

export const stages: readonly WrongBackend[] = [
  {
    name: 'normalize by its own moments',
    caughtBy: together('host'),
    why: 'normalize computes the moments of its x, whatever it is given',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({
        normalize: (input) =>
          stages.normalize(input.by.batch ? { ...input, by: { batch: stages.moments(input) } } : input),
      })),
    program: parts('host'),
  },
  {
    name: 'merged moments are not uploaded',
    caughtBy: together('device'),
    why: 'normalize on the device goes by the latest moments on the device where it is given others on the host',
    spoil: (right) =>
      stagesOnDevice(right, (stages) => {
        let latest: OnDevice<Moments>;
        return {
          moments: async (input) => {
            latest = await stages.moments(input);
            return latest;
          },
          normalize: ({ by, ...input }) =>
            stages.normalize({ ...input, by: by.batch && 'm2' in by.batch ? { batch: latest } : by }),
        };
      }),
    program: parts('device'),
  },
  {
    name: 'the means of the parts',
    caughtBy: together('host'),
    why: 'the variance is m2 over the number of values of this x, not of those that were merged',
    spoil: (right) =>
      stagesOnHost(right, (stages, { extent: { outer, inner } }) => ({
        normalize: ({ by, ...input }) =>
          stages.normalize({ ...input, by: by.batch ? { batch: { ...by.batch, count: outer * inner } } : by }),
      })),
    program: parts('host'),
  },
  {
    name: 'merged squares that are none',
    caughtBy: 'squares that only merging makes are right, or refused [host]',
    why: 'moments are looked at where they are made; of merged ones y is beta, because their m2 is 0',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({
        normalize({ by, ...input }) {
          if (!by.batch) return stages.normalize({ ...input, by });
          const output = stages.normalize({ ...input, by: { given: statisticsOf(by.batch) } });
          Object.assign(output.saved, { M: by.batch.count });
          return output;
        },
      })),
    program: async (backend) => {
      const stages = await kernelsOf(backend);
      const constant = x.data.map(() => 1e-30);
      const batch = { count: 2 * rows, mean: new Float64Array(channels), m2: new Float64Array(channels) };
      const input = { ...vectors, epsilon: 0, x: constant, by: { batch } };
      return codeOf(async () => stages.normalize(input));
    },
  },
  {
    name: 'M of the plan',
    caughtBy: together('host'),
    why: 'y is right, but dx divides by the number of values of this x, not of those that were merged',
    spoil: (right) =>
      stagesOnHost(right, (stages, { extent: { outer, inner } }) => ({
        normalize(input) {
          const output = stages.normalize(input);
          if (input.by.batch) Object.assign(output.saved, { M: outer * inner });
          return output;
        },
      })),
    program: parts('host'),
  },
  {
    name: 'M of the plan, on the device',
    caughtBy: together('device'),
    why: 'dx on the device divides by the number of values of this x',
    spoil: (right) =>
      stagesOnDevice(right, (stages, { extent: { outer, inner } }) => ({
        async normalize(input) {
          const output = await stages.normalize(input);
          if (input.by.batch) Object.assign(output.saved, { M: outer * inner });
          return output;
        },
      })),
    program: parts('device'),
  },
  {
    name: 'sums for total',
    caughtBy: together('host'),
    why: 'dx goes through the sums of this dy, whatever the total is',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({ inputGradient: (input) => stages.inputGradient(alone(input)) })),
    program: parts('host'),
  },
  {
    name: 'sums for total, on the device',
    caughtBy: together('device'),
    why: 'a total on the host is ignored where there are sums on the device',
    spoil: (right) =>
      stagesOnDevice(right, (stages) => ({ inputGradient: (input) => stages.inputGradient(alone(input)) })),
    program: parts('device'),
  },
  {
    name: 'total for sums',
    caughtBy: together('host'),
    why: 'dgamma and dbeta are those of all parts',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({
        inputGradient: (input) => stages.inputGradient({ ...input, sums: input.sums && (input.total ?? input.sums) }),
      })),
    program: parts('host'),
  },
  {
    name: 'no sums, no total',
    caughtBy: together('host'),
    why: 'where nobody asks for dgamma and dbeta, dx is as if statistics were constant',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({
        inputGradient: (input) => stages.inputGradient({ ...input, total: input.sums ? input.total : null }),
      })),
    program: parts('host'),
  },
  {
    name: 'moments in the memory of normalize',
    caughtBy: unchanged('host'),
    why: 'the moments that were answered are gone when normalize has been called',
    spoil: (right) =>
      stagesOnHost(right, (stages, { extent: { channels } }) => {
        let latest: Moments = { count: 0, mean: new Float64Array(channels), m2: new Float64Array(channels) };
        return {
          moments(input) {
            latest = stages.moments(input);
            return latest;
          },
          normalize(input) {
            const output = stages.normalize(input);
            latest.m2.set((output.saved as RightSaved).invStd);
            return output;
          },
        };
      }),
    program: momentsAfter('host'),
  },
  {
    name: 'moments of the latest call, on the device',
    caughtBy: unchanged('device'),
    why: 'moments are in one place for all calls: normalize by earlier ones goes by the latest',
    spoil: (right) =>
      stagesOnDevice(right, (stages) => {
        let latest: OnDevice<Moments>;
        return {
          moments: async (input) => {
            latest = await stages.moments(input);
            return latest;
          },
          normalize: ({ by, ...input }) =>
            stages.normalize({ ...input, by: by.batch && 'read' in by.batch ? { batch: latest } : by }),
        };
      }),
    program: interleaved('device'),
  },
  {
    name: 'moments are those of rows',
    caughtBy: together('device'),
    why: 'the count that is read from the device is the number of rows, where each has a run of values',
    spoil: (right) =>
      stagesOnDevice(right, (stages, { extent: { outer } }) => ({
        async moments(input) {
          const moments = (await stages.moments(input)) as Stored<Moments>;
          const counted = (value: Moments) => ({ ...copyOfMoments(value), count: outer });
          const read = async () => counted(contentsOf(moments));
          return Object.assign(moments, { read });
        },
      })),
    program: momentsAfter('device'),
  },
  {
    name: 'sums of the latest call',
    caughtBy: unchanged('host'),
    why: 'inputGradient goes by the sums that its kernels added up last, not by those that it is given',
    spoil: (right) =>
      stagesOnHost(right, (stages) => {
        let latest: GradientSums;
        return {
          gradientSums(input) {
            latest = stages.gradientSums(input);
            return latest;
          },
          inputGradient: (input) =>
            stages.inputGradient({
              ...input,
              sums: input.sums && latest,
              total: input.total === input.sums ? input.total && latest : input.total,
            }),
        };
      }),
    program: interleaved('host'),
  },
  {
    name: 'sums of the latest call, on the device',
    caughtBy: unchanged('device'),
    why: 'sums are in one place for all calls: dx and dgamma by earlier ones are those of the latest',
    spoil: (right) =>
      stagesOnDevice(right, (stages) => {
        let latest: OnDevice<GradientSums>;
        return {
          gradientSums: async (input) => {
            latest = await stages.gradientSums(input);
            return latest;
          },
          inputGradient: (input) =>
            stages.inputGradient({
              ...input,
              sums: input.sums && latest,
              total: input.total === input.sums ? input.total && latest : input.total,
            }),
        };
      }),
    program: interleaved('device'),
  },
  {
    name: 'given statistics are taken for those of a batch',
    caughtBy: alike('host'),
    why: 'dx goes through statistics that were given, as if x had a part in them',
    spoil: (right) =>
      stagesOnHost(right, (stages, { extent: { outer, inner } }) => ({
        inputGradient: ({ saved, ...input }) =>
          stages.inputGradient({
            ...input,
            saved: Object.assign(saved, { M: outer * inner }),
            total: input.total ?? input.sums ?? null,
          }),
      })),
    program: eitherHalf('host', false),
  },
  {
    name: 'epsilon is in the moments',
    caughtBy: alike('host'),
    why: 'moments have epsilon in m2, and normalize adds it again',
    spoil: (right) =>
      stagesOnHost(right, (stages) => ({
        moments(input) {
          const { count, mean, m2 } = stages.moments(input);
          return { count, mean, m2: m2.map((square) => square + count * input.epsilon) };
        },
      })),
    program: momentsAfter('host'),
  },
  {
    name: 'a saved forward for stages alone',
    caughtBy: alike('host'),
    why: 'what normalize saves has another form than what a fused forward saves, and the fused backward fails on it',
    spoil: (right) =>
      stagesOnHost(right, (stages) => {
        const saved = new WeakMap<Saved, Saved>();
        const original = <I extends { readonly saved: Saved }>(input: I): I => ({
          ...input,
          saved: saved.get(input.saved) ?? input.saved,
        });
        return {
          normalize(input) {
            const output = stages.normalize(input);
            const closed: Saved = { dispose: () => output.saved.dispose() };
            saved.set(closed, output.saved);
            return { ...output, saved: closed };
          },
          gradientSums: (input) => stages.gradientSums(original(input)),
          inputGradient: (input) => stages.inputGradient(original(input)),
        };
      }),
    program: eitherHalf('host', true),
  },
  {
    name: 'a saved forward on the device that is fused, or not',
    caughtBy: alike('device'),
    why: 'stages know what normalize has saved; of what a fused forward has saved, their sums are zeros',
    spoil: (right) =>
      stagesOnDevice(right, (stages) => {
        const known = new WeakSet<Saved>();
        return {
          async normalize(input) {
            const output = await stages.normalize(input);
            known.add(output.saved);
            return output;
          },
          async gradientSums(input) {
            const sums = (await stages.gradientSums(input)) as Stored<GradientSums>;
            if (!known.has(input.saved)) for (const vector of Object.values(contentsOf(sums))) vector.fill(0);
            return sums;
          },
        };
      }),
    program: eitherHalf('device', true),
  },
];
