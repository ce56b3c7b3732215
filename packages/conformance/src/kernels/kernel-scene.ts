// What a rule of kernels is tried with: kernels of one plan without a layer, and activations in one kind of memory.
import {
  type Backend,
  type BackwardOutput,
  type CountedPositions,
  type DeviceTensor,
  type Dtype,
  type Extent,
  extentOf,
  type FloatArray,
  type ForwardOutput,
  type ForwardTrainingOutput,
  type Kernels,
  type Memory,
  type Nonlinearity,
  type Operations,
  operationsOf,
  type Saved,
  type Stages,
  type Tensor,
} from '@batchnorm/core-api';
import { drawOnce } from '../behaviours/drawn.js';
import { type Check, identical } from '../compare.js';
import type { MemoryKind, Subject } from '../conformance-case.js';
import { type ActivationMemory, activationMemory } from '../memory/activation-memory.js';
import { parametersOf, randomOf } from '../programs/values.js';

/** The input of a forward beside x: vectors, [C] each, in arrays that a rule may write to. */
export interface Parameters {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
  readonly mean: Float64Array;
  readonly variance: Float64Array;
  readonly mask: CountedPositions | undefined;
  readonly residual: Residual | undefined;
}

/** Its elements, and the activation that a forward gets. */
export interface Residual {
  readonly values: FloatArray;
  readonly put: Memory['activation'];
}

export type Forwarded = ForwardOutput<Memory> & Partial<ForwardTrainingOutput<Memory>>;
export type Gradients = Readonly<Record<'dx' | 'dgamma' | 'dbeta', FloatArray>> & { readonly dresidual?: FloatArray };

export class KernelScene {
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly extent: Extent;
  /** 'relu' in a scene whose forwards have a mask and a residual, too. */
  readonly activation: Nonlinearity;
  readonly memory: ActivationMemory;
  readonly #alive = new Set<{ dispose(): void }>();

  constructor({ backend, dtype }: Subject, kind: MemoryKind, shape: readonly number[], activation: Nonlinearity) {
    this.backend = backend;
    this.dtype = dtype;
    this.shape = shape;
    this.extent = extentOf(shape, 1);
    this.activation = activation;
    this.memory = activationMemory(kind, backend);
  }

  /** Kernels for this plan, or that of another extent or activation; freed in the end. */
  async prepare(extent: Extent = this.extent, activation: Nonlinearity = this.activation): Promise<Kernels> {
    const kernels = await this.backend.prepare({ extent, dtype: this.dtype, activation });
    this.#alive.add(kernels);
    return kernels;
  }

  /** Seeded activations. */
  values(seed: number): FloatArray {
    return drawOnce(seed, this.shape, this.dtype);
  }

  async parameters(seed: number): Promise<Parameters> {
    const random = randomOf(seed);
    const vector = () => parametersOf(random, this.extent.channels);
    const variance = Float64Array.from({ length: this.extent.channels }, () => random() + 0.1);
    const vectors = { gamma: vector(), beta: vector(), epsilon: 1e-3, mean: vector(), variance };
    if (this.activation === 'none') return { ...vectors, mask: undefined, residual: undefined };
    const { outer, inner } = this.extent;
    // Some of all samples but the last, of which nothing counts.
    const counts = (p: number) => p === 1 || (p > 0 && p < (outer - 1) * inner && random() < 0.5);
    const positions = Uint8Array.from({ length: outer * inner }, (_, p) => Number(counts(p)));
    const values = this.values(seed + 100);
    return { ...vectors, mask: countedIn(positions), residual: { values, put: await this.put(values) } };
  }

  /** Calls the operation synchronously, so that a rule can change its input before the operation goes on. */
  forward(kernels: Kernels, x: Memory['activation'], parameters: Parameters, training: boolean): Promise<Forwarded> {
    const { gamma, beta, epsilon, mean, variance, mask, residual } = parameters;
    const input = { x, residual: residual?.put, y: undefined, gamma, beta, epsilon };
    const operations = this.#operations(kernels);
    const answer = training
      ? operations.forwardTraining({ ...input, mask, requireFinite: false })
      : operations.forwardInference({ ...input, mean, variance });
    return Promise.resolve<Forwarded>(answer).then((output) => {
      if (output.moments) this.own(output.moments);
      return this.ownForward(output);
    });
  }

  /** Disposes y and what is saved in the end. */
  ownForward<F extends ForwardOutput<Memory>>(output: F): F {
    this.#alive.add(output.saved);
    this.own(output.y);
    return output;
  }

  /** Disposes it in the end, if it is on the device. */
  own<T extends object>(result: T): T {
    if ('dispose' in result) this.memory.own(result as unknown as DeviceTensor);
    return result;
  }

  async backward(kernels: Kernels, saved: Saved, dy: FloatArray, training: boolean): Promise<Gradients> {
    const operations = this.#operations(kernels);
    const none = { dx: undefined, dgamma: undefined, dbeta: undefined, parameterGradients: true };
    const input = { saved, dy: await this.put(dy), ...none };
    const output = await (training ? operations.backwardTraining(input) : operations.backwardInference(input));
    return this.read(output);
  }

  /** An activation of these elements; `shape`: of a part of the batch. */
  async put(values: FloatArray, shape: readonly number[] = this.shape): Promise<Memory['activation']> {
    const activation = await this.memory.put(values, shape);
    return 'data' in activation ? activation.data : activation;
  }

  async read({ dx, dresidual, dgamma, dbeta }: BackwardOutput<Memory>): Promise<Gradients> {
    return {
      dx: await this.elements(dx),
      ...(dresidual && { dresidual: await this.elements(dresidual) }),
      dgamma: await this.memory.read(dgamma),
      dbeta: await this.memory.read(dbeta),
    };
  }

  elements(activation: Memory['activation']): Promise<FloatArray> {
    const isHost = ArrayBuffer.isView(activation);
    return this.memory.read(isHost ? ({ data: activation, shape: this.shape } as Tensor) : activation);
  }

  /** Disposes kernels, or what a forward has saved, before the end. */
  free(one: Kernels | Saved): void {
    this.#alive.delete(one);
    one.dispose();
  }

  dispose(): void {
    // In reverse: saved forwards before their kernels.
    for (const one of [...this.#alive].reverse()) one.dispose();
    this.memory.dispose();
  }

  /** The stages that work on this memory. */
  stages(kernels: Kernels): Stages<Memory> {
    if (this.memory.onHost) return kernels;
    if (kernels.device === undefined) {
      throw new Error('kernels.device: received none, expected stages, as the capabilities say');
    }
    return kernels.device;
  }

  #operations(kernels: Kernels): Operations<Memory> {
    return operationsOf(this.stages(kernels));
  }
}

/** A mask for kernels; undefined where every position counts. */
export function countedIn(positions: Uint8Array): CountedPositions | undefined {
  const count = positions.reduce((sum, value) => sum + value, 0);
  return count === positions.length ? undefined : { positions, count };
}

/** Checks that gradients are the same to the bit. */
export const same = (what: string, received: Gradients, expected: Gradients): Check[] =>
  (['dx', 'dresidual', 'dgamma', 'dbeta'] as const)
    .filter((name) => received[name] ?? expected[name])
    .map((name) => identical(`${what}: ${name}`, received[name] ?? [], expected[name] ?? []));
