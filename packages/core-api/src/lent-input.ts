// x is lent to the layer, and so is a residual: a backward needs them as its forward saw them, and checks that they have
// not changed.
import { isDeviceTensor } from './activation.js';
import type { DeviceTensor } from './backend.js';
import { BatchNormError, refuse } from './errors.js';
import { arrived, type Steps } from './steps.js';
import type { FloatArray } from './tensor.js';
import { type CheckedActivation, type CheckedTensor, isDisposed } from './tensor-checks.js';

/** How many elements of an input are remembered without the option `checks`. */
const sampleSize = 8;

/** How often layers have written to each device tensor. */
const writes = new WeakMap<DeviceTensor, number>();

/** Must be called for every `out` that a layer has written: a device tensor that is lent has then changed. */
export function countWrite(output: CheckedActivation): void {
  if (isDeviceTensor(output)) writes.set(output, (writes.get(output) ?? 0) + 1);
}

/** An input, and its elements as they were: all, or a few, which costs next to nothing and reveals a reused buffer. */
export class LentInput {
  readonly #name: 'x' | 'residual';
  readonly activation: CheckedActivation;
  readonly #writes: number | undefined;
  /** Its elements; none of a device tensor without a `view`, unless all were to be copied. */
  readonly #remembered: ArrayLike<number>;
  readonly #isWhole: boolean;

  private constructor(
    name: 'x' | 'residual',
    lent: CheckedActivation,
    remembered: ArrayLike<number>,
    isWhole: boolean,
  ) {
    this.#name = name;
    this.activation = lent;
    this.#writes = isDeviceTensor(lent) ? writes.get(lent) : undefined;
    this.#remembered = remembered;
    this.#isWhole = isWhole;
  }

  /** Remembers a few elements as they are now. */
  static sampled(name: 'x' | 'residual', lent: CheckedActivation): LentInput {
    return new LentInput(name, lent, sampleOf(visibleElements(lent)), false);
  }

  /** Remembers every element as it is now. */
  static *copied(name: 'x' | 'residual', lent: CheckedActivation): Steps<LentInput> {
    return new LentInput(name, lent, (yield* elements(lent)).slice(), true);
  }

  /**
   * Errors: `INPUT_CHANGED`; `FORWARD_REQUIRED` where it was disposed, or its buffer transferred. Waits only where it has
   * to be read from the device.
   */
  *assertUnchanged(): Steps<void> {
    const lent = this.activation;
    const name = this.#name;
    if (isDeviceTensor(lent) ? isDisposed(lent, name) : isGone(lent, this.#remembered)) {
      const received = `backward() when the ${name} of its forward() was disposed or transferred`;
      refuse('FORWARD_REQUIRED', received, `${name} as it was`);
    }
    if (isDeviceTensor(lent) && writes.get(lent) !== this.#writes) {
      this.#refuseChange('which has received a result since');
    }
    this.#compare(this.#isWhole ? yield* elements(lent) : visibleElements(lent));
  }

  #compare(now: FloatArray): void {
    for (let k = 0; k < this.#remembered.length; k++) {
      const value = now[this.#isWhole ? k : sampleIndex(k, now)];
      if (Object.is(value, this.#remembered[k])) continue;
      const which = this.#isWhole ? `element ${k}` : 'an element';
      this.#refuseChange(`of which ${which} was ${this.#remembered[k]} and is ${value}`);
    }
  }

  #refuseChange(how: string): never {
    const name = this.#name;
    refuse(
      'INPUT_CHANGED',
      `backward() after a change of its forward's ${name}, ${how}`,
      `${name} as it was: it is lent until then`,
    );
  }
}

/** Whether the elements that were remembered are no tensor's any more: it was disposed, or its buffer transferred. */
function isGone({ data, owner }: CheckedTensor, remembered: ArrayLike<number>): boolean {
  return owner?.disposed === true || (data.length === 0 && remembered.length > 0);
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
function visibleElements(x: CheckedActivation): FloatArray {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return x.view?.() ?? none;
  } catch (error) {
    refuseForeign(error);
  }
}

function* elements(x: CheckedActivation): Steps<FloatArray> {
  if (!isDeviceTensor(x)) return x.data;
  try {
    return yield* arrived(x.read());
  } catch (error) {
    refuseForeign(error);
  }
}

/** An object that only looks like a device tensor throws when its methods are called: they are not for its class. */
function refuseForeign(cause: unknown): never {
  if (cause instanceof BatchNormError) throw cause;
  refuse('FOREIGN_TENSOR', 'an object that only looks like a device tensor', 'one that a backend made', { cause });
}
