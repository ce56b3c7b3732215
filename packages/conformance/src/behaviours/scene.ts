// What a behaviour is tried with: layers on one backend, batches of one shape, and activations in one kind of memory.
import {
  allocate,
  type Backend,
  BatchNorm,
  type BatchNormOptions,
  type Dtype,
  type FloatArray,
  type Gradients,
  type Mask,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, identical, outcome } from '../compare.js';
import type { MemoryKind, Subject } from '../conformance-case.js';
import { type Activation, type ActivationMemory, activationMemory, type Vector } from '../memory/activation-memory.js';
import { drawOnce } from './drawn.js';
import type { Shapes } from './extents.js';

/** The elements of x, and of dy. */
export interface Batch {
  readonly x: FloatArray;
  readonly dy: FloatArray;
}

/** What a forward and its backward gave, copied to the host. */
export interface Results {
  readonly y: FloatArray;
  readonly dx: FloatArray;
  /** After a forward with a residual. */
  readonly dresidual?: FloatArray;
  readonly dgamma: FloatArray;
  readonly dbeta: FloatArray;
}

export interface StepOptions {
  readonly training?: boolean;
  readonly shape?: readonly number[];
  readonly mask?: Mask | undefined;
  /** Its elements, which are put where x is. */
  readonly residual?: FloatArray | undefined;
}

export interface ForwardRequest {
  readonly training?: boolean;
  readonly out?: Activation;
  readonly mask?: Mask | undefined;
  readonly residual?: Activation | undefined;
}

export type BackwardRequest = Partial<Record<keyof Gradients, Activation | Vector | undefined>>;

/** A forward of an activation in either kind of memory, by the same code. */
export function forward(
  layer: BatchNorm,
  x: Activation,
  { training = true, out, mask, residual }: ForwardRequest,
): Promise<Activation> {
  const given = { ...(out && { out: out as Tensor }), ...(residual && { residual: residual as Tensor }) };
  return layer.forward(x as Tensor, { training, ...given, ...(mask && { mask }) });
}

/** A backward into the given buffers. */
export function backward(layer: BatchNorm, dy: Activation, out: BackwardRequest): Promise<Gradients> {
  const given = Object.fromEntries(Object.entries(out).filter(([, value]) => value !== undefined));
  return layer.backward(dy as Tensor, { out: given as Partial<Gradients> });
}

/** Each drawn when it is first read: most rules read one of the two. */
class DrawnBatch implements Batch {
  readonly #draw: (seed: number) => FloatArray;
  readonly #n: number;
  #x: FloatArray | undefined;
  #dy: FloatArray | undefined;

  constructor(n: number, shape: readonly number[], dtype: Dtype) {
    this.#draw = (seed) => drawOnce(seed, shape, dtype);
    this.#n = n;
  }

  get x(): FloatArray {
    this.#x ??= this.#draw(2 * this.#n);
    return this.#x;
  }

  get dy(): FloatArray {
    this.#dy ??= this.#draw(2 * this.#n + 1);
    return this.#dy;
  }
}

export class Scene {
  readonly backend: Backend;
  readonly create: Subject['create'];
  readonly dtype: Dtype;
  /** The shapes of a batch, and of another one with as many channels. */
  readonly shape: readonly number[];
  readonly other: readonly number[];
  readonly memory: ActivationMemory;
  readonly #layers: BatchNorm[] = [];
  #identity: BatchNorm | undefined;
  readonly #batches = new Map<string, Batch>();

  constructor({ backend, dtype, create }: Subject, kind: MemoryKind, { shape, other }: Shapes) {
    this.backend = backend;
    this.dtype = dtype;
    this.create = create;
    this.shape = shape;
    this.other = other;
    this.memory = activationMemory(kind, backend);
  }

  get channels(): number {
    return this.shape[1]!;
  }

  /** A layer with parameters of its own for each channel; disposed with the scene. */
  layer(options: Partial<BatchNormOptions> = {}): BatchNorm {
    const { backend, dtype, channels } = this;
    const layer = new BatchNorm({ backend, dtype, numFeatures: channels, ...options });
    const { gamma, beta } = layer;
    for (let c = 0; c < gamma.length; c++) gamma[c] = 1 + (c % 8) / 8;
    for (let c = 0; c < beta.length; c++) beta[c] = (c % 8) / 4;
    this.#layers.push(layer);
    return layer;
  }

  /** The n-th batch: the same for every backend. */
  batch(n: number, shape: readonly number[] = this.shape, dtype: Dtype = this.dtype): Batch {
    const key = `${n} ${shape} ${dtype}`;
    const batch = this.#batches.get(key) ?? new DrawnBatch(n, shape, dtype);
    this.#batches.set(key, batch);
    return batch;
  }

  put(values: FloatArray, shape: readonly number[] = this.shape): Promise<Activation> {
    return this.memory.put(values, shape);
  }

  /** An activation for results, filled with `value`. */
  junk(value: number = Number.NaN, shape: readonly number[] = this.shape): Promise<Activation> {
    return this.put(allocate(this.dtype, product(shape)).fill(value), shape);
  }

  /**
   * Writes other elements into the same activation. On the device the inference of an identity layer does it: 1/√(1 +
   * epsilon) is 1.
   */
  async refill(activation: Activation, values: FloatArray): Promise<void> {
    if ('data' in activation) {
      activation.data.set(values);
      return;
    }
    this.#identity ??= this.layer({ affine: false, epsilon: 1e-30 });
    await forward(this.#identity, await this.put(values), { training: false, out: activation });
  }

  /** A forward whose result is freed with the scene. */
  async forward(layer: BatchNorm, x: Activation, options: ForwardRequest = {}): Promise<Activation> {
    const y = await forward(layer, x, options);
    this.memory.own(y);
    return y;
  }

  /** A backward whose results are freed with the scene. */
  async backward(layer: BatchNorm, dy: Activation, out: BackwardRequest = {}): Promise<Gradients> {
    const gradients = await backward(layer, dy, out);
    const { dx, dresidual, dgamma, dbeta } = gradients;
    for (const result of [dx, dgamma, dbeta]) this.memory.own(result);
    if (dresidual) this.memory.own(dresidual);
    return gradients;
  }

  /** y of a batch, on the host. */
  async y(
    layer: BatchNorm,
    values: FloatArray,
    { training = true, shape = this.shape, mask, residual }: StepOptions = {},
  ): Promise<FloatArray> {
    const added = residual && (await this.put(residual, shape));
    const x = await this.put(values, shape);
    return this.memory.read(await this.forward(layer, x, { training, mask, residual: added }));
  }

  /** The gradients of the latest forward, on the host. */
  async gradients(
    layer: BatchNorm,
    values: FloatArray,
    shape: readonly number[] = this.shape,
  ): Promise<Omit<Results, 'y'>> {
    return this.read(await this.backward(layer, await this.put(values, shape)));
  }

  /** A forward and its backward, on the host. */
  async step(layer: BatchNorm, { x, dy }: Batch, options: StepOptions = {}): Promise<Results> {
    const y = await this.y(layer, x, options);
    return { y, ...(await this.gradients(layer, dy, options.shape)) };
  }

  async read({ dx, dresidual, dgamma, dbeta }: Gradients): Promise<Omit<Results, 'y'>> {
    return {
      dx: await this.memory.read(dx),
      ...(dresidual && { dresidual: await this.memory.read(dresidual) }),
      dgamma: await this.memory.read(dgamma),
      dbeta: await this.memory.read(dbeta),
    };
  }

  /** Nothing was written beside the arrays that this scene handed out. */
  surroundings(): Check {
    const { damage } = this.memory;
    return outcome('beside the arrays', damage === 0, `: received ${damage} bytes that were written, expected 0`);
  }

  /** Frees all layers, after a part of a rule that has many of them: some platforms have room for few at a time. */
  async disposeLayers(): Promise<void> {
    for (const layer of this.#layers.splice(0)) await layer.dispose().catch(() => undefined);
    this.#identity = undefined;
  }

  async dispose(): Promise<void> {
    await this.disposeLayers();
    this.memory.dispose();
  }
}

/** Checks that the results of two steps, or of parts of them, are the same to the bit. */
export function same(what: string, received: Partial<Results>, expected: Partial<Results>): Check[] {
  return Object.entries(received).map(([name, values]) =>
    identical(`${what}: ${name}`, values, expected[name as keyof Results] ?? []),
  );
}
