// The wire format of Protocol Buffers (https://protobuf.dev/programming-guides/encoding), field by field from a file that
// is not loaded: libraries take a message as a whole, and one of ONNX may be of 2 GB.
import { refuse } from '@batchnorm/core-api';
import type { ByteSource } from './byte-source.js';

/** A field of a message. */
export interface Field {
  readonly number: number;
  /** Of a varint, as an int64; 0 for other fields. */
  readonly value: number;
  /** Where the bytes are of another field: a text, a message, packed numbers, or a float. */
  readonly start: number;
  readonly length: number;
}

/** The fields of the message in `length` bytes from `start` on, in order. Errors: `INVALID_FILE`. */
export async function* fieldsIn(source: ByteSource, start: number, length: number): AsyncGenerator<Field> {
  const end = start + length;
  for (let at = start; at < end; ) {
    const tag = await varint(source, at, end);
    at = tag.end;
    const number = Math.floor(tag.value / 8);
    const wire = tag.value % 8;
    if (number < 1) refuseMessage(`field ${number}`);
    if (wire === 0) {
      const { value, end: next } = await varint(source, at, end);
      yield { number, value, start: at, length: next - at };
      at = next;
      continue;
    }
    const prefix =
      wire === 2 ? await varint(source, at, end) : { value: wire === 1 ? 8 : wire === 5 ? 4 : -1, end: at };
    if (prefix.value < 0 || prefix.end + prefix.value > end)
      refuseMessage(`a field of wire type ${wire} beyond its end`);
    yield { number, value: 0, start: prefix.end, length: prefix.value };
    at = prefix.end + prefix.value;
  }
}

/** The varints in a field: one, or packed ones. */
export async function varintsIn(source: ByteSource, { start, length }: Field, most: number): Promise<number[]> {
  const values: number[] = [];
  for (let at = start; at < start + length; ) {
    const { value, end } = await varint(source, at, start + length);
    if (values.length === most) refuseMessage(`more than ${most} numbers`);
    values.push(value);
    at = end;
  }
  return values;
}

/** Texts and names are shorter, in bytes. */
const longestText = 2 ** 16;

export async function textOf(source: ByteSource, { start, length }: Field): Promise<string> {
  if (length > longestText) refuseMessage(`a name of ${length} bytes`);
  return new TextDecoder().decode(await source.read(start, length));
}

/** A float of 32 bits. */
export async function floatOf(source: ByteSource, { start, length }: Field): Promise<number> {
  if (length !== 4) refuseMessage(`a float of ${length} bytes`);
  const bytes = await source.read(start, 4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getFloat32(0, true);
}

async function varint(source: ByteSource, at: number, end: number): Promise<{ value: number; end: number }> {
  const bytes = await source.read(at, Math.min(10, end - at));
  const last = bytes.findIndex((byte) => byte < 0x80);
  if (last < 0) refuseMessage('a varint without an end');
  if (last < 4) {
    let value = 0;
    for (let k = last; k >= 0; k--) value = value * 128 + (bytes[k]! & 0x7f);
    return { value, end: at + last + 1 };
  }
  let value = 0n;
  for (let k = last; k >= 0; k--) value = (value << 7n) | BigInt(bytes[k]! & 0x7f);
  return { value: Number(BigInt.asIntN(64, value)), end: at + last + 1 };
}

function refuseMessage(received: string): never {
  refuse('INVALID_FILE', `a message with ${received}`, 'a message of Protocol Buffers');
}
