// The stages on host arrays of which x lies in shared memory: each is worked on where it lies, on all threads, and copied
// there and back where it lies elsewhere. No pass writes an activation before it is known that the call does not fail.
import {
  allocate,
  type BackwardInput,
  type BackwardOutput,
  type FloatArray,
  type ForwardInferenceInput,
  type ForwardInput,
  type ForwardOutput,
  type ForwardTrainingInput,
  type ForwardTrainingOutput,
  type GradientBuffers,
  type GradientSums,
  type GradientSumsInput,
  type HostMemory,
  type InputGradientInput,
  type MaybePromise,
  type Moments,
  type MomentsInput,
  type NormalizeInput,
  type Operations,
  type Saved,
  type Stages,
  type Statistics,
} from '@batchnorm/core-api';
import { after, performed } from './at-work.js';
import type { Made } from './attempt.js';
import { BatchMoments, useMoments } from './batch-moments.js';
import { WasmSums } from './device-tensor.js';
import { assertSums, copySums, gradientBuffers } from './host-results.js';
import type { Instances } from './instance.js';
import type { Passes } from './passes.js';
import type { SavedForward } from './saved-forward.js';
import type { SharedArrays } from './shared-arrays.js';
import { Staging } from './staging.js';
import type { Workspace } from './workspace.js';

export class AllocatedStages implements Stages<HostMemory>, Operations<HostMemory> {
  readonly #instances: Instances;
  readonly #arrays: SharedArrays;
  readonly #workspace: Workspace;
  readonly #moments: BatchMoments;
  /** Of the latest gradient. */
  readonly #sums: WasmSums;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(instances: Instances, arrays: SharedArrays, workspace: Workspace) {
    this.#instances = instances;
    this.#arrays = arrays;
    this.#workspace = workspace;
    this.#moments = new BatchMoments(workspace.plan.extent);
    this.#sums = new WasmSums(workspace.instance.memory, workspace.plan.extent);
  }

  /** Whether these stages made `saved`. */
  made(saved: SavedForward): boolean {
    return saved.liesIn(this.#workspace.instance.memory);
  }

  moments({ x, epsilon, mask }: MomentsInput<HostMemory>): MaybePromise<Moments> {
    const makeTables = (staging: Staging, made: Made) => {
      const tables = this.#workspace.newTables(epsilon, mask, made);
      this.#workspace.passes.job.bind({ saved: tables, x: staging.read(x), out: 0 });
      return tables;
    };
    return after(
      this.#perform({ x }, makeTables, (passes) => passes.moments()),
      (tables) => {
        try {
          return this.#moments.checked(tables, x, mask, false);
        } finally {
          tables.release();
        }
      },
    );
  }

  normalize(input: NormalizeInput<HostMemory>): MaybePromise<ForwardOutput<HostMemory>> {
    const { batch, given } = input.by;
    if (given) return this.#normalizeBy(given, input);
    const makeOutput = (staging: Staging, made: Made) => {
      const output = this.#forwardOutput(input, staging, made);
      useMoments(output.saved, batch, input, this.#workspace.plan.extent);
      return output;
    };
    return this.#perform(input, makeOutput, (passes) => passes.normalize());
  }

  gradientSums({ saved, dy }: GradientSumsInput<HostMemory>): MaybePromise<GradientSums> {
    const bind = (staging: Staging) => {
      const { job } = this.#workspace.passes;
      const forward = saved as SavedForward;
      job.bind({ saved: forward, x: staging.read(forward.source as FloatArray), dy: staging.read(dy), out: 0 });
      this.#sums.bindTo(job);
      return this.#sums;
    };
    return after(
      this.#perform({ saved, dy }, bind, (passes) => passes.gradientSums()),
      (sums) => sums.read(),
    );
  }

  inputGradient(input: InputGradientInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    const { sums, total, dy } = input;
    const saved = input.saved as SavedForward;
    const { plan } = this.#workspace;
    const makeOutput = (staging: Staging) => this.#backwardOutput(input, staging);
    return this.#perform(input, makeOutput, (passes, output) => {
      if (total) passes.job.bindTotal(total, saved.M);
      const running = total
        ? passes.inputGradient(() => assertSums(plan, sums ?? total, saved, dy))
        : passes.scaledGradient();
      return after(running, () => {
        if (sums) copySums(sums, output);
      });
    });
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): MaybePromise<ForwardTrainingOutput<HostMemory>> {
    const { x, mask, requireFinite } = input;
    const makeOutput = (staging: Staging, made: Made) => ({
      ...this.#forwardOutput(input, staging, made),
      moments: this.#moments,
    });
    return this.#perform(input, makeOutput, (passes, { saved, moments }) =>
      after(passes.moments(), () => {
        moments.checked(saved, x, mask, requireFinite);
        return passes.normalize();
      }),
    );
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): MaybePromise<ForwardOutput<HostMemory>> {
    return this.#normalizeBy(input, input);
  }

  backwardTraining(input: BackwardInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    const { plan } = this.#workspace;
    const assertRight = () => assertSums(plan, this.#sums.gradients, input.saved as SavedForward, input.dy);
    return this.#backward(input, (passes) => after(passes.gradientSums(), () => passes.inputGradient(assertRight)));
  }

  backwardInference(input: BackwardInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    return this.#backward(input, (passes) =>
      input.parameterGradients === false
        ? passes.scaledGradient()
        : after(passes.gradientSums(), () => passes.scaledGradient()),
    );
  }

  dispose(): void {
    this.#sums.dispose();
    this.#workspace.dispose();
  }

  #normalizeBy(
    { mean, variance }: Statistics,
    input: ForwardInput<HostMemory>,
  ): MaybePromise<ForwardOutput<HostMemory>> {
    const makeOutput = (staging: Staging, made: Made) => {
      const output = this.#forwardOutput(input, staging, made);
      output.saved.mean = mean;
      output.saved.variance = variance;
      return output;
    };
    return this.#perform(input, makeOutput, (passes) => passes.normalize());
  }

  #backward(
    input: BackwardInput<HostMemory>,
    work: (passes: Passes) => MaybePromise<void>,
  ): MaybePromise<BackwardOutput<HostMemory>> {
    const makeOutput = (staging: Staging) => {
      const output = this.#backwardOutput(input, staging);
      this.#sums.bindTo(this.#workspace.passes.job);
      return output;
    };
    return this.#perform(input, makeOutput, (passes, output) =>
      after(work(passes), () => copySums(this.#sums.gradients, output)),
    );
  }

  /** What `makeOutput` makes, after `work` has written to it. Nothing stays if either fails. */
  #perform<T>(
    input: object,
    makeOutput: (staging: Staging, made: Made) => T,
    work: (passes: Passes, output: T) => MaybePromise<void>,
  ): MaybePromise<T> {
    this.#instances.assertUsable();
    const { passes, instance, plan } = this.#workspace;
    const staging = new Staging(this.#arrays, instance.memory, plan.dtype);
    return performed(
      instance.memory,
      [this, input],
      (made) => makeOutput(made.keep(staging), made),
      (output) => after(work(passes, output), () => staging.finish()),
    );
  }

  /** What a forward writes, bound to the next calls. */
  #forwardOutput(
    input: ForwardInput<HostMemory> & Pick<MomentsInput<HostMemory>, 'mask'>,
    staging: Staging,
    made: Made,
  ): { y: FloatArray; saved: SavedForward } {
    const { x, residual } = input;
    const saved = this.#workspace.newSaved(input, made);
    saved.x = staging.read(x);
    saved.source = x;
    const y = input.y ?? allocate(this.#workspace.plan.dtype, x.length);
    this.#workspace.passes.job.bind({
      saved,
      x: saved.x,
      residual: residual && staging.read(residual),
      out: staging.write(y),
    });
    return { y, saved };
  }

  /** What a backward writes, bound to the next calls. */
  #backwardOutput(
    input: GradientBuffers<HostMemory> & { readonly saved: Saved; readonly dy: FloatArray },
    staging: Staging,
  ): BackwardOutput<HostMemory> {
    const { passes, plan } = this.#workspace;
    const saved = input.saved as SavedForward;
    const buffers = gradientBuffers(plan, saved, input);
    const { dx, dresidual } = buffers;
    passes.job.bind({
      saved,
      x: staging.read(saved.source as FloatArray),
      dy: staging.read(input.dy),
      dresidual: dresidual && staging.write(dresidual),
      out: staging.write(dx),
    });
    return buffers;
  }
}
