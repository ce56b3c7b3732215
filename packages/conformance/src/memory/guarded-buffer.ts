// Arrays that begin and end anywhere in a larger buffer, whose surroundings must stay as they are.
import { type Dtype, dtypeOf, type FloatArray } from '@batchnorm/core-api';

/**
 * The byte of guard zones. Two, four or eight of them are NaN: who reads beyond an array gets NaN, and who writes there is
 * found.
 */
const guard = 0xff;
/** Four of them, as a signed integer. */
const guardWord = -1;
/** How many bytes lie between arrays: more than a SIMD vector has. */
const guardBytes = 64;
const chunkBytes = 1 << 17;
/** The first array begins here, where 16 bits do not hold its offset. */
const firstByte = 1 << 16;

interface Region {
  readonly begin: number;
  readonly end: number;
}

interface Chunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly regions: Region[];
}

/** Makes every element of an array NaN, whatever its dtype. */
export function spoil({ buffer, byteOffset, byteLength }: FloatArray): void {
  new Uint8Array(buffer, byteOffset, byteLength).fill(guard);
}

/** How many bytes of an array that was spoiled are not what they were. */
export function damageOf({ buffer, byteOffset, byteLength }: FloatArray): number {
  return new Uint8Array(buffer, byteOffset, byteLength).reduce((count, byte) => count + Number(byte !== guard), 0);
}

/**
 * Allocates arrays side by side, never at the beginning of their buffer, at changing alignments; now and then the
 * buffer ends with one.
 */
export class GuardedBuffer {
  readonly #chunks: Chunk[] = [];
  #allocated = 0;

  /** A copy of `values`, of the same dtype. */
  copyOf<T extends FloatArray>(values: T): T {
    const copy = this.allocate(dtypeOf(values), values.length);
    copy.set(values);
    return copy as T;
  }

  /** `length` elements that are NaN. */
  allocate(dtype: Dtype, length: number): FloatArray {
    const Elements = { float16: Uint16Array, float32: Float32Array, float64: Float64Array }[dtype];
    const size = Elements.BYTES_PER_ELEMENT;
    const count = this.#allocated++;
    // An odd number of elements more than the guard zone, so that arrays are not aligned to SIMD vectors.
    const skip = ((count % 4) * 2 + 1) * size;
    const { bytes, regions } =
      count % 5 === 4
        ? this.#chunkThatEnds(guardBytes - 8 * size + skip + length * size)
        : this.#chunkFor(length * size + 2 * guardBytes);
    const begin = Math.ceil((this.#end(regions) + guardBytes - 8 * size) / size) * size + skip;
    regions.push({ begin, end: begin + length * size });
    return new Elements(bytes.buffer, begin, length);
  }

  /** How many bytes outside of every array are not what they were. */
  get damage(): number {
    let damaged = 0;
    for (const { bytes, regions } of this.#chunks) {
      const words = new Int32Array(bytes.buffer, 0, bytes.length >> 2);
      let from = 0;
      for (const { begin, end } of [...regions, { begin: bytes.length, end: bytes.length }]) {
        for (let k = from; k < begin; ) {
          if (k % 4 === 0 && words[k >> 2] === guardWord) k += 4;
          else if (bytes[k++] !== guard) damaged++;
        }
        from = end;
      }
    }
    return damaged;
  }

  #end(regions: readonly Region[]): number {
    return regions.at(-1)?.end ?? firstByte;
  }

  #chunkFor(size: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last && this.#end(last.regions) + size <= last.bytes.length) return last;
    const chunk = { bytes: new Uint8Array(Math.max(chunkBytes, firstByte + size)).fill(guard), regions: [] };
    this.#chunks.push(chunk);
    return chunk;
  }

  /** A buffer for one array, which ends with it. */
  #chunkThatEnds(size: number): Chunk {
    const chunk = { bytes: new Uint8Array(firstByte + size).fill(guard), regions: [] };
    // First in the list, because #chunkFor fills the last one.
    this.#chunks.unshift(chunk);
    return chunk;
  }
}
