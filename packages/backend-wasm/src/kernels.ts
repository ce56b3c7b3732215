// The four operations: on device tensors where they lie in linear memory, on host arrays tile by tile.
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
  type Operations,
  type Plan,
  type Statistics,
} from '@batchnorm/core-api';
import { attempt, Made } from './attempt.js';
import { Resident, WasmStatistics, WasmTensor, WasmVector } from './device-tensor.js';
import { HostArrayPasses } from './host-arrays.js';
import type { Instance } from './instance.js';
import type { Passes } from './passes.js';
import type { SavedForward } from './saved-forward.js';
import { Workspace } from './workspace.js';

/** A backend and the instances that its kernels compute in, which may be one. */
export interface Instances {
  readonly backend: Backend;
  readonly host: Instance;
  readonly device: Instance;
  /** Errors: `DISPOSED`. */
  assertUsable(): void;
}

export class WasmKernels implements Kernels {
  readonly device: DeviceOperations;
  readonly #instances: Instances;
  readonly #workspace: Workspace;
  readonly #passes: HostArrayPasses;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(instances: Instances, plan: Plan) {
    this.#instances = instances;
    const { host, device } = instances;
    [this.#workspace, this.#passes, this.device] = attempt((made) => {
      const workspace = made.keep(new Workspace(host, plan));
      const passes = made.keep(new HostArrayPasses(host.memory, workspace.passes, plan));
      const onDevice = device === host ? workspace : new Workspace(device, plan);
      return [workspace, passes, new DeviceOperations(instances, onDevice)];
    });
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): ForwardTrainingOutput<HostMemory> {
    this.#instances.assertUsable();
    return attempt((made) => {
      const saved = made.keep(this.#workspace.newSaved(input));
      const areFinite = this.#passes.batchStatistics(saved, input.x);
      const statistics = copyOf(saved);
      if (input.requireFinite) assertFiniteStatistics(statistics);
      else if (!areFinite) assertInRange({ ...statistics }, input.x, this.#workspace.plan.extent);
      const y = input.y ?? allocate(this.#workspace.plan.dtype, input.x.length);
      this.#passes.normalize(saved, y);
      return { y, saved, statistics };
    });
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): ForwardOutput<HostMemory> {
    this.#instances.assertUsable();
    return attempt((made) => {
      const saved = made.keep(this.#workspace.newSaved(input));
      saved.mean = input.mean;
      saved.variance = input.variance;
      const y = input.y ?? allocate(this.#workspace.plan.dtype, input.x.length);
      this.#passes.forwardInference(saved, input.x, y);
      return { y, saved };
    });
  }

  backwardTraining(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => {
      const areFinite = this.#passes.parameterGradients(saved, input.dy);
      if (!areFinite) assertInRange(this.#passes.gradients, input.dy, this.#workspace.plan.extent, saved);
      this.#passes.inputGradient(saved, dx);
    });
  }

  backwardInference(input: BackwardInput<HostMemory>): BackwardOutput<HostMemory> {
    return this.#backward(input, (saved, dx) => {
      this.#passes.backwardInference(saved, input.dy, dx, input.parameterGradients !== false);
    });
  }

  dispose(): void {
    this.#passes.dispose();
    this.#workspace.dispose();
    this.device.dispose();
  }

  #backward(
    input: BackwardInput<HostMemory>,
    compute: (saved: SavedForward, dx: FloatArray) => void,
  ): BackwardOutput<HostMemory> {
    this.#instances.assertUsable();
    const { extent, dtype } = this.#workspace.plan;
    const dx = input.dx ?? allocate(dtype, input.dy.length);
    const dgamma = input.dgamma ?? new Float64Array(extent.channels);
    const dbeta = input.dbeta ?? new Float64Array(extent.channels);
    compute(input.saved as SavedForward, dx);
    const { gradients } = this.#passes;
    dgamma.set(gradients.dgamma);
    dbeta.set(gradients.dbeta);
    return { dx, dgamma, dbeta };
  }
}

class DeviceOperations implements Operations<DeviceMemory> {
  readonly #instances: Instances;
  readonly #workspace: Workspace;

  constructor(instances: Instances, workspace: Workspace) {
    this.#instances = instances;
    this.#workspace = workspace;
  }

  dispose(): void {
    this.#workspace.dispose();
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

  /** What `makeOutput` makes, after `work` has written to it. Nothing stays if either fails. */
  #perform<T>(
    input: object,
    makeOutput: (made: Made) => T,
    work: (passes: Passes) => MaybePromise<void>,
  ): MaybePromise<T> {
    this.#instances.assertUsable();
    const made = new Made();
    try {
      const output = makeOutput(made);
      const running = work(this.#workspace.passes);
      return running === undefined ? output : this.#whenDone(running, input, output, made);
    } catch (error) {
      made.dispose();
      throw error;
    }
  }

  /** Keeps everything alive that threads work on, though the caller may have dropped all of it. */
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

  /** What a forward writes, bound to the next calls. */
  #forwardOutput(input: ForwardInput<DeviceMemory>, made: Made): { y: WasmTensor; saved: SavedForward } {
    const saved = made.keep(this.#workspace.newSaved(input));
    saved.x = this.#addressOf(input.x, 'x');
    saved.source = input.x as WasmTensor;
    const y = this.#outputLike(input.x, input.y, made);
    this.#workspace.passes.job.bind({ saved, x: saved.x, out: this.#addressOf(y, 'y') });
    return { y, saved };
  }

  /** What a backward writes, bound to the next calls. */
  #backwardOutput(input: BackwardInput<DeviceMemory>, made: Made): BackwardOutput<DeviceMemory> {
    const { passes, instance, plan } = this.#workspace;
    const { channels } = plan.extent;
    const saved = input.saved as SavedForward;
    const dy = this.#addressOf(input.dy, 'dy');
    const dx = this.#outputLike(input.dy, input.dx, made);
    const dgamma = input.dgamma ?? made.keep(new WasmVector(instance.memory, channels));
    const dbeta = input.dbeta ?? made.keep(new WasmVector(instance.memory, channels));
    passes.job.bind({ saved, x: saved.x, dy, out: this.#addressOf(dx, 'dx') });
    passes.job.bindGradients(
      Resident.addressOf('vector', dgamma, 'dgamma', instance.memory, 'float64', channels),
      Resident.addressOf('vector', dbeta, 'dbeta', instance.memory, 'float64', channels),
    );
    return { dx, dgamma, dbeta };
  }

  #addressOf(tensor: DeviceMemory['activation'], name: string): number {
    const { instance, plan, elements } = this.#workspace;
    return Resident.addressOf('activation', tensor, name, instance.memory, plan.dtype, elements);
  }

  #outputLike(like: DeviceMemory['activation'], out: DeviceMemory['activation'] | undefined, made: Made): WasmTensor {
    if (out !== undefined) return out as WasmTensor;
    const { instance, plan, elements } = this.#workspace;
    return made.keep(WasmTensor.like(like as WasmTensor, instance.memory, plan.dtype, elements));
  }
}

/** What the calls that threads work on need until they end. */
const atWork = new Set<object>();

/** The statistics in arrays that growing memory does not empty. */
function copyOf({ mean, variance }: Statistics): Statistics {
  return { mean: mean.slice(), variance: variance.slice() };
}

/**
 * Errors: `NON_FINITE_STATISTICS` where a channel of finite `values` has sums that are not: they are beyond float64.
 * Channels whose forward was not finite are not asked.
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
