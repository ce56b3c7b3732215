// The operations of a layer, as sequences of a backend's stages: which follows which, for every memory and backend.
import type {
  BackwardInput,
  BackwardOutput,
  ForwardInferenceInput,
  ForwardOutput,
  ForwardTrainingInput,
  ForwardTrainingOutput,
  Memory,
  MomentsInput,
  Operations,
  Stages,
} from './backend.js';
import type { Peers } from './group.js';
import type { MaybePromise } from './maybe-promise.js';
import { assertFiniteMoments, type Moments, noMoments } from './moments.js';
import { isPromise } from './steps.js';
import type { OnDevice } from './tensor.js';

/** The operations of `stages`: the backend's fused form where it has one. */
export function operationsOf<M extends Memory>(stages: Stages<M>): StagedOperations<M> {
  return new StagedOperations(stages);
}

/** A forward by the moments of several batches, which are on the host. */
type MergedForward<M extends Memory> = ForwardOutput<M> & { readonly moments: Moments };

/** With `peers`, what these say stands between the stages, and nothing is fused. Their errors come through. */
export class StagedOperations<M extends Memory> implements Operations<M> {
  readonly #stages: Stages<M>;

  constructor(stages: Stages<M>) {
    this.#stages = stages;
  }

  moments(input: MomentsInput<M>): MaybePromise<M['moments']> {
    return this.#stages.moments(input);
  }

  forwardTraining(input: ForwardTrainingInput<M>): MaybePromise<ForwardTrainingOutput<M>>;
  forwardTraining(
    input: ForwardTrainingInput<M>,
    peers: Peers | undefined,
  ): MaybePromise<ForwardTrainingOutput<M> | MergedForward<M>>;
  forwardTraining(
    input: ForwardTrainingInput<M>,
    peers?: Peers,
  ): MaybePromise<ForwardTrainingOutput<M> | MergedForward<M>> {
    if (peers) return this.#forwardWith(peers, input);
    const { fused } = this.#stages;
    if (fused?.forwardTraining) return fused.forwardTraining(input);
    const moments = this.#stages.moments(input);
    if (!isPromise(moments)) return this.#normalize(input, moments);
    // Whoever called may change its vectors while it waits.
    const own = { ...input, gamma: input.gamma.slice(), beta: input.beta.slice() };
    return Promise.resolve(moments).then((there) => this.#normalize(own, there));
  }

  forwardInference(input: ForwardInferenceInput<M>): MaybePromise<ForwardOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.forwardInference) return fused.forwardInference(input);
    const { x, residual, gamma, beta, epsilon, y, mean, variance } = input;
    return this.#stages.normalize({ x, residual, gamma, beta, epsilon, y, by: { given: { mean, variance } } });
  }

  backwardTraining(input: BackwardInput<M>, peers?: Peers): MaybePromise<BackwardOutput<M>> {
    if (peers) return this.#backwardWith(peers, input);
    const { fused } = this.#stages;
    if (fused?.backwardTraining) return fused.backwardTraining(input);
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.backwardInference) return fused.backwardInference(input);
    return this.#backward(input, false);
  }

  async #forwardWith(peers: Peers, input: ForwardTrainingInput<M>): Promise<MergedForward<M>> {
    const { x, residual, mask, epsilon, y, requireFinite } = input;
    const [gamma, beta] = [input.gamma.slice(), input.beta.slice()];
    const counts = mask === undefined || mask.count > 0;
    const local = counts ? await onHost(await this.#stages.moments({ x, epsilon, mask })) : noMoments(gamma.length);
    const moments = await peers.mergeMoments(local);
    if (requireFinite) peers.assertFinite(moments);
    const normalize = { x, residual, mask, gamma, beta, epsilon, y, by: { batch: moments } };
    const output = await this.#stages.normalize(normalize);
    return { y: output.y, saved: output.saved, moments };
  }

  async #backwardWith(peers: Peers, { saved, dy, dx, dresidual, dgamma, dbeta }: BackwardInput<M>) {
    const sums = await this.#stages.gradientSums({ saved, dy });
    try {
      const total = await peers.addSums('read' in sums ? await sums.read() : sums);
      return await this.#stages.inputGradient({ saved, dy, dx, dresidual, dgamma, dbeta, sums, total });
    } finally {
      if (isOnDevice(sums)) sums.dispose();
    }
  }

  #normalize(input: ForwardTrainingInput<M>, moments: M['moments']): MaybePromise<ForwardTrainingOutput<M>> {
    const { x, residual, mask, gamma, beta, epsilon, y, requireFinite } = input;
    if (requireFinite && 'm2' in moments) assertFiniteMoments(moments);
    const normalize = { x, residual, mask, gamma, beta, epsilon, y, by: { batch: moments } };
    const output = isOnDevice(moments)
      ? attempt(
          () => this.#stages.normalize(normalize),
          (failed) => failed && moments.dispose(),
        )
      : this.#stages.normalize(normalize);
    return isPromise(output)
      ? Promise.resolve(output).then(({ y, saved }) => ({ y, saved, moments }))
      : { y: output.y, saved: output.saved, moments };
  }

  #backward(input: BackwardInput<M>, throughStatistics: boolean): MaybePromise<BackwardOutput<M>> {
    const { saved, dy, dx, dresidual, dgamma, dbeta, parameterGradients } = input;
    if (!throughStatistics && !parameterGradients) {
      return this.#stages.inputGradient({ saved, dy, dx, dresidual, dgamma, dbeta, sums: undefined, total: null });
    }
    const sums = this.#stages.gradientSums({ saved, dy });
    return isPromise(sums)
      ? Promise.resolve(sums).then((there) => this.#inputGradient(input, there, throughStatistics))
      : this.#inputGradient(input, sums, throughStatistics);
  }

  #inputGradient(
    { saved, dy, dx, dresidual, dgamma, dbeta }: BackwardInput<M>,
    sums: M['sums'],
    throughStatistics: boolean,
  ): MaybePromise<BackwardOutput<M>> {
    const gradient = { saved, dy, dx, dresidual, dgamma, dbeta, sums, total: throughStatistics ? sums : null };
    return isOnDevice(sums)
      ? attempt(
          () => this.#stages.inputGradient(gradient),
          () => sums.dispose(),
        )
      : this.#stages.inputGradient(gradient);
  }
}

/** The moments on the host; those on the device are disposed. */
async function onHost(moments: Memory['moments']): Promise<Moments> {
  if (!('read' in moments)) return moments;
  try {
    return await moments.read();
  } finally {
    moments.dispose();
  }
}

/** What is on the device is to be freed; on the host it is the kernels' own. */
function isOnDevice(found: Memory['moments'] | Memory['sums']): found is OnDevice<unknown> & typeof found {
  return 'dispose' in found;
}

/** What `work` gives; `end` is called when it has ended. */
function attempt<T>(work: () => MaybePromise<T>, end: (failed: boolean) => void): MaybePromise<T> {
  try {
    const result = work();
    if (isPromise(result)) {
      return Promise.resolve(result).then(
        (value) => {
          end(false);
          return value;
        },
        (error) => {
          end(true);
          throw error;
        },
      );
    }
    end(false);
    return result;
  } catch (error) {
    end(true);
    throw error;
  }
}
