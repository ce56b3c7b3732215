// What a rule of kernels is tried with: kernels of one plan without a layer, and activations in one kind of memory.
import {
  type Backend,
  type BackwardOutput,
  type DeviceTensor,
  type Dtype,
  type Extent,
  extentOf,
  type FloatArray,
  type ForwardOutput,
  type ForwardTrainingOutput,
  type Kernels,
  type Memory,
  type Operations,
  operationsOf,
  type Saved,
  type Stages,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, identical } from '../compare.js';
import type { MemoryKind, Subject } from '../conformance-case.js';
import { type ActivationMemory, activationMemory } from '../memory/activation-memory.js';
import { draw, parametersOf, randomOf } from '../programs/values.js';

/** The input of a forward beside x, [C] each, in arrays that a rule may write to. */
export interface Parameters {
  readonly gamma: Float64Array;
  readonly beta: Float64Array;
  readonly epsilon: number;
  readonly mean: Float64Array;
  readonly variance: Float64Array;
}

export type Forwarded = ForwardOutput<Memory> & Partial<ForwardTrainingOutput<Memory>>;
export type Gradients = Readonly<Record<'dx' | 'dgamma' | 'dbeta', FloatArray>>;

export class KernelScene {
  readonly backend: Backend;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly extent: Extent;
  readonly memory: ActivationMemory;
  readonly #alive = new Set<{ dispose(): void }>();

  constructor({ backend, dtype }: Subject, kind: MemoryKind, shape: readonly number[]) {
    this.backend = backend;
    this.dtype = dtype;
    this.shape = shape;
    this.extent = extentOf(shape, 1);
    this.memory = activationMemory(kind, backend);
  }

  /** Kernels for this extent, or another one; freed in the end. */
  async prepare(extent: Extent = this.extent): Promise<Kernels> {
    const kernels = await this.backend.prepare({ extent, dtype: this.dtype });
    this.#alive.add(kernels);
    return kernels;
  }

  /** Seeded activations. */
  values(seed: number): FloatArray {
    return draw({ seed, kind: 'usual' }, this.extent, this.dtype);
  }

  parameters(seed: number): Parameters {
    const random = randomOf(seed);
    const vector = () => parametersOf(random, this.extent.channels);
    const variance = Float64Array.from({ length: this.extent.channels }, () => random() + 0.1);
    return { gamma: vector(), beta: vector(), epsilon: 1e-3, mean: vector(), variance };
  }

  /** Calls the operation synchronously, so that a rule can change its input before the operation goes on. */
  forward(kernels: Kernels, x: Memory['activation'], parameters: Parameters, training: boolean): Promise<Forwarded> {
    const { gamma, beta, epsilon, mean, variance } = parameters;
    const input = { x, y: undefined, gamma, beta, epsilon };
    const operations = this.#operations(kernels);
    const answer = training
      ? operations.forwardTraining({ ...input, requireFinite: false })
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

  async read({ dx, dgamma, dbeta }: BackwardOutput<Memory>): Promise<Gradients> {
    return {
      dx: await this.elements(dx),
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
    if (this.memory.kind === 'host') return kernels;
    if (kernels.device === undefined) {
      throw new Error('kernels.device: received none, expected stages, as the capabilities say');
    }
    return kernels.device;
  }

  #operations(kernels: Kernels): Operations<Memory> {
    return operationsOf(this.stages(kernels));
  }
}

/** Checks that gradients are the same to the bit. */
export const same = (what: string, received: Gradients, expected: Gradients): Check[] =>
  (['dx', 'dgamma', 'dbeta'] as const).map((name) => identical(`${what}: ${name}`, received[name], expected[name]));
