// The linear memory of a WebAssembly instance, and its allocator: it grows on demand, and uses again what is freed.
import { BatchNormError, type Dtype, type FloatArray } from '@batchnorm/core-api';
import { poolEnd } from './abi/pool-memory.js';
import { type Allocation, Allocations } from './allocation.js';

export const bytesPerElement: Readonly<Record<Dtype, number>> = { float16: 2, float32: 4, float64: 8 };

const pageBytes = 65536;
/** Everything begins at a cache line. */
const alignment = 64;
/**
 * Ranges of this size and more are followed by nine unused cache lines. Else tensors of a power of two bytes would
 * begin at the same offset of a page: a load from one then waits for stores to the other, and all compete for the same
 * sets of the cache.
 */
const [largeRange, gap] = [65536, 9 * alignment];

/**
 * Engines collect garbage when much memory is in arrays, and see nothing of what is in this one. After so many bytes that
 * were not used before, they are made to think of it: whose owner was dropped is found then, in a later turn.
 */
const bytesBetweenHints = 64 << 20;

interface Range {
  readonly at: number;
  readonly bytes: number;
}

/**
 * Bytes that tensors and kernels may take together in the memories of a backend. Memory never shrinks, but what nobody
 * has in one memory does not count, and may be taken in the other.
 */
export class MemoryBudget {
  /** Whole pages. */
  readonly maxBytes: number;
  takenBytes = 0;

  constructor(maxBytes: number) {
    this.maxBytes = Math.floor(maxBytes / pageBytes) * pageBytes;
  }
}

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  readonly #budget: MemoryBudget;
  /** Ranges that nobody has, in order of address; no two are neighbours. */
  readonly #free: Range[] = [];
  /** Addresses that were freed, by size: a training step takes what the last one freed. */
  readonly #waiting = new Map<number, number[]>();
  readonly #allocations = this.newAllocations();
  /** What was freed while threads were at work, which may still write there. */
  readonly #freedMeanwhile: Range[] = [];
  #works = 0;
  #bytesSinceHint = 0;
  /** Bytes of all allocations that somebody has. */
  allocatedBytes = 0;
  #views: Views;

  constructor(budget: MemoryBudget, shared: boolean) {
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: budget.maxBytes / pageBytes, shared });
    this.#budget = budget;
    budget.takenBytes += poolEnd;
    this.#free.push({ at: poolEnd, bytes: pageBytes - poolEnd });
    this.#views = viewsOf(this.memory.buffer);
  }

  /** What all memories of its backend may take together. */
  get maxBytes(): number {
    return this.#budget.maxBytes;
  }

  get float64(): Float64Array {
    return this.#views.float64;
  }

  get int32(): Int32Array {
    return this.#views.int32;
  }

  get uint8(): Uint8Array {
    return this.#views.uint8;
  }

  /** All of memory as elements of `dtype`. Growing makes new views and, unless memory is shared, empties older ones. */
  elements(dtype: Dtype): FloatArray {
    return this.#views[dtype];
  }

  /** Allocations that are counted, and found to be garbage, apart from others. */
  newAllocations(): Allocations {
    return new Allocations((at, bytes) => this.#takeBack(at, bytes));
  }

  /** Has nobody get what is freed from now on, until `work` has ended. */
  async during<T>(work: PromiseLike<T>): Promise<T> {
    this.#works++;
    try {
      return await work;
    } finally {
      this.#works--;
      if (this.#works === 0) for (const { at, bytes } of this.#freedMeanwhile.splice(0)) this.#takeBack(at, bytes);
    }
  }

  /** Errors: `LIMIT_EXCEEDED`, and everything is as it was. */
  allocate(bytes: number, among: Allocations = this.#allocations): Allocation {
    const rounded = Math.max(alignment, Math.ceil(bytes / alignment) * alignment);
    const size = rounded < largeRange ? rounded : rounded + gap;
    const { maxBytes, takenBytes } = this.#budget;
    if (takenBytes + size > maxBytes) this.#refuse(size);
    const at = this.#waiting.get(size)?.pop() ?? this.#cut(size);
    this.#count(size);
    return among.add(at, size);
  }

  #takeBack(at: number, bytes: number): void {
    if (this.#works > 0) {
      this.#freedMeanwhile.push({ at, bytes });
      return;
    }
    this.#count(-bytes);
    const alike = this.#waiting.get(bytes);
    if (alike) alike.push(at);
    else this.#waiting.set(bytes, [at]);
  }

  #count(bytes: number): void {
    this.allocatedBytes += bytes;
    this.#budget.takenBytes += bytes;
  }

  #refuse(bytes: number): never {
    const { maxBytes, takenBytes } = this.#budget;
    throw new BatchNormError(
      'LIMIT_EXCEEDED',
      `received work that needs ${bytes} more bytes, expected at most ${maxBytes} bytes in all, of which ${takenBytes} are taken`,
    );
  }

  /** The address of `bytes` bytes, cut from the first free range that has as many. */
  #cut(bytes: number): number {
    const first = () => this.#free.findIndex((range) => range.bytes >= bytes);
    let index = first();
    if (index < 0 && this.#waiting.size > 0) {
      for (const [size, addresses] of this.#waiting) for (const at of addresses) this.#release({ at, bytes: size });
      this.#waiting.clear();
      index = first();
    }
    if (index < 0) {
      this.#grow(bytes);
      index = this.#free.length - 1;
    }
    this.#bytesSinceHint += bytes;
    if (this.#bytesSinceHint >= bytesBetweenHints) {
      this.#bytesSinceHint = 0;
      hintAtGarbage();
    }
    const { at, bytes: available } = this.#free[index]!;
    if (available === bytes) this.#free.splice(index, 1);
    else this.#free[index] = { at: at + bytes, bytes: available - bytes };
    return at;
  }

  /** Makes room for `bytes` in the last free range. */
  #grow(bytes: number): void {
    const end = this.memory.buffer.byteLength;
    const last = this.#free.at(-1);
    const atEnd = last !== undefined && last.at + last.bytes === end ? last.bytes : 0;
    const needed = Math.ceil((bytes - atEnd) / pageBytes);
    const available = (this.#budget.maxBytes - end) / pageBytes;
    // An eighth more than is needed, so that many small tensors do not grow it one by one.
    const pages = Math.min(available, Math.max(needed, Math.ceil(end / pageBytes / 8)));
    if (needed > available || !this.#growBy(pages, needed)) this.#refuse(bytes);
    this.#views = viewsOf(this.memory.buffer);
    this.#release({ at: end, bytes: this.memory.buffer.byteLength - end });
  }

  /** Grows by `pages` or, where the engine refuses those, by the `needed` ones. Whether it could. */
  #growBy(pages: number, needed: number): boolean {
    for (const count of new Set([pages, needed])) {
      try {
        this.memory.grow(count);
        return true;
      } catch {
        // The engine has less to give than the limit allows.
      }
    }
    return false;
  }

  #release({ at, bytes }: Range): void {
    const next = this.#free.findIndex((range) => range.at > at);
    let index = next < 0 ? this.#free.length : next;
    let range = { at, bytes };
    const after = this.#free[index];
    if (after?.at === at + bytes) {
      range = { at, bytes: bytes + after.bytes };
      this.#free.splice(index, 1);
    }
    const before = this.#free[index - 1];
    if (before !== undefined && before.at + before.bytes === at) {
      range = { at: before.at, bytes: before.bytes + range.bytes };
      index--;
      this.#free.splice(index, 1);
    }
    this.#free.splice(index, 0, range);
  }
}

/** An array of address space alone, which nobody writes to, counts as if it were full. */
function hintAtGarbage(): void {
  const Resizable = ArrayBuffer as new (bytes: number, options: { readonly maxByteLength: number }) => ArrayBuffer;
  try {
    new Resizable(bytesBetweenHints, { maxByteLength: bytesBetweenHints });
  } catch {
    // There is no room for it. It was a hint.
  }
}

/** All of a memory. */
interface Views {
  /** Bits. */
  readonly float16: Uint16Array;
  readonly float32: Float32Array;
  readonly float64: Float64Array;
  readonly int32: Int32Array;
  readonly uint8: Uint8Array;
}

function viewsOf(buffer: ArrayBuffer): Views {
  return {
    float16: new Uint16Array(buffer),
    float32: new Float32Array(buffer),
    float64: new Float64Array(buffer),
    int32: new Int32Array(buffer),
    uint8: new Uint8Array(buffer),
  };
}
