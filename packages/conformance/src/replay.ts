// Replays a golden case on a backend, through the layer, on host arrays and on device tensors, and compares every
// result.
import {
  type Backend,
  BatchNorm,
  type Dtype,
  type ErrorCode,
  elementsFrom,
  extentOf,
  type FloatArray,
  type Tensor,
  valuesPerChannel,
} from '@batchnorm/core-api';
import { accumulationOf } from './arithmetic.js';
import { boundsOf, exactly, RunningErrors } from './bounds.js';
import { type Check, compare, outcome } from './compare.js';
import { refuses } from './expect-refusal.js';
import { countedOf, type FixtureCase, type Golden, type GoldenStep, maskOfStep } from './fixtures/fixture-case.js';
import type { Normalization } from './magnitudes.js';
import { type ActivationMemory, activationMemory } from './memory/activation-memory.js';
import { kindsOf } from './memory/kinds.js';
import { batchStatistics } from './oracle.js';
import type { Quantity } from './tolerance.js';

/** Why a case can't be run in this dtype, or undefined. */
export function inapplicable({ steps }: FixtureCase, dtype: Dtype): string | undefined {
  const inputs = steps.flatMap(({ x, residual, dy }) => [x.data, residual?.data ?? [], dy?.data ?? []]);
  const exact = dtype === 'float64' || inputs.every((data) => Array.from(data).every(isFloat32));
  return exact ? undefined : 'its inputs are not float32 numbers';
}

const isFloat32 = (value: number) => Object.is(Math.fround(value), value);

/** The shapes of its activations. */
export function shapesOf({ steps }: FixtureCase): (readonly number[])[] {
  return steps.map(({ x }) => x.shape);
}

/** Runs a case and returns its checks, in order. Errors: whatever the backend fails with. */
export async function replay(fixture: FixtureCase, backend: Backend, dtype: Dtype): Promise<Check[]> {
  // One layer for both kinds of memory, so that kernels are compiled once.
  const layer = new BatchNorm({ ...fixture.options, backend, dtype });
  const checks: Check[] = [];
  try {
    for (const kind of kindsOf(backend, dtype)) {
      const memory = activationMemory(kind, backend);
      try {
        const where = { host: '', allocated: 'in allocated tensors, ', device: 'on the device, ' }[kind];
        for (const check of await new Replay(fixture, layer, memory).run()) {
          checks.push({ ...check, what: `${where}${check.what}` });
        }
      } finally {
        memory.dispose();
      }
    }
    return checks;
  } finally {
    await layer.dispose();
  }
}

class Replay {
  readonly #fixture: FixtureCase;
  readonly #layer: BatchNorm;
  readonly #memory: ActivationMemory;
  readonly #errors: RunningErrors;

  constructor(fixture: FixtureCase, layer: BatchNorm, memory: ActivationMemory) {
    this.#fixture = fixture;
    this.#layer = layer;
    this.#memory = memory;
    this.#errors = new RunningErrors(fixture.options.numFeatures);
  }

  async run(): Promise<Check[]> {
    await this.#start();
    const checks: Check[] = [];
    for (const [index, step] of this.#fixture.steps.entries()) {
      const name = `${step.training ? 'step' : 'inference step'} ${index + 1}`;
      checks.push(...(step.error ? await this.#refusal(name, step.error, step) : await this.#step(name, step)));
    }
    return checks;
  }

  /** Gives the layer the state that the case starts from; what the case does not have stays as in a new layer. */
  async #start(): Promise<void> {
    const { gamma, beta, runningMean, runningVariance, batchesTracked, options } = this.#fixture;
    const { scale, center, trackRunningStatistics, numFeatures } = options;
    const vector = (given: Golden | null | undefined, has: boolean, initial: number) =>
      given ? Array.from(given.data) : new Array<number>(has ? numFeatures : 0).fill(initial);
    await this.#layer.loadState({
      formatVersion: 1,
      numFeatures,
      gamma: vector(gamma, scale, 1),
      beta: vector(beta, center, 0),
      runningMean: vector(runningMean, trackRunningStatistics, 0),
      runningVariance: vector(runningVariance, trackRunningStatistics, 1),
      batchesTracked: batchesTracked ?? 0,
    });
    if (trackRunningStatistics) {
      this.#errors.reset({ mean: this.#layer.runningMean, variance: this.#layer.runningVariance });
    }
  }

  /**
   * A forward that must be refused, and changes nothing. On the device a batch that is not finite is refused when it
   * settles.
   */
  async #refusal(name: string, code: ErrorCode, step: GoldenStep): Promise<Check[]> {
    const before = JSON.stringify(await this.#layer.state());
    const refusal = await refuses(`${name} forward`, code, async () => {
      await this.#forward(step);
      await this.#layer.settle();
    });
    const unchanged = JSON.stringify(await this.#layer.state()) === before;
    return [refusal, outcome(`${name} state`, unchanged, ': received another than before, expected the same')];
  }

  async #step(name: string, golden: GoldenStep): Promise<Check[]> {
    const { training } = golden;
    const layer = this.#layer;
    const { dtype, axis, epsilon, trackRunningStatistics, backend, runningVariance } = layer.options;
    const { momentum } = this.#fixture.options;
    const accumulation = accumulationOf(backend, dtype);
    const extent = extentOf(golden.x.shape, axis);
    const mask = training || !trackRunningStatistics ? countedOf(golden, axis) : undefined;
    const batch = batchStatistics(golden.x.data, extent, mask);
    if (training && trackRunningStatistics) {
      const n = layer.batchesTracked;
      const kept = momentum === 'cumulative' ? n / (n + 1) : momentum;
      const M = mask?.count ?? valuesPerChannel(extent);
      this.#errors.track(batch, { accumulation, valuesPerChannel: M, kept, runningVariance });
    }
    const throughStatistics = training || !trackRunningStatistics;
    const normalization: Normalization = {
      ...(throughStatistics ? batch : { mean: layer.runningMean.slice(), variance: layer.runningVariance.slice() }),
      epsilon,
      ...this.#parameters(),
    };
    const received: Partial<Record<Quantity | 'dresidual', Tensor>> = {};
    const y = await this.#forward(golden);
    received.y = await this.#read(y);
    if (golden.dy) {
      const gradients = await layer.backward((await this.#put(golden.dy)) as Tensor);
      received.dx = await this.#read(gradients.dx);
      if (gradients.dresidual) received.dresidual = await this.#read(gradients.dresidual);
      for (const quantity of ['dgamma', 'dbeta'] as const) {
        received[quantity] = vectorOf(await this.#memory.read(gradients[quantity]));
      }
    }
    await layer.settle();
    received.runningMean = vectorOf(layer.runningMean);
    received.runningVariance = vectorOf(layer.runningVariance);

    const bounds = boundsOf({
      ...{ dtype, accumulation, extent, x: golden.x.data, mask, residual: golden.residual?.data },
      dy: golden.dy ? this.#passed(golden.dy.data, received.y.data) : undefined,
      ...{ normalization, throughStatistics, running: this.#errors },
    });
    const checks = quantities.flatMap((quantity) => {
      const [got, want] = [received[quantity], golden[quantity]];
      if (!got || !want) return [];
      const expected = {
        ...want,
        ...bounds[quantity],
        dtype: quantity === 'y' || quantity === 'dx' ? dtype : ('float64' as const),
        rounding: golden.tolerance ?? {},
      };
      return [{ what: `${name} ${quantity}`, ...compare(got, expected) }];
    });
    return [
      ...checks,
      ...dresidualCheck(name, received.dresidual, golden, dtype),
      notNegative(`${name} runningVariance`, layer.runningVariance),
      ...countCheck(name, layer.batchesTracked, golden.batchesTracked),
    ];
  }

  /** As the case has them; ones and zeros where it has none. */
  #parameters(): { readonly gamma: ArrayLike<number>; readonly beta: ArrayLike<number> } {
    const { gamma, beta, options } = this.#fixture;
    const { numFeatures: C } = options;
    return { gamma: gamma?.data ?? new Float64Array(C).fill(1), beta: beta?.data ?? new Float64Array(C) };
  }

  async #forward(golden: GoldenStep): Promise<Tensor> {
    const { training, x, residual } = golden;
    const mask = maskOfStep(golden);
    const added = residual && ((await this.#put(residual)) as Tensor);
    const given = { training, ...(mask && { mask }), ...(added && { residual: added }) };
    return this.#layer.forward((await this.#put(x)) as Tensor, given);
  }

  /** g: what of dy passes where y is not 0. */
  #passed(dy: ArrayLike<number>, y: FloatArray): ArrayLike<number> {
    if (this.#layer.options.activation === 'none') return dy;
    const passed = new Float64Array(dy);
    for (let k = 0; k < passed.length; k++) if (y[k]! <= 0) passed[k] = 0;
    return passed;
  }

  #put({ data, shape }: Golden) {
    const { dtype } = this.#layer.options;
    return this.#memory.put(elementsFrom(dtype, data), shape);
  }

  async #read(tensor: Tensor): Promise<Tensor> {
    return { data: await this.#memory.read(tensor), shape: tensor.shape };
  }
}

const quantities: readonly Quantity[] = ['y', 'dx', 'dgamma', 'dbeta', 'runningMean', 'runningVariance'];

/** What passed is not computed: it has no bound but that of rounded golden values. */
function dresidualCheck(
  name: string,
  received: Tensor | undefined,
  { residual, dy, dresidual, tolerance }: GoldenStep,
  dtype: Dtype,
): Check[] {
  if (!residual || !dy) return [];
  const what = `${name} dresidual`;
  if (!received) return [outcome(what, false, ': received none, expected one after a forward with a residual')];
  if (!dresidual) return [];
  const expected = { ...dresidual, ...exactly(dresidual.data.length), dtype, rounding: tolerance ?? {} };
  return [{ what, ...compare(received, expected) }];
}

/** Far from zero the bound of a variance can exceed the variance; a negative one is wrong in any case. */
function notNegative(what: string, variance: Float64Array): Check {
  const c = variance.findIndex((value) => value < 0);
  return outcome(what, c < 0, `[${c}]: received ${variance[c]}, expected a number that is not negative`);
}

function countCheck(name: string, got: number, want: number | null | undefined): Check[] {
  if (want === undefined || want === null) return [];
  return [outcome(`${name} batchesTracked`, got === want, `: received ${got}, expected ${want}`)];
}

function vectorOf(data: FloatArray): Tensor {
  return { data, shape: [data.length] };
}
