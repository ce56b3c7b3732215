// The elements of tensors in files: how many bytes they have, and typed arrays of them. The names are those of safetensors.
import { describe, float16Bits, float16Numbers, refuse } from '@batchnorm/core-api';

/** F16, BF16, F32 and F64 are floats, I and U whole numbers, and of BOOL each byte is 0 or 1. */
export type ElementType = keyof typeof elementTypes;

/**
 * Elements of a tensor, in an array of their type; those that were read of F16 and BF16 in a Float32Array, which holds each
 * exactly. What is written may be in another array, too: floats of any type in a Float32Array or a Float64Array, or in one
 * of integers of 32 bits at most; integers in any, if each is an integer of their type. A Uint16Array has U16, or the bits
 * of F16 or BF16, and no other elements.
 */
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
  return bfloat16Numbers(stored as Uint16Array);
}

/** A bfloat16 is the upper half of a float32. */
export function bfloat16Numbers(elements: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(elements, (bits) => bits * 2 ** 16).buffer);
}

/** In bytes, of one tensor: engines have longer arrays, and not all of them. */
const longestTensor = 2 ** 32;

/**
 * The elements in `size` bytes that `read` gives. Errors: `LIMIT_EXCEEDED` for more than 4 GiB, or than an array can have
 * here; those of `read`.
 */
export async function readElements(
  type: ElementType,
  whose: string,
  size: number,
  read: () => Promise<Uint8Array>,
  isLittleEndian = true,
): Promise<Elements> {
  const refuseSize = (cause?: unknown): never =>
    refuse('LIMIT_EXCEEDED', `${size} bytes of ${whose}`, 'at most 4 GiB, or what an array can have here', { cause });
  if (size > longestTensor) refuseSize();
  try {
    return elementsOf(type, await read(), isLittleEndian);
  } catch (error) {
    // What engines throw for an array that is too long, or that there is no memory for.
    if (error instanceof RangeError) refuseSize(error);
    throw error;
  }
}

/** Elements with these values. */
export function elementsWith(type: ElementType, values: readonly (number | bigint)[]): Elements {
  if (type === 'F16' || type === 'BF16') return Float32Array.from(values, Number);
  const elements = new elementTypes[type](values.length);
  const isWide = elements instanceof BigInt64Array || elements instanceof BigUint64Array;
  elements.set((isWide ? values.map(BigInt) : values.map(Number)) as never);
  return elements;
}

/**
 * The bytes of these elements, little-endian. Floats are rounded once, to the nearest of their type, ties to even. Errors:
 * `code` for elements that `Elements` does not allow.
 */
export function bytesFrom(
  type: ElementType,
  elements: Elements,
  code: 'INVALID_TENSOR' | 'INVALID_FILE' = 'INVALID_TENSOR',
): Uint8Array {
  const stored = new elementTypes[type](elements.length);
  const isFloat = type === 'F64' || type === 'F32' || type === 'F16' || type === 'BF16';
  const isWide = elements instanceof BigInt64Array || elements instanceof BigUint64Array;
  if (elements instanceof elementTypes[type]) stored.set(elements as never);
  else if (elements instanceof Uint16Array || (isFloat && isWide))
    refuse(code, `${describe(elements)} for ${type}`, 'elements of that type');
  else if (type === 'F16') for (const [k, value] of elements.entries()) stored[k] = float16Bits(value as number);
  else if (type === 'BF16') for (const [k, value] of elements.entries()) stored[k] = bfloat16Bits(value as number);
  else if (isFloat) stored.set(elements as never);
  else setIntegers(type, stored, elements, code);
  const bytes = new Uint8Array(stored.buffer as ArrayBuffer);
  if (!platformIsLittleEndian) swapBytes(bytes, elementSize(type));
  return bytes;
}

/** As integers of any size, because a float64 does not tell 2⁵³ from 2⁵³ + 1. */
function setIntegers(type: ElementType, stored: Elements, elements: Elements, code: 'INVALID_TENSOR' | 'INVALID_FILE') {
  const isWide = stored instanceof BigInt64Array || stored instanceof BigUint64Array;
  for (const [k, value] of elements.entries()) {
    const integer = typeof value === 'bigint' || Number.isInteger(value) ? BigInt(value) : undefined;
    if (integer !== undefined) stored[k] = isWide ? integer : Number(integer);
    // An integer of another type comes back as another one. Of BOOL there are two.
    if (integer === undefined || BigInt(stored[k]!) !== integer || (type === 'BOOL' && integer > 1n))
      refuse(code, `${value} for ${type}`, 'integers of that type');
  }
}

const word = new Float32Array(1);
const wordBits = new Uint32Array(word.buffer);

/** The upper half of a float32, rounded to the nearest, of two that are as near to the even one. */
function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  word[0] = value;
  let bits = wordBits[0]!;
  // What float32 can't hold is cut off, with a last bit of 1 that says so: rounded twice, it could seem to be a tie.
  if (Math.abs(word[0]) > Math.abs(value)) bits--;
  if (word[0] !== value) bits |= 1;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let start = 0; start < bytes.length; start += size) bytes.subarray(start, start + size).reverse();
}

export function isShape(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length <= 64 && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/**
 * How many elements a tensor of this shape has. Errors: `INVALID_FILE` for what is no shape, or one of more elements
 * than can be counted.
 */
export function countOf(shape: unknown, whose: string): number {
  if (!isShape(shape)) {
    refuse(
      'INVALID_FILE',
      `shape ${JSON.stringify(shape)?.slice(0, 100)} of ${whose}`,
      'at most 64 sizes of 0 or more',
    );
  }
  // A size of 0 makes any other harmless, and must not hide an overflow.
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) refuse('INVALID_FILE', `${count} elements of ${whose}`, 'fewer than 2⁵³');
  return count;
}
