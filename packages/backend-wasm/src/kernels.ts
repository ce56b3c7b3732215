// The kernels of one plan. Host arrays are worked on where they lie, if x lies in shared memory, and else tile by tile.
import type {
  BackwardInput,
  BackwardOutput,
  FloatArray,
  ForwardInferenceInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  GradientSums,
  GradientSumsInput,
  HostMemory,
  InputGradientInput,
  Kernels,
  MaybePromise,
  Moments,
  MomentsInput,
  NormalizeInput,
  Operations,
  Plan,
  Saved,
  Stages,
} from '@batchnorm/core-api';
import { AllocatedStages } from './allocated-stages.js';
import { attempt } from './attempt.js';
import { DeviceStages } from './device-stages.js';
import type { Instances } from './instance.js';
import type { SavedForward } from './saved-forward.js';
import { TiledStages } from './tiled-stages.js';
import { Workspace } from './workspace.js';

type HostStages = Stages<HostMemory> & Operations<HostMemory>;

export class WasmKernels implements Kernels, Operations<HostMemory> {
  readonly fused: Operations<HostMemory> = this;
  readonly device: DeviceStages;
  readonly #instances: Instances;
  readonly #plan: Plan;
  readonly #tiled: TiledStages;
  /** Where device tensors lie. */
  readonly #workspace: Workspace;
  /** Made when they are first needed. */
  #allocated: AllocatedStages | undefined;

  /** Errors: `LIMIT_EXCEEDED`. */
  constructor(instances: Instances, plan: Plan) {
    this.#instances = instances;
    this.#plan = plan;
    const { host, device } = instances;
    [this.#tiled, this.#workspace] = attempt((made) => {
      const workspace = made.keep(new Workspace(host, plan));
      const tiled = made.keep(new TiledStages(instances, workspace));
      return [tiled, device === host ? workspace : new Workspace(device, plan)];
    });
    this.device = new DeviceStages(instances, this.#workspace);
  }

  moments(input: MomentsInput<HostMemory>): MaybePromise<Moments> {
    return this.#stagesFor(input.x).moments(input);
  }

  normalize(input: NormalizeInput<HostMemory>): MaybePromise<ForwardOutput<HostMemory>> {
    return this.#stagesFor(input.x).normalize(input);
  }

  gradientSums(input: GradientSumsInput<HostMemory>): MaybePromise<GradientSums> {
    return this.#stagesOf(input.saved).gradientSums(input);
  }

  inputGradient(input: InputGradientInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    return this.#stagesOf(input.saved).inputGradient(input);
  }

  forwardTraining(input: ForwardTrainingInput<HostMemory>): MaybePromise<ForwardTrainingOutput<HostMemory>> {
    return this.#stagesFor(input.x).forwardTraining(input);
  }

  forwardInference(input: ForwardInferenceInput<HostMemory>): MaybePromise<ForwardOutput<HostMemory>> {
    return this.#stagesFor(input.x).forwardInference(input);
  }

  backwardTraining(input: BackwardInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    return this.#stagesOf(input.saved).backwardTraining(input);
  }

  backwardInference(input: BackwardInput<HostMemory>): MaybePromise<BackwardOutput<HostMemory>> {
    return this.#stagesOf(input.saved).backwardInference(input);
  }

  dispose(): void {
    this.#tiled.dispose();
    this.device.dispose();
    this.#allocated?.dispose();
  }

  /** Errors: `DISPOSED`, `INVALID_TENSOR`, `LIMIT_EXCEEDED`. */
  #stagesFor(x: FloatArray): HostStages {
    const { shared } = this.#instances;
    if (shared?.arrays.addressOf(x) === undefined) return this.#tiled;
    if (this.#allocated === undefined) {
      const { instance } = this.#workspace;
      const workspace = instance === shared.instance ? this.#workspace : new Workspace(shared.instance, this.#plan);
      this.#allocated = new AllocatedStages(this.#instances, shared.arrays, workspace);
    }
    return this.#allocated;
  }

  /** Those that made `saved`. */
  #stagesOf(saved: Saved): HostStages {
    return this.#allocated?.made(saved as SavedForward) ? this.#allocated : this.#tiled;
  }
}
