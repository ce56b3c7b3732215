// The stages on device tensors, where they lie in linear memory; and the operations, which go through panels.
import type {
  BackwardInput,
  BackwardOutput,
  DeviceMemory,
  ForwardInferenceInput,
  ForwardInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  GradientBuffers,
  GradientSumsInput,
  InputGradientInput,
  MaybePromise,
  MomentsInput,
  NormalizeInput,
  Operations,
  Saved,
  Stages,
  Statistics,
} from '@batchnorm/core-api';
import { performed } from './at-work.js';
import type { Made } from './attempt.js';
import { Resident, valuesOf, WasmMoments, WasmSums, WasmTensor, WasmVector } from './device-tensor.js';
import { batchVariance } from './in-range.js';
import type { Instances } from './instance.js';
import type { Passes } from './passes.js';
import type { SavedForward } from './saved-forward.js';
import type { Workspace } from './workspace.js';

export class DeviceStages implements Stages<DeviceMemory>, Operations<DeviceMemory> {
  readonly fused: Operations<DeviceMemory> = this;
  readonly #instances: Instances;
  readonly #workspace: Workspace;

  constructor(instances: Instances, workspace: Workspace) {
    this.#instances = instances;
    this.#workspace = workspace;
  }

  dispose(): void {
    this.#workspace.dispose();
  }

  moments(input: MomentsInput<DeviceMemory>): MaybePromise<WasmMoments> {
    const makeOutput = (made: Made) => {
      const tables = this.#workspace.newTables(input.epsilon, input.mask, made);
      const moments = new WasmMoments(tables);
      this.#workspace.passes.job.bind({ saved: tables, x: this.#addressOf(input.x, 'x'), out: 0 });
      return moments;
    };
    return this.#perform(input, makeOutput, (passes) => passes.moments());
  }

  normalize(input: NormalizeInput<DeviceMemory>): MaybePromise<ForwardOutput<DeviceMemory>> {
    const { batch, given } = input.by;
    if (given) return this.#normalizeBy(given, input);
    const makeOutput = (made: Made) => {
      const output = this.#forwardOutput(input, made);
      const moments = valuesOf(batch, 'batch');
      const x = () => (input.x as WasmTensor).view();
      output.saved.M = moments.count;
      output.saved.mean = moments.mean;
      output.saved.variance = batchVariance(moments, input.epsilon, x, this.#workspace.plan.extent, input.mask);
      return output;
    };
    return this.#perform(input, makeOutput, (passes) => passes.normalize());
  }

  gradientSums(input: GradientSumsInput<DeviceMemory>): MaybePromise<WasmSums> {
    const makeOutput = (made: Made) => {
      const { passes, instance, plan } = this.#workspace;
      const saved = input.saved as SavedForward;
      const sums = made.keep(new WasmSums(instance.memory, plan.extent));
      passes.job.bind({ saved, x: saved.x, dy: this.#addressOf(input.dy, 'dy'), out: 0 });
      sums.bindTo(passes.job);
      return sums;
    };
    return this.#perform(input, makeOutput, (passes) => passes.gradientSums());
  }

  inputGradient(input: InputGradientInput<DeviceMemory>): MaybePromise<BackwardOutput<DeviceMemory>> {
    const makeOutput = (made: Made) => this.#backwardOutput(input, made);
    return this.#perform(input, makeOutput, (passes, { dgamma, dbeta }) => {
      const own = input.sums && valuesOf(input.sums, 'sums');
      const total = input.total && valuesOf(input.total, 'total');
      if (total) passes.job.bindTotal(total, (input.saved as SavedForward).M);
      const running = total ? passes.inputGradient() : passes.scaledGradient();
      // What has begun does not fail.
      if (own) {
        (dgamma as WasmVector).view().set(own.dgamma);
        (dbeta as WasmVector).view().set(own.dbeta);
      }
      return running;
    });
  }

  forwardTraining(input: ForwardTrainingInput<DeviceMemory>): MaybePromise<ForwardTrainingOutput<DeviceMemory>> {
    const makeOutput = (made: Made) => {
      const { y, saved } = this.#forwardOutput(input, made);
      return { y, saved, moments: made.keep(new WasmMoments(saved.hold())) };
    };
    return this.#perform(input, makeOutput, (passes) => passes.forwardTraining());
  }

  forwardInference(input: ForwardInferenceInput<DeviceMemory>): MaybePromise<ForwardOutput<DeviceMemory>> {
    return this.#normalizeBy(input, input);
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

  #normalizeBy(
    { mean, variance }: Statistics,
    input: ForwardInput<DeviceMemory>,
  ): MaybePromise<ForwardOutput<DeviceMemory>> {
    const makeOutput = (made: Made) => {
      const output = this.#forwardOutput(input, made);
      output.saved.mean = mean;
      output.saved.variance = variance;
      return output;
    };
    return this.#perform(input, makeOutput, (passes) => passes.normalize());
  }

  /** What `makeOutput` makes, after `work` has written to it. Nothing stays if either fails. */
  #perform<T>(
    input: object,
    makeOutput: (made: Made) => T,
    work: (passes: Passes, output: T) => MaybePromise<void>,
  ): MaybePromise<T> {
    this.#instances.assertUsable();
    const { passes, instance } = this.#workspace;
    return performed(instance.memory, [this, input], makeOutput, (output) => work(passes, output));
  }

  /** What a forward writes, bound to the next calls. */
  #forwardOutput(
    input: ForwardInput<DeviceMemory> & Pick<MomentsInput<DeviceMemory>, 'mask'>,
    made: Made,
  ): { y: WasmTensor; saved: SavedForward } {
    const saved = this.#workspace.newSaved(input, made);
    saved.x = this.#addressOf(input.x, 'x');
    saved.source = input.x as WasmTensor;
    const residual = input.residual && this.#addressOf(input.residual, 'residual');
    const y = this.#outputLike(input.x, input.y, made);
    const out = this.#addressOf(y, 'y');
    this.#workspace.passes.job.bind({ saved, x: saved.x, residual, out });
    return { y, saved };
  }

  /** What a backward writes, bound to the next calls. */
  #backwardOutput(
    input: GradientBuffers<DeviceMemory> & { readonly saved: Saved; readonly dy: DeviceMemory['activation'] },
    made: Made,
  ): BackwardOutput<DeviceMemory> {
    const { passes, instance, plan } = this.#workspace;
    const { channels } = plan.extent;
    const saved = input.saved as SavedForward;
    const dy = this.#addressOf(input.dy, 'dy');
    const dx = this.#outputLike(input.dy, input.dx, made);
    const dresidual = saved.hasResidual ? this.#outputLike(input.dy, input.dresidual, made) : undefined;
    const dgamma = input.dgamma ?? made.keep(new WasmVector(instance.memory, channels));
    const dbeta = input.dbeta ?? made.keep(new WasmVector(instance.memory, channels));
    const skip = dresidual && this.#addressOf(dresidual, 'dresidual');
    passes.job.bind({ saved, x: saved.x, dy, dresidual: skip, out: this.#addressOf(dx, 'dx') });
    passes.job.bindGradients(
      Resident.addressOf('vector', dgamma, 'dgamma', instance.memory, 'float64', channels),
      Resident.addressOf('vector', dbeta, 'dbeta', instance.memory, 'float64', channels),
    );
    return { dx, ...(dresidual && { dresidual }), dgamma, dbeta };
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
