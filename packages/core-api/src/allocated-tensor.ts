// Host tensors that give their memory back when their owner says so, before the garbage collector would.
/// <reference lib="esnext.disposable" preserve="true" />
import { arrayOf, dtypeOf, type FloatArray, type Tensor } from './tensor.js';

/** Shared by every copy of this package in a program: a kit that is run by npx has one, and the backend another. */
const marker: unique symbol = Symbol.for('@batchnorm/AllocatedTensor');

/**
 * A tensor whose memory somebody may use again after its `dispose()`. Without `dispose()` it is freed like any other,
 * when nobody holds it, its `data`, or a view of those. `instanceof` also recognises tensors of another copy of this
 * package.
 */
export class AllocatedTensor implements Tensor, Disposable {
  static {
    Object.defineProperty(AllocatedTensor.prototype, marker, { value: true });
  }

  /** Of length 0 when disposed: arrays that somebody still has may be empty then, or anybody's. */
  readonly data: FloatArray;
  readonly shape: readonly number[];
  /** None when disposed. */
  #release: (() => void) | undefined;

  /** `release` is called once, by `dispose()`. */
  constructor(data: FloatArray, shape: readonly number[], release: () => void) {
    this.data = data;
    this.shape = shape;
    this.#release = release;
  }

  get disposed(): boolean {
    return this.#release === undefined;
  }

  /** Gives the memory back. May be called again, and then does nothing. */
  dispose(): void {
    const release = this.#release;
    if (release === undefined) return;
    this.#release = undefined;
    release();
    // A frozen tensor keeps its array.
    Reflect.set(this, 'data', new arrayOf[dtypeOf(this.data)](0));
  }

  /** `dispose()`, at the end of the scope of a `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Whether `value` is an AllocatedTensor, of this copy of the package or of another. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && marker in value;
  }
}
