// The four operations: on wasm memory as they are, on host arrays in parts that stay in cache.
import {
  allocate,
  assertFiniteStatistics,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  BatchNormError,
  type DeviceMemory,
  type Extent,
  type FloatArray,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type HostMemory,
  type Kernels,
  type MaybePromise,
  type Memory,
  type Operations,
  type Plan,
  type Statistics,
} from '@batchnorm/core-api';
import { attempt, Made } from './attempt.js';
import type { Crew } from './crew.js';
import { WasmStatistics, WasmTensor, WasmVector } from './device-tensor.js';
import { HostParts } from './host-parts.js';
import type { KernelMemory } from './memory.js';
import { type KernelExports, Passes } from './passes.js';
import { SavedForward } from './saved-forward.js';

/** A memory, and the kernels that compute in it. */
export interface Engine {
  readonly memory: KernelMemory;
  readonly exports: KernelExports;
  readonly crew: Crew | undefined;
}

/** What kernels need of their backend. */
export interface Engines {
  readonly backend: Backend;
  readonly host: Engine;
  readonly device: Engine;
  /** Errors: `DISPOSED`. */
  assertUsable(): void;
}

/** What operations on either kind of memory need: passes, and saved forwards to be had again. */
class Plant {
  readonly engine: Engine;
  readonly plan: Plan;
  readonly passes: Passes;
  /** Saved forwards that nobody holds: a training loop alternates between two of them and allocates none. */
  readonly #free: SavedForward[] = [];
  #disposed = false;

  constructor(engine: Engine, plan: Plan) {
    this.engine = engine;
    this.plan = plan;
    this.passes = new Passes(engine.memory, engine.exports, engine.crew, plan);
  }

  /** With copies of the parameters. */
  newSaved({ gamma, beta, epsilon }: ForwardInput<Memory>): SavedForward {
    const saved =
      this.#free.pop() ?? new SavedForward(this.engine.memory, this.plan.extent, (unheld) => this.#recycle(unheld));
    saved.gamma = gamma;
    saved.beta = beta;
    this.passes.epsilon = epsilon;
    return saved;
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const saved of this.#free.splice(0)) saved.free();
    this.passes.dispose();
  }

  #recycle(saved: SavedForward): void {
    if (this.#disposed) saved.free();
    else this.#free.push(saved);
  }
}

export class WasmKernels implements Kernels {
  readonly device: DeviceOperations;
  readonly #engines: Engines;
  readonly #plant: Plant;
  readonly #parts: HostParts;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(engines: Engines, plan: Plan) {
    this.#engines = engines;
    const { plant, parts, device } = attempt((made) => {
      const plant = made.keep(new Plant(engines.host, plan));
      const parts = made.keep(new HostParts(engines.host.memory, plant.passes, plan));
      const isShared = engines.device === engines.host;
      return {
        plant,
        parts,
        device: new DeviceOperations(engines, isShared ? plant : new Plant(engines.device, plan)),
      };
    });
    this.#plant = plant;
    this.#parts = parts;
    this.device = device;
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#engines.assertUsable();
    return attempt((made) => {
      const saved = made.keep(this.#plant.newSaved(input));
      const areFinite = this.#parts.forwardTraining(saved, input.x);
      const statistics = copyOf(saved);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      else if (!areFinite) assertInRange({ ...statistics }, input.x, this.#plant.plan.extent);
      const y = input.y ?? allocate(this.#plant.plan.dtype, input.x.length);
      this.#parts.deliver(saved, y);
      return { y, saved, statistics };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#engines.assertUsable();
    return attempt((made) => {
      const saved = made.keep(this.#plant.newSaved(input));
      saved.mean = input.mean;
      saved.variance = input.variance;
      const y = input.y ?? allocate(this.#plant.plan.dtype, input.x.length);
      this.#parts.forwardInference(saved, input.x, y);
      return { y, saved };
    });
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => {
      const areFinite = this.#parts.backwardTraining(saved, input.dy);
      if (!areFinite) assertInRange(this.#parts.gradients, input.dy, this.#plant.plan.extent, saved);
      this.#parts.deliverGradient(saved, dx);
    });
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => {
      this.#parts.backwardInference(saved, input.dy, dx, input.parameterGradients !== false);
    });
  }

  dispose(): void {
    this.#parts.dispose();
    this.#plant.dispose();
    this.device.dispose();
  }

  #backward(
    input: BackwardInput<HostMemory>,
    compute: (saved: SavedForward, dx: FloatArray) => void,
  ): BackwardOutput<HostMemory> {
    this.#engines.assertUsable();
    const { extent, dtype } = this.#plant.plan;
    const dx = input.dx ?? allocate(dtype, input.dy.length);
    const dgamma = input.dgamma ?? new Float64Array(extent.channels);
    const dbeta = input.dbeta ?? new Float64Array(extent.channels);
    compute(input.saved as SavedForward, dx);
    const { gradients } = this.#parts;
    dgamma.set(gradients.dgamma);
    dbeta.set(gradients.dbeta);
    return { dx, dgamma, dbeta };
  }
}

class DeviceOperations implements Operations<DeviceMemory> {
  readonly #engines: Engines;
  readonly #plant: Plant;

  constructor(engines: Engines, plant: Plant) {
    this.#engines = engines;
    this.#plant = plant;
  }

  dispose(): void {
    this.#plant.dispose();
  }

  forwardTraining(input: ForwardTrainingInput<DeviceMemory>): MaybePromise<ForwardTrainingOutput<DeviceMemory>> {
    const makeOutput = (made: Made) => {
      const { y, saved } = this.#forwardOutput(input, made);
      return { y, saved, statistics: made.keep(new WasmStatistics(saved)) };
    };
    return this.#perform(input, makeOutput, (passes) => passes.forwardTraining());
  }

  forwardInference(input: ForwardInferenceInput<DeviceMemory>): MaybePromise<ForwardOutput<DeviceMemory>> {
    const makeOutput = (made: Made) => {
      const output = this.#forwardOutput(input, made);
      output.saved.mean = input.mean;
      output.saved.variance = input.variance;
      return output;
    };
    return this.#perform(input, makeOutput, (passes) => passes.forwardInference());
  }

  backwardTraining(input: BackwardInput<DeviceMemory>): MaybePromise<BackwardOutput<DeviceMemory>> {
    return this.#perform(
      input,
      (made) => this.#backwardOutput(input, made),
      (passes) => passes.backwardTraining(),
    );
  }

  backwardInference(input: BackwardInput<DeviceMemory>): MaybePromise<BackwardOutput<DeviceMemory>> {
    return this.#perform(
      input,
      (made) => this.#backwardOutput(input, made),
      (passes) => (input.parameterGradients === false ? passes.scaledGradient() : passes.backwardInference()),
    );
  }

  /** What `makeOutput` makes for the passes to write to, when `work` has. Nothing that was made stays if either fails. */
  #perform<T>(
    input: object,
    makeOutput: (made: Made) => T,
    work: (passes: Passes) => MaybePromise<void>,
  ): MaybePromise<T> {
    this.#engines.assertUsable();
    const made = new Made();
    try {
      const output = makeOutput(made);
      const running = work(this.#plant.passes);
      return running === undefined ? output : this.#whenDone(running, input, output, made);
    } catch (error) {
      made.dispose();
      throw error;
    }
  }

  /** Nothing that threads work on is dropped meanwhile, though the caller may have nothing of it any more. */
  async #whenDone<T>(running: PromiseLike<void>, input: object, output: T, made: Made): Promise<T> {
    const inUse = [this, input, output];
    atWork.add(inUse);
    try {
      await running;
      return output;
    } catch (error) {
      made.dispose();
      throw error;
    } finally {
      atWork.delete(inUse);
    }
  }

  /** With the passes aimed at them. */
  #forwardOutput(input: ForwardInput<DeviceMemory>, made: Made): { y: WasmTensor; saved: SavedForward } {
    const saved = made.keep(this.#plant.newSaved(input));
    saved.x = this.#addressOf(input.x, 'x');
    saved.source = input.x as WasmTensor;
    const y = this.#outputLike(input.x, input.y, made);
    this.#plant.passes.aim({ saved, x: saved.x, out: this.#addressOf(y, 'y') });
    return { y, saved };
  }

  /** With the passes aimed at them. */
  #backwardOutput(input: BackwardInput<DeviceMemory>, made: Made): BackwardOutput<DeviceMemory> {
    const { passes, engine, plan } = this.#plant;
    const { channels } = plan.extent;
    const saved = input.saved as SavedForward;
    const dy = this.#addressOf(input.dy, 'dy');
    const dx = this.#outputLike(input.dy, input.dx, made);
    const dgamma = input.dgamma ?? made.keep(new WasmVector(engine.memory, channels));
    const dbeta = input.dbeta ?? made.keep(new WasmVector(engine.memory, channels));
    passes.aim({ saved, x: saved.x, dy, out: this.#addressOf(dx, 'dx') });
    passes.aimGradients(
      WasmVector.addressOf(dgamma, 'dgamma', engine.memory, 'float64', channels),
      WasmVector.addressOf(dbeta, 'dbeta', engine.memory, 'float64', channels),
    );
    return { dx, dgamma, dbeta };
  }

  #addressOf(tensor: DeviceMemory['activation'], name: string): number {
    const { engine, plan } = this.#plant;
    const { outer, channels, inner } = plan.extent;
    return WasmTensor.addressOf(tensor, name, engine.memory, plan.dtype, outer * channels * inner);
  }

  #outputLike(like: DeviceMemory['activation'], out: DeviceMemory['activation'] | undefined, made: Made): WasmTensor {
    if (out !== undefined) return out as WasmTensor;
    const { engine, plan } = this.#plant;
    return made.keep(WasmTensor.like(like as WasmTensor, engine.memory, plan.dtype));
  }
}

/** What calls that threads work on need until they end. */
const atWork = new Set<object>();

/** The statistics in arrays that growing memory does not empty. */
function copyOf({ mean, variance }: Statistics): Statistics {
  return { mean: mean.slice(), variance: variance.slice() };
}

/**
 * Errors: `NON_FINITE_STATISTICS` where a channel of finite `values` has sums that are not: they are beyond float64. Channels whose
 * forward was not finite are not asked.
 */
function assertInRange(
  sums: Readonly<Record<string, Float64Array>>,
  values: FloatArray,
  { outer, channels, inner }: Extent,
  forward?: Statistics,
): void {
  for (const [name, sum] of Object.entries(sums)) {
    for (let c = 0; c < channels; c++) {
      if (Number.isFinite(sum[c]) || !Number.isFinite(forward?.variance[c] ?? 0)) continue;
      const run = (o: number) => values.subarray((o * channels + c) * inner, (o * channels + c + 1) * inner);
      let o = 0;
      while (o < outer && run(o).every(Number.isFinite)) o++;
      if (o < outer) continue;
      throw new BatchNormError(
        'NON_FINITE_STATISTICS',
        `received finite values whose ${name} of channel ${c} is ${sum[c]}, expected values that float64 can add up, and their squares`,
      );
    }
  }
}
