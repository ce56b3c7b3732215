// x is lent to a forward until its backward, which needs it as it was: whether it still is.
import type { Activation } from './activation.js';
import { BatchNormError } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';
import type { DeviceTensor, FloatArray } from './tensor.js';
import { isDeviceTensor } from './validate.js';

/** How many elements are looked at where nobody wants all of them checked. */
const samples = 8;

/** How often a layer has written to a device tensor. */
const writes = new WeakMap<DeviceTensor, number>();

/** To be called for every output: a device tensor that was lent is no longer what it was. */
export function noteWrite(output: Activation): void {
  if (isDeviceTensor(output)) writes.set(output, (writes.get(output) ?? 0) + 1);
}

/** What is remembered of x: all of its elements, or a few, which is as good as free and notices that a buffer was used again. */
export class LentInput {
  readonly x: Activation;
  readonly #writes: number | undefined;
  /** Of x, or of what can be seen of it without waiting for the device. */
  readonly #remembered: ArrayLike<number>;
  readonly #isWhole: boolean;

  private constructor(x: Activation, remembered: ArrayLike<number>, isWhole: boolean) {
    this.x = x;
    this.#writes = isDeviceTensor(x) ? writes.get(x) : undefined;
    this.#remembered = remembered;
    this.#isWhole = isWhole;
  }

  /** x as it is now. */
  static sampled(x: Activation): LentInput {
    return new LentInput(x, sampleOf(visibleElements(x)), false);
  }

  /** The same with a copy of every element. */
  static async copied(x: Activation): Promise<LentInput> {
    return new LentInput(x, (await elements(x)).slice(), true);
  }

  /** Errors: `INPUT_CHANGED`, `FORWARD_REQUIRED` where x is gone. A promise only where x has to be read. */
  assertUnchanged(): MaybePromise<void> {
    const { x } = this;
    if (isDeviceTensor(x) ? x.disposed : x.data.length === 0 && this.#remembered.length > 0) {
      throw new BatchNormError(
        'FORWARD_REQUIRED',
        'received backward() when the x of its forward() was disposed or transferred, expected x as it was',
      );
    }
    if (isDeviceTensor(x) && writes.get(x) !== this.#writes) changed('which has received a result since');
    if (!this.#isWhole) this.#compare(visibleElements(x));
    else if (isDeviceTensor(x)) return elements(x).then((now) => this.#compare(now));
    else this.#compare(x.data);
  }

  #compare(now: FloatArray): void {
    for (let k = 0; k < this.#remembered.length; k++) {
      const value = now[this.#isWhole ? k : placeOfSample(k, now)];
      if (Object.is(value, this.#remembered[k])) continue;
      const which = this.#isWhole ? `element ${k}` : 'an element';
      changed(`of which ${which} was ${this.#remembered[k]} and is ${value}`);
    }
  }
}

function changed(how: string): never {
  throw new BatchNormError(
    'INPUT_CHANGED',
    `received backward() after a change of its forward's x, ${how}, expected x as it was: it is lent until then`,
  );
}

function sampleOf(values: FloatArray): ArrayLike<number> {
  const sample: number[] = [];
  if (values.length === 0) return sample;
  for (let k = 0; k < samples; k++) sample.push(values[placeOfSample(k, values)]!);
  return sample;
}

/** From the first element to the last. */
function placeOfSample(k: number, values: FloatArray): number {
  return Math.floor((k * (values.length - 1)) / (samples - 1));
}

const hidden = new Float32Array(0);

function visibleElements(x: Activation): FloatArray {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return x.view?.() ?? hidden;
  } catch (error) {
    refuse(error);
  }
}

async function elements(x: Activation): Promise<FloatArray> {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return await x.read();
  } catch (error) {
    refuse(error);
  }
}

/** What only looks like a device tensor may throw anything: its class does not know it. */
function refuse(error: unknown): never {
  if (error instanceof BatchNormError) throw error;
  throw new BatchNormError(
    'FOREIGN_TENSOR',
    'received an object that only looks like a device tensor, expected one that a backend made',
    { cause: error },
  );
}
