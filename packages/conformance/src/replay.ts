// Replays a golden case on a backend, through the layer, and compares every result.
import {
  type Backend,
  BatchNorm,
  type Dtype,
  type ErrorCode,
  extentOf,
  type Tensor,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { boundsOf, RunningErrors } from './bounds.js';
import { compare, outcome } from './compare.js';
import type { Check } from './conformance-case.js';
import { refuses } from './expect-refusal.js';
import type { FixtureCase, Golden, GoldenStep } from './fixtures/fixture-case.js';
import type { Normalization } from './magnitudes.js';
import { batchStatistics } from './oracle.js';
import type { Quantity } from './tolerance.js';

/** Why a case says nothing about this dtype, or undefined. */
export function inapplicable({ steps }: FixtureCase, dtype: Dtype): string | undefined {
  const inputs = steps.flatMap(({ x, dy }) => [x.data, dy?.data ?? []]);
  const exact = dtype === 'float64' || inputs.every((data) => Array.from(data).every(isFloat32));
  return exact ? undefined : 'its inputs are not float32 numbers';
}

const isFloat32 = (value: number) => Object.is(Math.fround(value), value);

/** Runs a case and returns its checks, in order. Errors: whatever the backend fails with. */
export async function replay(fixture: FixtureCase, backend: Backend, dtype: Dtype): Promise<Check[]> {
  const layer = new BatchNorm({ ...fixture.options, backend, dtype });
  try {
    await start(layer, fixture);
    const running = new RunningErrors(fixture.options.numFeatures);
    running.reset({ mean: layer.runningMean, variance: layer.runningVariance });
    const checks: Check[] = [];
    for (const [index, step] of fixture.steps.entries()) {
      const name = `${step.training ? 'step' : 'inference step'} ${index + 1}`;
      if (step.error) checks.push(...(await replayRefusal(name, step.error, step, layer)));
      else checks.push(...(await replayStep(name, step, layer, fixture, running)));
    }
    return checks;
  } finally {
    await layer.dispose();
  }
}

/** Gives a new layer the state that the case starts from. */
async function start(layer: BatchNorm, fixture: FixtureCase): Promise<void> {
  const { gamma, beta, runningMean, runningVariance, batchesTracked } = fixture;
  const own = await layer.state();
  await layer.loadState({
    ...own,
    ...(gamma && { gamma: Array.from(gamma.data) }),
    ...(beta && { beta: Array.from(beta.data) }),
    ...(runningMean && { runningMean: Array.from(runningMean.data) }),
    ...(runningVariance && { runningVariance: Array.from(runningVariance.data) }),
    batchesTracked: batchesTracked ?? own.batchesTracked,
  });
}

/** A forward that must be refused, and changes nothing. */
async function replayRefusal(
  name: string,
  code: ErrorCode,
  { x, training }: GoldenStep,
  layer: BatchNorm,
): Promise<Check[]> {
  const before = JSON.stringify(await layer.state());
  const refusal = await refuses(`${name} forward`, code, () =>
    layer.forward(tensorOf(x, layer.options.dtype), { training }),
  );
  const unchanged = JSON.stringify(await layer.state()) === before;
  return [refusal, outcome(`${name} state`, unchanged, ': received another than before, expected the same')];
}

async function replayStep(
  name: string,
  golden: GoldenStep,
  layer: BatchNorm,
  fixture: FixtureCase,
  running: RunningErrors,
): Promise<Check[]> {
  const { training } = golden;
  const { dtype, axis, epsilon, trackRunningStatistics, numFeatures, backend } = layer.options;
  const { momentum, runningVariance } = layer.options;
  // What `execution` declares is of float32 activations: nobody adds up float64 in less.
  const accumulation = dtype === 'float64' ? 'float64' : backend.execution.accumulation;
  const extent = extentOf(golden.x.shape, axis);
  const batch = batchStatistics(golden.x.data, extent);
  if (training && trackRunningStatistics) {
    const n = layer.batchesTracked;
    const kept = momentum === 'cumulative' ? n / (n + 1) : momentum;
    running.track(batch, { accumulation, valuesPerChannel: valuesPerChannel(extent), kept, runningVariance });
  }

  const throughStatistics = training || !trackRunningStatistics;
  const normalization: Normalization = {
    ...(throughStatistics ? batch : { mean: layer.runningMean.slice(), variance: layer.runningVariance.slice() }),
    epsilon,
    gamma: fixture.gamma?.data ?? new Float64Array(numFeatures).fill(1),
    beta: fixture.beta?.data ?? new Float64Array(numFeatures),
  };
  const y = await layer.forward(tensorOf(golden.x, dtype), { training });
  const gradients = golden.dy ? await layer.backward(tensorOf(golden.dy, dtype)) : undefined;

  const bounds = boundsOf({
    dtype,
    accumulation,
    extent,
    x: golden.x.data,
    dy: golden.dy?.data,
    normalization,
    throughStatistics,
    running,
  });
  const checks: Check[] = [];
  const check = (quantity: Quantity, got: Tensor | undefined, want: Golden | null | undefined) => {
    if (!got || !want) return;
    const isActivation = quantity === 'y' || quantity === 'dx';
    const rounding = golden.tolerance ?? {};
    const expected = { ...want, dtype: isActivation ? dtype : 'float64', ...bounds[quantity], rounding } as const;
    checks.push({ what: `${name} ${quantity}`, ...compare(got, expected) });
  };
  check('y', y, golden.y);
  check('dx', gradients?.dx, golden.dx);
  check('dgamma', vectorOf(gradients?.dgamma), golden.dgamma);
  check('dbeta', vectorOf(gradients?.dbeta), golden.dbeta);
  check('runningMean', vectorOf(layer.runningMean), golden.runningMean);
  check('runningVariance', vectorOf(layer.runningVariance), golden.runningVariance);
  checks.push(...countCheck(name, layer.batchesTracked, golden.batchesTracked));
  return checks;
}

function countCheck(name: string, got: number, want: number | null | undefined): Check[] {
  if (want === undefined || want === null) return [];
  return [outcome(`${name} batchesTracked`, got === want, `: received ${got}, expected ${want}`)];
}

function tensorOf({ data, shape }: Golden, dtype: Dtype): Tensor {
  return { data: dtype === 'float64' ? Float64Array.from(data) : Float32Array.from(data), shape };
}

function vectorOf(data: Float64Array | undefined): Tensor | undefined {
  return data && { data, shape: [data.length] };
}
