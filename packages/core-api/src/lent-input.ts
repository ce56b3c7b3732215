// x is lent to the layer: a backward needs x as its forward saw it, and checks that it has not changed.
import { type Activation, isDeviceTensor } from './activation.js';
import type { DeviceTensor } from './backend.js';
import { BatchNormError, refuse } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';
import type { FloatArray } from './tensor.js';
import { isDisposed } from './tensor-checks.js';

/** How many elements of x are remembered without the option `checks`. */
const sampleSize = 8;

/** How often layers have written to each device tensor. */
const writes = new WeakMap<DeviceTensor, number>();

/** Must be called for every `out` that a layer has written: a device tensor that is lent has then changed. */
export function countWrite(output: Activation): void {
  if (isDeviceTensor(output)) writes.set(output, (writes.get(output) ?? 0) + 1);
}

/** x, and its elements as they were: all, or a few, which costs next to nothing and reveals a reused buffer. */
export class LentInput {
  readonly x: Activation;
  readonly #writes: number | undefined;
  /** Elements of x; none of a device tensor without a `view`, unless all were to be copied. */
  readonly #remembered: ArrayLike<number>;
  readonly #isWhole: boolean;

  private constructor(x: Activation, remembered: ArrayLike<number>, isWhole: boolean) {
    this.x = x;
    this.#writes = isDeviceTensor(x) ? writes.get(x) : undefined;
    this.#remembered = remembered;
    this.#isWhole = isWhole;
  }

  /** Remembers a few elements of x as it is now. */
  static sampled(x: Activation): LentInput {
    return new LentInput(x, sampleOf(visibleElements(x)), false);
  }

  /** Remembers every element of x as it is now. */
  static async copied(x: Activation): Promise<LentInput> {
    return new LentInput(x, (await elements(x)).slice(), true);
  }

  /**
   * Errors: `INPUT_CHANGED`; `FORWARD_REQUIRED` where x was disposed, or its buffer transferred. Returns a promise only
   * where x has to be read from the device.
   */
  assertUnchanged(): MaybePromise<void> {
    const { x } = this;
    if (isDeviceTensor(x) ? isDisposed(x, 'x') : x.data.length === 0 && this.#remembered.length > 0) {
      refuse('FORWARD_REQUIRED', 'backward() when the x of its forward() was disposed or transferred', 'x as it was');
    }
    if (isDeviceTensor(x) && writes.get(x) !== this.#writes) refuseChange('which has received a result since');
    if (!this.#isWhole) this.#compare(visibleElements(x));
    else if (isDeviceTensor(x)) return elements(x).then((now) => this.#compare(now));
    else this.#compare(x.data);
  }

  #compare(now: FloatArray): void {
    for (let k = 0; k < this.#remembered.length; k++) {
      const value = now[this.#isWhole ? k : sampleIndex(k, now)];
      if (Object.is(value, this.#remembered[k])) continue;
      const which = this.#isWhole ? `element ${k}` : 'an element';
      refuseChange(`of which ${which} was ${this.#remembered[k]} and is ${value}`);
    }
  }
}

function refuseChange(how: string): never {
  refuse('INPUT_CHANGED', `backward() after a change of its forward's x, ${how}`, 'x as it was: it is lent until then');
}

function sampleOf(values: FloatArray): ArrayLike<number> {
  const sample: number[] = [];
  if (values.length === 0) return sample;
  for (let k = 0; k < sampleSize; k++) sample.push(values[sampleIndex(k, values)]!);
  return sample;
}

/** Where the k-th sample lies: evenly from the first element to the last. */
function sampleIndex(k: number, values: FloatArray): number {
  return Math.floor((k * (values.length - 1)) / (sampleSize - 1));
}

const none = new Float32Array(0);

/** The elements of x that can be read at once. */
function visibleElements(x: Activation): FloatArray {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return x.view?.() ?? none;
  } catch (error) {
    refuseForeign(error);
  }
}

async function elements(x: Activation): Promise<FloatArray> {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return await x.read();
  } catch (error) {
    refuseForeign(error);
  }
}

/** An object that only looks like a device tensor throws when its methods are called: they are not for its class. */
function refuseForeign(cause: unknown): never {
  if (cause instanceof BatchNormError) throw cause;
  refuse('FOREIGN_TENSOR', 'an object that only looks like a device tensor', 'one that a backend made', { cause });
}
