// Stages by themselves: what a layer relies on when something stands between them, such as the moments of other batches.
import type { GradientSums, Memory, Moments, NormalizeInput, OnDevice, Saved, Stages } from '@batchnorm/core-api';
import { accumulationOf } from '../arithmetic.js';
import { boundsOf } from '../bounds.js';
import { channelOf } from '../channels.js';
import { type Check, compare, identical, outcome } from '../compare.js';
import { errorCode } from '../expect-refusal.js';
import { shownBy } from '../gates.js';
import { backward, batchStatistics, forward, preactivation } from '../oracle.js';
import { countedIn, type Gradients, type KernelScene, type Parameters, same } from './kernel-scene.js';
import type { Rule } from './rule.js';

type Activation = Memory['activation'];
type Results = Gradients & { readonly y: Gradients['dx'] };

const none = { dx: undefined, dgamma: undefined, dbeta: undefined };

/** A batch of a scene, and what normalises it. */
interface Batch {
  readonly x: Gradients['dx'];
  readonly dy: Gradients['dx'];
  readonly parameters: Parameters;
}

const batchOf = async (scene: KernelScene, seed: number): Promise<Batch> => ({
  x: scene.values(seed),
  dy: scene.values(seed + 1),
  parameters: await scene.parameters(seed),
});

/** Results that have been given, against the oracle, within the bounds of the whole batch. `y` has their gates. */
function againstOracle(
  { backend, dtype, extent, shape, activation }: KernelScene,
  { x, dy, parameters: { gamma, beta, epsilon, mean, variance, ...given } }: Batch,
  training: boolean,
  results: Partial<Results>,
  y: Results['y'],
  when: string,
): Check[] {
  const mask = training ? given.mask : undefined;
  const residual = given.residual?.values;
  const statistics = training ? batchStatistics(x, extent, mask) : { mean, variance };
  const normalization = { ...statistics, epsilon, gamma, beta };
  const extras = { mask, residual, throughStatistics: training };
  const step = { dtype, accumulation: accumulationOf(backend, dtype), extent, x, normalization, ...extras };
  const input = { extent, x, gamma, beta, epsilon, statistics, activation, ...extras };
  const { dresidual, ...gradients } = backward(
    input,
    dy,
    shownBy(y, { z: preactivation(input), bound: boundsOf(step).y }),
  );
  const golden = { y: forward(input), ...gradients };
  const bounds = boundsOf({ ...step, dy: dresidual });
  return (Object.keys(results) as (keyof Results)[]).map((name) => {
    if (name === 'dresidual') return identical(`${when}: dresidual`, Float64Array.from(results[name]!), dresidual);
    const ofActivation = name === 'y' || name === 'dx';
    const of = ofActivation ? { shape, dtype } : { shape: [extent.channels], dtype: 'float64' as const };
    const received = { data: results[name]!, shape: of.shape };
    return { what: `${when}: ${name}`, ...compare(received, { ...of, data: golden[name], ...bounds[name] }) };
  });
}

/** What normalises the batch: moments that the stages find, or the given statistics. */
async function normalizerOf(
  scene: KernelScene,
  stages: Stages<Memory>,
  x: Activation,
  { epsilon, mean, variance, mask }: Parameters,
  training: boolean,
): Promise<NormalizeInput<Memory>['by']> {
  if (!training) return { given: { mean, variance } };
  return { batch: scene.own(await stages.moments({ x, epsilon, mask })) };
}

/** y and the saved forward of stages. A mask is of the moments of a batch: given statistics have none. */
async function normalized(
  scene: KernelScene,
  stages: Stages<Memory>,
  x: Activation,
  { gamma, beta, epsilon, ...given }: Parameters,
  by: NormalizeInput<Memory>['by'],
): Promise<{ y: Activation; saved: Saved }> {
  const mask = by.batch && given.mask;
  const residual = given.residual?.put;
  return scene.ownForward(await stages.normalize({ x, residual, mask, y: undefined, gamma, beta, epsilon, by }));
}

/** The gradients of stages; without `throughStatistics` those are constants. */
async function gradientsOf(
  scene: KernelScene,
  stages: Stages<Memory>,
  saved: Saved,
  dy: Gradients['dx'],
  throughStatistics: boolean,
): Promise<Gradients> {
  const upstream = await scene.put(dy);
  const sums = scene.own(await stages.gradientSums({ saved, dy: upstream }));
  const total = throughStatistics ? sums : null;
  return scene.read(await stages.inputGradient({ saved, dy: upstream, ...none, sums, total }));
}

/**
 * What a stage found out, for when it is called again: on the host a copy, on the device itself, which stays as it is.
 */
function kept<T extends Moments | GradientSums>(found: T | OnDevice<T>): T | OnDevice<T> {
  return 'read' in found ? found : copyOf(found);
}

/** A copy on the host. */
async function read<T extends Moments | GradientSums>(found: T | OnDevice<T>): Promise<T> {
  return copyOf('read' in found ? await found.read() : found);
}

function copyOf<T extends Moments | GradientSums>(found: T): T {
  const copy =
    'm2' in found
      ? { count: found.count, mean: found.mean.slice(), m2: found.m2.slice() }
      : { dgamma: found.dgamma.slice(), dbeta: found.dbeta.slice() };
  return copy as T;
}

/** Chan, Golub and LeVeque, 1983, The American Statistician 37. */
function merge(a: Moments, b: Moments): Moments {
  const count = a.count + b.count;
  const delta = b.mean.map((mean, c) => mean - a.mean[c]!);
  return {
    count,
    mean: a.mean.map((mean, c) => mean + (delta[c]! * b.count) / count),
    m2: a.m2.map((square, c) => square + b.m2[c]! + (delta[c]! ** 2 * a.count * b.count) / count),
  };
}

const sumOf = (a: GradientSums, b: GradientSums): GradientSums => ({
  dgamma: a.dgamma.map((value, c) => value + b.dgamma[c]!),
  dbeta: a.dbeta.map((value, c) => value + b.dbeta[c]!),
});

/** The parts, one after the other. */
function joined(parts: readonly Gradients['dx'][], like: Gradients['dx']): Gradients['dx'] {
  const whole = like.slice().fill(Number.NaN);
  let begin = 0;
  for (const part of parts) {
    whole.set(part, begin);
    begin += part.length;
  }
  return whole;
}

export const stageRules: readonly Rule[] = [
  {
    name: 'stages give what operations give',
    why: 'and either of them may be a forward, whose backward is the other',
    run: async (scene, training) => {
      const batch = await batchOf(scene, 1);
      const { x, dy, parameters } = batch;
      const checks: Check[] = [];
      for (const first of ['stages', 'operations']) {
        const kernels = await scene.prepare();
        const stages = scene.stages(kernels);
        const input = await scene.put(x);
        const { y, saved } =
          first === 'operations'
            ? await scene.forward(kernels, input, parameters, training)
            : await normalized(
                ...([scene, stages, input, parameters] as const),
                await normalizerOf(scene, stages, input, parameters, training),
              );
        const ofY = await scene.elements(y);
        const ofStages = { y: ofY, ...(await gradientsOf(scene, stages, saved, dy, training)) };
        const ofOperations = await scene.backward(kernels, saved, dy, training);
        checks.push(
          ...againstOracle(scene, batch, training, ofStages, ofY, `${first}, then stages`),
          ...againstOracle(scene, batch, training, ofOperations, ofY, `${first}, then operations`),
        );
      }
      return checks;
    },
  },
  {
    name: 'moments and sums of parts are put together',
    why: 'batches that lie in several places are normalised as one, each by the moments of all, and so are gradients',
    run: async (scene, training) => {
      if (!training) return [];
      const batch = await batchOf(scene, 1);
      const { x, dy, parameters } = batch;
      const { outer, channels, inner } = scene.extent;
      // Two of a size, which have the same kernels, and what is left.
      const half = outer >> 1;
      const sizes = outer > 2 * half ? [half, half, outer - 2 * half] : [half, half];
      const kernelsOf = new Map<number, Stages<Memory>>();
      for (const size of new Set(sizes)) {
        kernelsOf.set(size, scene.stages(await scene.prepare({ outer: size, channels, inner })));
      }
      const parts = [];
      let begin = 0;
      for (const size of sizes) {
        const end = begin + size * channels * inner;
        const put = (values: Gradients['dx']) => scene.put(values.subarray(begin, end), scene.shape.with(0, size));
        const { mask, residual } = parameters;
        const [from, to] = [begin / channels, end / channels];
        const own = {
          ...parameters,
          mask: mask && countedIn(mask.positions.slice(from, to)),
          residual: residual && { values: residual.values, put: await put(residual.values) },
        };
        parts.push({ stages: kernelsOf.get(size)!, x: await put(x), dy: await put(dy), own });
        begin = end;
      }

      const found = [];
      for (const { stages, x, own } of parts) {
        const { epsilon, mask } = own;
        // A part of which nothing counts has no moments, and is normalised by those of the others.
        if (mask?.count !== 0) found.push(await read(scene.own(await stages.moments({ x, epsilon, mask }))));
      }
      const moments = found.reduce(merge);
      const forwards = [];
      for (const { stages, x, own } of parts) {
        forwards.push(await normalized(scene, stages, x, own, { batch: moments }));
      }
      const sums = [];
      for (const [n, { stages, dy }] of parts.entries()) {
        sums.push(kept(scene.own(await stages.gradientSums({ saved: forwards[n]!.saved, dy }))));
      }
      const total = (await Promise.all(sums.map(read))).reduce(sumOf);
      const ofParts: Gradients[] = [];
      const checks: Check[] = [];
      for (const [n, { stages, dy }] of parts.entries()) {
        const { saved } = forwards[n]!;
        const own = await read(sums[n]!);
        const gradients = await scene.read(
          await stages.inputGradient({ saved, dy, ...none, sums: sums[n] as GradientSums, total }),
        );
        const { dx, dresidual } = await stages.inputGradient({ saved, dy, ...none, sums: undefined, total });
        for (const result of [dx, dresidual]) if (result) scene.own(result);
        ofParts.push(gradients);
        checks.push(
          identical(`dgamma of part ${n}`, gradients.dgamma, own.dgamma),
          identical(`dbeta of part ${n}`, gradients.dbeta, own.dbeta),
          identical(`dx of part ${n}, by the sums of all alone`, await scene.elements(dx), gradients.dx),
        );
      }
      const ys = [];
      for (const { y } of forwards) ys.push(await scene.elements(y));
      const all = {
        y: joined(ys, x),
        dx: joined(
          ofParts.map(({ dx }) => dx),
          dy,
        ),
        ...(parameters.residual && {
          dresidual: joined(
            ofParts.map(({ dresidual = dy.slice(0, 0) }) => dresidual),
            dy,
          ),
        }),
        ...total,
      };
      const count = parameters.mask?.count ?? outer * inner;
      return [
        outcome('count', moments.count === count, `: received ${moments.count}, expected ${count}`),
        ...againstOracle(scene, batch, true, all, all.y, 'of all parts'),
        ...checks,
      ];
    },
  },
  {
    name: 'squares that only merging makes are right, or refused',
    why: 'of constant parts that differ by little: normalize alone can see that their variance is beyond its arithmetic',
    run: async (scene, training) => {
      // What is added to z has no part in this.
      if (!training || scene.activation === 'relu') return [];
      const { outer, channels, inner } = scene.extent;
      const size = scene.dtype === 'float64' ? 1e-170 : 1e-30;
      const part = (value: number): Moments => ({
        count: outer * inner,
        mean: new Float64Array(channels).fill(value),
        m2: new Float64Array(channels),
      });
      const parameters = { ...(await scene.parameters(1)), epsilon: 0 };
      const x = await scene.put(scene.values(1).fill(size));
      const stages = scene.stages(await scene.prepare());
      try {
        const by = { batch: merge(part(size), part(-size)) };
        const y = await scene.elements((await normalized(scene, stages, x, parameters, by)).y);
        // xHat is 1.
        const { gamma, beta } = parameters;
        const isWrong = (value: number, k: number) => {
          const c = channelOf(k, scene.extent);
          if (!scene.memory.onHost && Number.isNaN(value)) return false;
          const error = Math.abs(value - gamma[c]! - beta[c]!);
          return !(error <= 1e-6 * (Math.abs(gamma[c]!) + Math.abs(beta[c]!)));
        };
        const wrong = y.findIndex(isWrong);
        return [outcome('y', wrong < 0, `[${wrong}]: received ${y[wrong]}, expected gamma + beta`)];
      } catch (error) {
        const code = errorCode(error);
        return [outcome('refusal', code === 'NON_FINITE_STATISTICS', `: received ${error}, expected y or that code`)];
      }
    },
  },
  {
    name: 'what a stage found out does not change',
    why: 'with other stages, and on the device not even with the same; nor is it what they go by',
    run: async (scene, training) => {
      const [first, second] = [await batchOf(scene, 1), await batchOf(scene, 3)];
      const wholeOf = async ({ x, dy, parameters }: Batch) => {
        const stages = scene.stages(await scene.prepare());
        const input = await scene.put(x);
        const by = await normalizerOf(scene, stages, input, parameters, training);
        const moments = by.batch && (await read(by.batch));
        const { y, saved } = await normalized(scene, stages, input, parameters, by);
        const upstream = await scene.put(dy);
        const sums = await read(scene.own(await stages.gradientSums({ saved, dy: upstream })));
        return {
          moments,
          sums,
          y: await scene.elements(y),
          ...(await gradientsOf(scene, stages, saved, dy, training)),
        };
      };
      const [want, wantOther] = [await wholeOf(first), await wholeOf(second)];

      const stages = scene.stages(await scene.prepare());
      const [x, other] = [await scene.put(first.x), await scene.put(second.x)];
      const [dy, otherDy] = [await scene.put(first.dy), await scene.put(second.dy)];
      const byOther = await normalizerOf(scene, stages, other, second.parameters, training);
      const keptOther = byOther.batch ? { batch: kept(byOther.batch) } : byOther;
      const by = await normalizerOf(scene, stages, x, first.parameters, training);
      const { saved: savedOther, y: yOther } = await normalized(scene, stages, other, second.parameters, keptOther);
      const { saved, y } = await normalized(scene, stages, x, first.parameters, by);
      const sumsOther = kept(scene.own(await stages.gradientSums({ saved: savedOther, dy: otherDy })));
      const sums = scene.own(await stages.gradientSums({ saved, dy }));
      const gradient = async (of: Saved, upstream: Activation, own: typeof sums) =>
        scene.read(
          await stages.inputGradient({ saved: of, dy: upstream, ...none, sums: own, total: training ? own : null }),
        );
      const gradientsOther = await gradient(savedOther, otherDy, sumsOther as typeof sums);
      const gradients = await gradient(saved, dy, sums);

      const checks = [
        identical('y', await scene.elements(y), want.y),
        identical('the other y', await scene.elements(yOther), wantOther.y),
        ...same('gradients', gradients, want),
        ...same('the other gradients', gradientsOther, wantOther),
      ];
      const foundSums = await read(sums as GradientSums | OnDevice<GradientSums>);
      checks.push(
        identical('sums: dgamma', foundSums.dgamma, want.sums.dgamma),
        identical('sums: dbeta', foundSums.dbeta, want.sums.dbeta),
      );
      if (by.batch && want.moments) {
        const moments = await read(by.batch);
        checks.push(
          identical('moments: mean', moments.mean, want.moments.mean),
          identical('moments: m2', moments.m2, want.moments.m2),
        );
      }
      return checks;
    },
  },
];
