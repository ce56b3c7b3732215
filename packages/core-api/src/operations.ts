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
import type { MaybePromise } from './maybe-promise.js';
import { assertFiniteMoments } from './moments.js';

/** The operations of `stages`: the backend's fused form where it has one. */
export function operationsOf<M extends Memory>(stages: Stages<M>): Operations<M> {
  return new StagedOperations(stages);
}

class StagedOperations<M extends Memory> implements Operations<M> {
  readonly #stages: Stages<M>;

  constructor(stages: Stages<M>) {
    this.#stages = stages;
  }

  moments(input: MomentsInput<M>): MaybePromise<M['moments']> {
    return this.#stages.moments(input);
  }

  forwardTraining(input: ForwardTrainingInput<M>): MaybePromise<ForwardTrainingOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.forwardTraining) return fused.forwardTraining(input);
    return after(this.#stages.moments(input), (moments) => this.#normalize(input, moments));
  }

  forwardInference(input: ForwardInferenceInput<M>): MaybePromise<ForwardOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.forwardInference) return fused.forwardInference(input);
    const { x, gamma, beta, epsilon, y, mean, variance } = input;
    return this.#stages.normalize({ x, gamma, beta, epsilon, y, by: { given: { mean, variance } } });
  }

  backwardTraining(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.backwardTraining) return fused.backwardTraining(input);
    return this.#backward(input, true);
  }

  backwardInference(input: BackwardInput<M>): MaybePromise<BackwardOutput<M>> {
    const { fused } = this.#stages;
    if (fused?.backwardInference) return fused.backwardInference(input);
    return this.#backward(input, false);
  }

  #normalize(input: ForwardTrainingInput<M>, moments: M['moments']): MaybePromise<ForwardTrainingOutput<M>> {
    const { x, gamma, beta, epsilon, y, requireFinite } = input;
    const normalize = () => {
      if (requireFinite && 'm2' in moments) assertFiniteMoments(moments);
      return this.#stages.normalize({ x, gamma, beta, epsilon, y, by: { batch: moments } });
    };
    const output = attempt(normalize, (failed) => failed && dispose(moments));
    return after(output, ({ y, saved }) => ({ y, saved, moments }));
  }

  #backward(input: BackwardInput<M>, throughStatistics: boolean): MaybePromise<BackwardOutput<M>> {
    const { saved, dy, dx, dgamma, dbeta, parameterGradients } = input;
    const gradient = (sums: M['sums'] | undefined, total: M['sums'] | null) =>
      this.#stages.inputGradient({ saved, dy, dx, dgamma, dbeta, sums, total });
    if (!throughStatistics && !parameterGradients) return gradient(undefined, null);
    return after(this.#stages.gradientSums({ saved, dy }), (sums) =>
      attempt(
        () => gradient(sums, throughStatistics ? sums : null),
        () => dispose(sums),
      ),
    );
  }
}

/** Frees what is on the device; on the host it is the kernels' own. */
function dispose(found: Memory['moments'] | Memory['sums']): void {
  if ('dispose' in found) found.dispose();
}

/** `next` of a value: at once where it is there, so that a kernel on the CPU costs no turn of the event loop. */
function after<T, U>(value: MaybePromise<T>, next: (value: T) => MaybePromise<U>): MaybePromise<U> {
  return isPromise(value) ? value.then(next) : next(value);
}

/** What `work` gives; `end` is called when it has ended. */
function attempt<T>(work: () => MaybePromise<T>, end: (failed: boolean) => void): MaybePromise<T> {
  try {
    const result = work();
    if (isPromise(result)) {
      return result.then(
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

function isPromise<T>(value: MaybePromise<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T>)?.then === 'function';
}
