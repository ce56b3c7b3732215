// A layer of float16 beside one of float32 on the same backend: fed the same numbers, both compute the same.
import {
  type BackwardOptions,
  BatchNorm,
  elementsFrom,
  extentOf,
  type FloatArray,
  type ForwardOptions,
  type Gradients,
  type LayerOptions,
  type Mask,
  numbersOf,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { type Check, compare, identical, outcome } from '../compare.js';
import type { MemoryKind, Subject } from '../conformance-case.js';
import { type Activation, type ActivationMemory, activationMemory } from '../memory/activation-memory.js';
import { type Expectation, type Forwarded, LayerModel } from '../programs/layer-model.js';
import { draw, parametersOf, randomOf } from '../programs/values.js';

const both = ['float16', 'float32'] as const;
type One = (typeof both)[number];
type Both<T> = Readonly<Record<One, T>>;

/** The same of either dtype, one after the other. */
async function ofBoth<T>(make: (dtype: One) => Promise<T>): Promise<Both<T>> {
  return { float16: await make('float16'), float32: await make('float32') };
}

/** How both layers are called. Default: a tracked training forward, into a new array, that is the layer's latest. */
interface ForwardCall {
  readonly training?: boolean;
  readonly track?: boolean;
  readonly mask?: Mask;
  readonly residual?: Float32Array;
  readonly out?: 'given' | 'x';
  readonly as?: 'latest' | 'pass';
}

interface BackwardCall {
  /** `given`: dx, dgamma and dbeta have buffers, where the host can make them. `dy`: dx lies over it. */
  readonly out?: 'given' | 'dy';
}

/** A forward of both layers, for its backward. */
interface ForwardOfBoth {
  readonly what: string;
  readonly shape: readonly number[];
  readonly y: Both<FloatArray>;
  readonly differentiate: Both<(dy: Tensor, options: BackwardOptions) => Promise<Gradients>>;
  /** What each layer's model knows of it. */
  readonly forwarded: Both<Forwarded>;
}

export class BesideFloat32 {
  readonly checks: Check[] = [];
  readonly shape: readonly number[];
  readonly #memory: ActivationMemory;
  readonly #layers: Both<BatchNorm>;
  /** The bounds of either layer: their accumulation may differ. */
  readonly #models: Both<LayerModel>;

  /** Layers with channels on axis 1 of `shape`, and parameters of their own for each. */
  constructor({ backend }: Subject, kind: MemoryKind, shape: readonly number[], options: Partial<LayerOptions> = {}) {
    this.shape = shape;
    this.#memory = activationMemory(kind, backend);
    const optionsOf = (dtype: One) => ({ numFeatures: shape[1]!, momentum: 0.5, ...options, dtype });
    const layerOf = (dtype: One) => new BatchNorm({ ...optionsOf(dtype), backend });
    const modelOf = (dtype: One) => new LayerModel(optionsOf(dtype), backend);
    this.#layers = { float16: layerOf('float16'), float32: layerOf('float32') };
    this.#models = { float16: modelOf('float16'), float32: modelOf('float32') };
    for (const dtype of both) {
      const random = randomOf(1);
      const [gamma, beta] = [parametersOf(random, shape[1]!), parametersOf(random, shape[1]!)];
      for (const one of [this.#layers[dtype], this.#models[dtype]]) {
        one.gamma.set(gamma);
        one.beta.set(beta);
      }
    }
  }

  /** Numbers of float16. */
  numbers(seed: number, shape: readonly number[] = this.shape): Float32Array {
    return numbersOf(draw({ seed, kind: 'usual' }, extentOf(shape, 1), 'float16')) as Float32Array;
  }

  /** A forward of x, whose results are compared. */
  async forward(
    what: string,
    x: Float32Array,
    call: ForwardCall = {},
    shape: readonly number[] = this.shape,
  ): Promise<ForwardOfBoth> {
    const { training = true, track = true, mask, residual, out, as = 'latest' } = call;
    const made = await ofBoth(async (dtype) => {
      const layer = this.#layers[dtype];
      const input = await this.#put(dtype, x, shape);
      const added = residual && (await this.#put(dtype, residual, shape));
      const into = out === 'x' ? input : out === 'given' ? await this.#given(dtype, shape) : undefined;
      const options = { training, track, ...(mask && { mask }), ...(added && { residual: added }) };
      const request = { ...options, ...(into && { out: into }) } as ForwardOptions;
      const pass = as === 'pass' ? await layer.forwardPass(input as Tensor, request) : undefined;
      const y = pass?.y ?? (await layer.forward(input as Tensor, request));
      const differentiable = pass ?? layer;
      return {
        y: await this.#memory.read(y),
        differentiate: (dy: Tensor, to: BackwardOptions) => differentiable.backward(dy, to),
      };
    });
    const modelOf = (dtype: One) => {
      const mode = { training, track, mask, residual, memory: this.#memory.kind };
      const forwarded = this.#models[dtype].pass(x, shape, mode);
      if (typeof forwarded === 'string') throw new Error(`${what}: received a program that is ${forwarded}`);
      return forwarded;
    };
    const forwarded = { float16: modelOf('float16'), float32: modelOf('float32') };
    const y = { float16: made.float16.y, float32: made.float32.y };
    const bounds = {
      float16: this.#models.float16.y(forwarded.float16),
      float32: this.#models.float32.y(forwarded.float32),
    };
    this.#compare(`y of ${what}`, y, bounds, shape);
    const differentiate = { float16: made.float16.differentiate, float32: made.float32.differentiate };
    return { what, shape, y, differentiate, forwarded };
  }

  /** The backward of that forward, whose results are compared; dresidual to the bit, where there is one. */
  async backward(
    { what, shape, y, differentiate, forwarded }: ForwardOfBoth,
    upstream: Float32Array,
    { out }: BackwardCall = {},
  ): Promise<void> {
    const received = await ofBoth(async (dtype) => {
      const dy = await this.#put(dtype, upstream, shape);
      const vector = () => this.#memory.vector(shape[1]!);
      const given = async () => ({
        dx: await this.#given(dtype, shape),
        ...(this.#memory.onHost && { dgamma: vector(), dbeta: vector() }),
      });
      const into = out === 'dy' ? { dx: dy } : out === 'given' ? await given() : {};
      const gradients = await differentiate[dtype](dy as Tensor, { out: into as Partial<Gradients> });
      const { dx, dresidual, dgamma, dbeta } = gradients;
      return {
        dx: await this.#memory.read(dx),
        dgamma: await this.#memory.read(dgamma),
        dbeta: await this.#memory.read(dbeta),
        dresidual: dresidual && numbersOf(await this.#memory.read(dresidual)),
      };
    });
    // The gates of float32: those of float16 are the same, and where they are not, it shows.
    const boundOf = (dtype: One) => this.#models[dtype].backward(upstream, y.float32, forwarded[dtype]);
    const bounds = { float16: boundOf('float16'), float32: boundOf('float32') };
    for (const name of ['dx', 'dgamma', 'dbeta'] as const) {
      const of = name === 'dx' ? shape : [shape[1]!];
      const values = { float16: received.float16[name], float32: received.float32[name] };
      this.#compare(`${name} of ${what}`, values, { float16: bounds.float16[name], float32: bounds.float32[name] }, of);
    }
    const { float16, float32 } = received;
    if (float32.dresidual) {
      this.checks.push(identical(`dresidual of ${what}`, float16.dresidual ?? [], float32.dresidual));
    }
  }

  /** A batch without values: results without values, and gradients of 0. */
  async empty(): Promise<void> {
    const shape = this.shape.with(0, 0);
    const nothing = new Float32Array(0);
    for (const dtype of both) {
      const layer = this.#layers[dtype];
      const y = await layer.forward((await this.#put(dtype, nothing, shape)) as Tensor);
      const { dx, dgamma } = await layer.backward((await this.#put(dtype, nothing, shape)) as Tensor);
      const results = [await this.#memory.read(y), await this.#memory.read(dx)];
      const areOf = results.every((data) => identical('', data, elementsFrom(dtype, [])).passed);
      const isZero = (await this.#memory.read(dgamma)).every((value) => value === 0);
      this.checks.push(
        outcome(`a batch without values, of ${dtype}`, areOf && isZero, ': received values, expected none'),
      );
    }
  }

  /** Compares what the layers have tracked, and looks around the arrays. */
  async finish(): Promise<readonly Check[]> {
    const state = await ofBoth((dtype) => this.#layers[dtype].state());
    const bounds = { float16: this.#models.float16.statistics(), float32: this.#models.float32.statistics() };
    for (const name of ['runningMean', 'runningVariance'] as const) {
      const values = {
        float16: Float64Array.from(state.float16[name]),
        float32: Float64Array.from(state.float32[name]),
      };
      const of = { float16: bounds.float16[name], float32: bounds.float32[name] };
      this.#compare(name, values, of, [this.shape[1]!]);
    }
    const [got, want] = [state.float16.batchesTracked, state.float32.batchesTracked];
    const { damage } = this.#memory;
    return [
      ...this.checks,
      outcome('batchesTracked', got === want, `: received ${got}, expected ${want}`),
      outcome('beside the arrays', damage === 0, `: received ${damage} bytes that were written, expected 0`),
    ];
  }

  async dispose(): Promise<void> {
    for (const dtype of both) await this.#layers[dtype].dispose().catch(() => undefined);
    this.#memory.dispose();
  }

  #put(dtype: One, numbers: Float32Array, shape: readonly number[]): Promise<Activation> {
    return this.#memory.put(elementsFrom(dtype, numbers), shape);
  }

  #given(dtype: One, shape: readonly number[]): Promise<Activation> {
    return this.#put(dtype, new Float32Array(product(shape)).fill(Number.NaN), shape);
  }

  /** What either layer computes is within its bound of what is exact, so that they are within both of each other. */
  #compare(what: string, values: Both<FloatArray>, bounds: Both<Expectation>, shape: readonly number[]): void {
    const { float16, float32 } = bounds;
    const magnitude = float16.magnitude.map((value, k) => Math.max(value, float32.magnitude[k]!));
    const tolerance = float16.tolerance.map((value, k) => value + float32.tolerance[k]!);
    const dtype = values.float32 instanceof Float32Array ? ('float16' as const) : ('float64' as const);
    const received = { shape, data: values.float16 };
    this.checks.push({ what, ...compare(received, { shape, dtype, data: values.float32, tolerance, magnitude }) });
  }
}
