// The elements of tensors in files: how many bytes they have, and typed arrays of them. The names are those of safetensors.
import { float16Bits, float16Numbers, refuse } from '@batchnorm/core-api';

/** F16, BF16, F32 and F64 are floats, I and U whole numbers, and of BOOL each byte is 0 or 1. */
export type ElementType = keyof typeof elementTypes;

/** Elements of a tensor. Those of F16 and BF16 are in a Float32Array, which holds each exactly. */
export type Elements =
  | Float64Array
  | Float32Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

interface ElementClass {
  new (length: number): Elements;
  new (buffer: ArrayBuffer): Elements;
  readonly BYTES_PER_ELEMENT: number;
}

/** The class that has the bytes of such elements. */
const elementTypes: {
  readonly [Type in
    | 'F64'
    | 'F32'
    | 'F16'
    | 'BF16'
    | 'I64'
    | 'U64'
    | 'I32'
    | 'U32'
    | 'I16'
    | 'U16'
    | 'I8'
    | 'U8'
    | 'BOOL']: ElementClass;
} = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

export function isElementType(value: unknown): value is ElementType {
  return typeof value === 'string' && Object.hasOwn(elementTypes, value);
}

/** In bytes. */
export function elementSize(type: ElementType): number {
  return elementTypes[type].BYTES_PER_ELEMENT;
}

/** Types by their names in NumPy, after the byte order. */
export const numpyTypes: ReadonlyMap<string, ElementType> = new Map([
  ...([
    ['f8', 'F64'],
    ['f4', 'F32'],
    ['f2', 'F16'],
  ] as const),
  ...([
    ['i8', 'I64'],
    ['i4', 'I32'],
    ['i2', 'I16'],
    ['i1', 'I8'],
  ] as const),
  ...([
    ['u8', 'U64'],
    ['u4', 'U32'],
    ['u2', 'U16'],
    ['u1', 'U8'],
    ['b1', 'BOOL'],
  ] as const),
]);

const platformIsLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The elements whose bytes these are, in an array of their own. */
export function elementsOf(type: ElementType, bytes: Uint8Array, isLittleEndian = true): Elements {
  const own = new Uint8Array(bytes);
  if (isLittleEndian !== platformIsLittleEndian) swapBytes(own, elementSize(type));
  const stored = new elementTypes[type](own.buffer);
  if (type === 'F16') return Float32Array.from(stored as Uint16Array, (bits) => float16Numbers()[bits]!);
  if (type !== 'BF16') return stored;
  // A bfloat16 is the upper half of a float32.
  return new Float32Array(Uint32Array.from(stored as Uint16Array, (bits) => bits * 2 ** 16).buffer);
}

/** Elements with these values. */
export function elementsWith(type: ElementType, values: readonly (number | bigint)[]): Elements {
  if (type === 'F16' || type === 'BF16') return Float32Array.from(values, Number);
  const elements = new elementTypes[type](values.length);
  const isWide = elements instanceof BigInt64Array || elements instanceof BigUint64Array;
  elements.set((isWide ? values.map(BigInt) : values.map(Number)) as never);
  return elements;
}

/** The bytes of these elements, little-endian. Numbers are rounded to the nearest of their type, ties to even. */
export function bytesFrom(type: ElementType, elements: Elements): Uint8Array {
  const stored = new elementTypes[type](elements.length);
  if (type === 'F16') (stored as Uint16Array).set(Array.from(elements as Float32Array, float16Bits));
  else if (type === 'BF16') (stored as Uint16Array).set(Array.from(elements as Float32Array, bfloat16Bits));
  else stored.set(elements as never);
  const bytes = new Uint8Array(stored.buffer as ArrayBuffer);
  if (!platformIsLittleEndian) swapBytes(bytes, elementSize(type));
  return bytes;
}

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** The upper half of the float32, rounded to the nearest, of two that are as near to the even one. */
function bfloat16Bits(value: number): number {
  word[0] = value;
  const bits = wordBits[0]!;
  if (Number.isNaN(value)) return 0x7fc0;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) bytes.subarray(start, start + size).reverse();
}

/**
 * How many elements a tensor of this shape has. Errors: `INVALID_FILE` for what is no shape, or one of more elements
 * than can be counted.
 */
export function countOf(shape: unknown, whose: string): number {
  if (!Array.isArray(shape) || shape.length > 64 || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    refuse(
      'INVALID_FILE',
      `shape ${JSON.stringify(shape)?.slice(0, 100)} of ${whose}`,
      'at most 64 sizes of 0 or more',
    );
  }
  // A size of 0 makes any other harmless, and must not hide an overflow.
  const count = (shape as number[]).reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) refuse('INVALID_FILE', `${count} elements of ${whose}`, 'fewer than 2⁵³');
  return count;
}
