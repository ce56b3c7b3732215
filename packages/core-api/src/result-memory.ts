// The memory of results that callers gave no buffer for: where x lies, or where disposed results lay.
import { asClassOf, inClassOf, plain } from './activation.js';
import { AllocatedTensor } from './allocated-tensor.js';
import type { Backend } from './backend.js';
import { arrayOf, dtypeOf, type FloatArray, type Tensor } from './tensor.js';

/** Fresh memory of fewer bytes costs no more than to keep it. */
const leastBytes = 32 << 10;
/** Most results of a layer that nobody has: y, dx and dresidual, of a few batch sizes. */
const mostBuffers = 8;

export class ResultMemory {
  readonly #backend: Backend;
  /** Of disposed results, the latest last: the engine takes longer to make a new one than kernels to fill it. */
  readonly #buffers: ArrayBuffer[] = [];
  #isClosed = false;

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** Room for a result of x, or undefined where kernels are to make it. Errors: `LIMIT_EXCEEDED`. */
  take(x: Tensor): AllocatedTensor | undefined {
    const elements = plain(x.data);
    const there = this.#backend.resultLike?.({ data: elements, shape: x.shape });
    if (there !== undefined) return inClassOf(x, there);
    const index = this.#buffers.findLastIndex(({ byteLength }) => byteLength === elements.byteLength);
    if (index < 0) return undefined;
    const [buffer] = this.#buffers.splice(index, 1);
    return this.resultOf(new arrayOf[dtypeOf(elements)](buffer!), x);
  }

  /** The result of x whose elements these are, made by kernels. */
  resultOf(elements: FloatArray, x: Tensor): AllocatedTensor {
    return new AllocatedTensor(asClassOf(x.data, elements), [...x.shape], () => this.#keep(elements));
  }

  /** Lets go of all of it, and keeps nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#buffers.length = 0;
  }

  #keep({ buffer, byteLength }: FloatArray): void {
    const isWhole = buffer.byteLength === byteLength && buffer instanceof ArrayBuffer;
    if (this.#isClosed || byteLength < leastBytes || !isWhole) return;
    this.#buffers.push(moved(buffer));
    if (this.#buffers.length > mostBuffers) this.#buffers.shift();
  }
}

/** The memory of `buffer` in another one: whoever still has the first finds it empty, not changed. */
function moved(buffer: ArrayBuffer): ArrayBuffer {
  const { transfer } = buffer as { transfer?: () => ArrayBuffer };
  return transfer ? transfer.call(buffer) : structuredClone(buffer, { transfer: [buffer] });
}
