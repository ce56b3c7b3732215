// Host arrays in shared linear memory, which kernels and their threads work on where they lie.
import { AllocatedTensor, arrayOf, type Dtype, type FloatArray, product, refuse } from '@batchnorm/core-api';
import type { Allocation, Allocations } from './allocation.js';
import { bytesPerElement, type LinearMemory } from './linear-memory.js';

/**
 * Bytes of results, and of tensors that were asked for, that nobody has disposed: at most these, and shares of all memory.
 * What was dropped is known in a later turn of the event loop, and a loop of calls that are done at once may never end
 * its turn: what is beyond goes to ordinary arrays.
 */
const most = { results: { bytes: 256 << 20, share: 1 / 4 }, tensors: { bytes: 1 << 30, share: 1 / 2 } };

export class SharedArrays {
  readonly #memory: LinearMemory;
  /**
   * The allocation of each buffer that an array was made with. Every array has a buffer of its own, all of them of the
   * same memory: what looks at it (a subarray, `data.buffer`) holds that buffer, and a buffer that nobody holds is an
   * allocation that nobody holds.
   */
  readonly #allocations = new WeakMap<ArrayBufferLike, Allocation>();
  readonly #results: Allocations;
  readonly #tensors: Allocations;
  readonly #mostResultBytes: number;
  readonly #mostTensorBytes: number;

  constructor(memory: LinearMemory) {
    this.#memory = memory;
    this.#results = memory.newAllocations();
    this.#tensors = memory.newAllocations();
    const mostOf = ({ bytes, share }: typeof most.results) => Math.min(bytes, share * memory.maxBytes);
    this.#mostResultBytes = mostOf(most.results);
    this.#mostTensorBytes = mostOf(most.tensors);
  }

  /**
   * A tensor whose elements may be anything; undefined where too many have not been disposed. Errors: `LIMIT_EXCEEDED`.
   */
  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor | undefined {
    return this.#tensors.bytes < this.#mostTensorBytes ? this.#tensor(shape, dtype, this.#tensors) : undefined;
  }

  /** The same for a result. Errors: `LIMIT_EXCEEDED`. */
  result(shape: readonly number[], dtype: Dtype): AllocatedTensor | undefined {
    return this.#results.bytes < this.#mostResultBytes ? this.#tensor([...shape], dtype, this.#results) : undefined;
  }

  /**
   * The address of `elements`, or undefined where they lie elsewhere. Errors: `DISPOSED`; `INVALID_TENSOR` for what is
   * not within the tensor that it looks at.
   */
  addressOf({ buffer, byteOffset, byteLength }: FloatArray): number | undefined {
    const allocation = this.#allocations.get(buffer);
    if (allocation === undefined) return undefined;
    const { at, bytes, isFree } = allocation;
    if (isFree) refuse('DISPOSED', 'elements of a disposed tensor', 'one that is alive');
    if (byteOffset < at || byteOffset + byteLength > at + bytes) {
      refuse(
        'INVALID_TENSOR',
        'an array that begins or ends outside of the tensor whose buffer it has',
        'one within it',
      );
    }
    return byteOffset;
  }

  #tensor(shape: readonly number[], dtype: Dtype, among: Allocations): AllocatedTensor {
    const elements = product(shape);
    const allocation = this.#memory.allocate(elements * bytesPerElement[dtype], among);
    // Another object for the same memory: no bytes are copied.
    const buffer = structuredClone(this.#memory.memory.buffer);
    this.#allocations.set(buffer, allocation);
    return new AllocatedTensor(new arrayOf[dtype](buffer, allocation.at, elements), shape, () => allocation.free());
  }
}
