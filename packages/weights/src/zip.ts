// Archives of ZIP (APPNOTE.TXT 6.3.10), as NumPy and PyTorch write them: the directory at their end, and the bytes of one
// entry, wherever they lie. Libraries read an archive whole, or do not say where an entry's bytes begin.
import { describe, refuse } from '@batchnorm/core-api';
import { Inflate } from 'fflate';
import type { ByteSource } from './byte-source.js';

/** An entry of an archive. */
interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly isEncrypted: boolean;
  /** Where its local header begins. */
  readonly offset: number;
  readonly compressedSize: number;
  readonly size: number;
  readonly crc32: number;
}

/** The entries of an archive by their names, in order; none of them has been read. */
export type ZipArchive = ReadonlyMap<string, ZipEntry>;

/** Of more entries or bytes the directory of no archive of tensors is. */
const mostEntries = 2 ** 17;
const longestDirectory = 2 ** 25;
/** Of a compressed entry, in bytes: what is stored as it is has no limit. A deflated byte gives at most 1032. */
const mostInflated = 2 ** 28;
const mostFromOneByte = 1032;

const [endSignature, end64Locator, end64Signature] = [0x06054b50, 0x07064b50, 0x06064b50];
const [entrySignature, localSignature] = [0x02014b50, 0x04034b50];

/** Reads the directory of an archive. Errors: `INVALID_FILE`. */
export async function openZip(source: ByteSource): Promise<ZipArchive> {
  const { offset, length, count } = await findDirectory(source);
  if (count > mostEntries || length > longestDirectory) {
    refuse('INVALID_FILE', `a directory of ${count} entries in ${length} bytes`, `${mostEntries} at most`);
  }
  const archive = readDirectory(await source.read(offset, length), count);
  assertApart([...archive.values()], offset);
  return archive;
}

async function findDirectory(source: ByteSource): Promise<{ offset: number; length: number; count: number }> {
  // The record at the end has 22 bytes and a comment of at most 65,535; what locates that of ZIP64 has 20 before it.
  const length = Math.min(source.size, 22 + 65_535 + 20);
  const start = source.size - length;
  const tail = viewOf(await source.read(start, length));
  for (let at = length - 22; at >= 0; at--) {
    if (tail.getUint32(at, true) !== endSignature || at + 22 + tail.getUint16(at + 20, true) !== length) continue;
    const isZip64 = at >= 20 && tail.getUint32(at - 20, true) === end64Locator;
    if (isZip64) {
      const record = viewOf(await source.read(wholeNumber(tail, at - 12), 56));
      if (record.getUint32(0, true) !== end64Signature) refuseZip('no record of ZIP64 where its locator says');
      return { count: wholeNumber(record, 32), length: wholeNumber(record, 40), offset: wholeNumber(record, 48) };
    }
    return {
      count: tail.getUint16(at + 10, true),
      length: tail.getUint32(at + 12, true),
      offset: tail.getUint32(at + 16, true),
    };
  }
  refuseZip('no directory at the end');
}

function readDirectory(bytes: Uint8Array, count: number): ZipArchive {
  const view = viewOf(bytes);
  const archive = new Map<string, ZipEntry>();
  let at = 0;
  for (let k = 0; k < count; k++) {
    if (at + 46 > bytes.length || view.getUint32(at, true) !== entrySignature) refuseZip(`no entry ${k} of ${count}`);
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const extra = at + 46 + nameLength;
    const next = extra + extraLength + view.getUint16(at + 32, true);
    if (next > bytes.length) refuseZip(`entry ${k} beyond the end of the directory`);
    // A byte order mark is part of a name.
    const name = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(at + 46, extra));
    if (archive.has(name)) refuseZip(`two entries ${describe(name)}`);
    const sizes = wideFields(view, extra, extra + extraLength, {
      size: view.getUint32(at + 24, true),
      compressedSize: view.getUint32(at + 20, true),
      offset: view.getUint32(at + 42, true),
    });
    const isEncrypted = (view.getUint16(at + 8, true) & 1) === 1;
    archive.set(name, {
      name,
      method: view.getUint16(at + 10, true),
      isEncrypted,
      crc32: view.getUint32(at + 16, true),
      ...sizes,
    });
    at = next;
  }
  return archive;
}

/** Fields of 32 bits, or those of 64 bits in the extra field of ZIP64 that stand for those that are all ones. */
function wideFields<Fields extends Readonly<Record<string, number>>>(
  view: DataView,
  start: number,
  end: number,
  fields: Fields,
): Fields {
  const wide: Record<string, number> = { ...fields };
  for (let at = start; at + 4 <= end; at += 4 + view.getUint16(at + 2, true)) {
    if (view.getUint16(at, true) !== 1) continue;
    const last = Math.min(end, at + 4 + view.getUint16(at + 2, true));
    let field = at + 4;
    for (const name of Object.keys(fields)) {
      if (fields[name] !== 0xffffffff) continue;
      if (field + 8 > last) refuseZip('an extra field of ZIP64 that is too short');
      wide[name] = wholeNumber(view, field);
      field += 8;
    }
  }
  return wide as Fields;
}

/** Errors: `INVALID_FILE` where entries share bytes, as those of archives do that are small and hold much. */
function assertApart(entries: readonly ZipEntry[], directory: number): void {
  let free = 0;
  for (const { name, offset, compressedSize } of [...entries].sort((a, b) => a.offset - b.offset)) {
    if (offset < free) refuseZip(`entry ${describe(name)} over another`);
    free = offset + 30 + compressedSize;
  }
  if (free > directory) refuseZip('an entry over the directory');
}

/**
 * The bytes of an entry. What is stored is read where it lies; what is deflated, from its beginning as far as is asked
 * for. Errors: `UNSUPPORTED` for another method and for encryption, `LIMIT_EXCEEDED` for a deflated entry of more than
 * 256 MiB, `INVALID_FILE`.
 */
export async function bytesOfEntry(source: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  const { name, offset, compressedSize, size, method, isEncrypted } = entry;
  if (isEncrypted || (method !== 0 && method !== 8)) {
    refuse(
      'UNSUPPORTED',
      `entry ${describe(name)}, ${isEncrypted ? 'encrypted' : `of method ${method}`}`,
      'stored or deflated',
    );
  }
  const local = viewOf(await source.read(offset, 30));
  if (local.getUint32(0, true) !== localSignature) refuseZip(`no entry ${describe(name)} where the directory says`);
  const start = offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  if (method === 0) {
    if (size !== compressedSize) refuseZip(`${compressedSize} bytes for the ${size} of ${describe(name)}`);
    return within(source, start, size, name);
  }
  if (size > mostInflated) {
    refuse('LIMIT_EXCEEDED', `${size} bytes of ${describe(name)}`, `${mostInflated} at most in a deflated entry`);
  }
  if (size > mostFromOneByte * compressedSize)
    refuseZip(`${size} bytes out of ${compressedSize} for ${describe(name)}`);
  const compressed = within(source, start, compressedSize, name);
  return {
    size,
    async read(from, length) {
      return (await inflated(compressed, from + length, size, name)).subarray(from, from + length);
    },
  };
}

/**
 * The same where a read up to the end is held against the checksum of the entry, all of which is read for that. Not for
 * PyTorch, which can be told to write none. Errors: those, and `INVALID_FILE` for other bytes.
 */
export async function checkedBytesOfEntry(source: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  const bytes = await bytesOfEntry(source, entry);
  const { size } = bytes;
  return {
    size,
    async read(offset, length) {
      if (offset + length !== size) return bytes.read(offset, length);
      const whole = await bytes.read(0, size);
      if (crc32(whole) !== entry.crc32) refuseZip(`bytes of ${describe(entry.name)} that its checksum is not of`);
      return whole.subarray(offset);
    },
  };
}

const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0xedb88320 : 0);
  return remainder;
});

/** Neither Node 20, nor pages, nor fflate have it to be called. */
function crc32(bytes: Uint8Array): number {
  let remainder = -1;
  for (const byte of bytes) remainder = (remainder >>> 8) ^ crcTable[(remainder ^ byte) & 255]!;
  return (remainder ^ -1) >>> 0;
}

function within(source: ByteSource, start: number, size: number, name: string): ByteSource {
  return {
    size,
    async read(offset, length) {
      if (offset + length > size) refuseZip(`${size} bytes of ${describe(name)}, less than its content says`);
      return source.read(start + offset, length);
    },
  };
}

/** In bytes: what is inflated of them at once is at most 1032 times as long. */
const chunk = 2 ** 14;

/** The first `wanted` bytes. Errors: `INVALID_FILE` for what is not deflated, or has not `size` bytes. */
async function inflated(compressed: ByteSource, wanted: number, size: number, name: string): Promise<Uint8Array> {
  if (wanted > size) refuseZip(`${size} bytes of ${describe(name)}, less than its content says`);
  const bytes = new Uint8Array(wanted);
  let done = 0;
  const inflate = new Inflate((part) => {
    if (done + part.length > size) refuseZip(`more than ${size} bytes of ${describe(name)}`);
    bytes.set(part.subarray(0, Math.max(0, wanted - done)), Math.min(done, wanted));
    done += part.length;
  });
  for (let at = 0; at < compressed.size && done < wanted; at += chunk) {
    const part = await compressed.read(at, Math.min(chunk, compressed.size - at));
    try {
      inflate.push(part, at + chunk >= compressed.size);
    } catch (cause) {
      refuse('INVALID_FILE', `entry ${describe(name)} that is not deflated`, 'bytes of DEFLATE', { cause });
    }
  }
  if (done < wanted) refuseZip(`${done} of the ${size} bytes of ${describe(name)}`);
  return bytes;
}

/** 64 bits. Errors: `INVALID_FILE` for a number that no file can have. */
function wholeNumber(view: DataView, at: number): number {
  const value = Number(view.getBigUint64(at, true));
  if (!Number.isSafeInteger(value)) refuseZip(`${value} bytes`);
  return value;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function refuseZip(received: string): never {
  refuse('INVALID_FILE', `an archive with ${received}`, 'a ZIP archive');
}
