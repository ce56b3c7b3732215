// The four operations: on wasm memory as they are, on host arrays in parts that stay in cache.
import {
  allocate,
  assertFiniteStatistics,
  type Backend,
  type BackwardInput,
  type BackwardOutput,
  type DeviceMemory,
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
import type { Crew } from './crew.js';
import { WasmStatistics, WasmTensor, WasmVector } from './device-tensor.js';
import { HostParts } from './host-parts.js';
import type { KernelMemory } from './memory.js';
import { after, type KernelExports, Passes } from './passes.js';
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
  /** Errors: `DISPOSED`, `DEVICE_LOST`. */
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
    saved.gamma.set(gamma);
    saved.beta.set(beta);
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
    const made: { dispose(): void }[] = [];
    const keep = <T extends { dispose(): void }>(one: T): T => {
      made.push(one);
      return one;
    };
    try {
      this.#plant = keep(new Plant(engines.host, plan));
      this.#parts = keep(new HostParts(engines.host.memory, this.#plant.passes, plan));
      const isShared = engines.device === engines.host;
      this.device = new DeviceOperations(engines, isShared ? this.#plant : new Plant(engines.device, plan));
    } catch (error) {
      for (const one of made) one.dispose();
      throw error;
    }
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#engines.assertUsable();
    const saved = this.#plant.newSaved(input);
    return releasing(saved, () => {
      this.#parts.forwardTraining(saved, input.x);
      const statistics = copyOf(saved);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      const y = input.y ?? allocate(this.#plant.plan.dtype, input.x.length);
      this.#parts.deliver(saved, y);
      return { y, saved, statistics };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#engines.assertUsable();
    const saved = this.#plant.newSaved(input);
    saved.mean.set(input.mean);
    saved.variance.set(input.variance);
    return releasing(saved, () => {
      const y = input.y ?? allocate(this.#plant.plan.dtype, input.x.length);
      this.#parts.forwardInference(saved, input.x, y);
      return { y, saved };
    });
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => this.#parts.backwardTraining(saved, input.dy, dx));
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => this.#parts.backwardInference(saved, input.dy, dx));
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
    this.#parts.readGradients(dgamma, dbeta);
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
    const { passes } = this.#plant;
    this.#engines.assertUsable();
    const saved = this.#plant.newSaved(input);
    return releasing(saved, () => {
      const y = this.#aimForward(saved, input);
      const result = () => ({ y, saved, statistics: new WasmStatistics(saved) });
      return after(passes.forwardTraining(), result);
    });
  }

  forwardInference(input: ForwardInferenceInput<DeviceMemory>): MaybePromise<ForwardOutput<DeviceMemory>> {
    const { passes } = this.#plant;
    this.#engines.assertUsable();
    const saved = this.#plant.newSaved(input);
    saved.mean.set(input.mean);
    saved.variance.set(input.variance);
    return releasing(saved, () => {
      const y = this.#aimForward(saved, input);
      return after(passes.forwardInference(), () => ({ y, saved }));
    });
  }

  backwardTraining(input: BackwardInput<DeviceMemory>): MaybePromise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<DeviceMemory>): MaybePromise<BackwardOutput<DeviceMemory>> {
    return this.#backward(input, false);
  }

  #aimForward(saved: SavedForward, input: ForwardInput<DeviceMemory>): WasmTensor {
    const y = this.#outputLike(input.x, input.y);
    saved.x = (input.x as WasmTensor).at;
    this.#plant.passes.aim({ saved, x: saved.x, out: y.at });
    return y;
  }

  #backward(input: BackwardInput<DeviceMemory>, isTraining: boolean): MaybePromise<BackwardOutput<DeviceMemory>> {
    const { passes } = this.#plant;
    this.#engines.assertUsable();
    const saved = input.saved as SavedForward;
    const dx = this.#outputLike(input.dy, input.dx);
    const [dgamma, dbeta] = [this.#vector(input.dgamma), this.#vector(input.dbeta)];
    passes.aim({ saved, x: saved.x, dy: (input.dy as WasmTensor).at, out: dx.at, dgamma: dgamma.at, dbeta: dbeta.at });
    return after(passes.backward(isTraining), () => ({ dx, dgamma, dbeta }));
  }

  #outputLike(like: DeviceMemory['activation'], out: DeviceMemory['activation'] | undefined): WasmTensor {
    if (out !== undefined) return out as WasmTensor;
    return new WasmTensor(this.#engines.backend, this.#plant.engine.memory, like.dtype, like.shape);
  }

  /** The vector that was given, if it is one of ours for as many channels. */
  #vector(given: DeviceMemory['vector'] | undefined): WasmVector {
    const { memory } = this.#plant.engine;
    const { channels } = this.#plant.plan.extent;
    return given instanceof WasmVector && given.fits(memory, channels) ? given : new WasmVector(memory, channels);
  }
}

/** The statistics in arrays that growing memory does not empty. */
function copyOf({ mean, variance }: Statistics): Statistics {
  return { mean: mean.slice(), variance: variance.slice() };
}

function releasing<T>(saved: SavedForward, attempt: () => T): T;
/** What `attempt` gives; if it fails, nobody holds `saved`. */
function releasing<T>(saved: SavedForward, attempt: () => MaybePromise<T>): MaybePromise<T> {
  const fail = (error: unknown): never => {
    saved.release();
    throw error;
  };
  try {
    const result = attempt();
    return result instanceof Promise ? result.catch(fail) : result;
  } catch (error) {
    return fail(error);
  }
}
