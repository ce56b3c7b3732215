// Bytes of a file that is not loaded: read where they are needed, from memory, a Blob, an open file or a URL.
import { describe, refuse } from '@batchnorm/core-api';

/** Bytes that can be read anywhere, such as those of a storage service. */
export interface ByteSource {
  /** In bytes. */
  readonly size: number;
  /** Exactly `length` bytes from `offset` on, which lie within `size`. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** An open file of Node: a `FileHandle` of `node:fs/promises`. */
export interface OpenFile {
  /** Its size, in bytes. */
  stat(): Promise<{ readonly size: number }>;
  /** Reads `length` bytes from `position` of the file into `buffer`, from its `offset` on. */
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>;
}

/** What a file can be read from. A URL has to be of a server that answers range requests; whoever opened a file closes it. */
export type FileSource = Uint8Array | ArrayBuffer | Blob | OpenFile | URL | ByteSource;

/**
 * The bytes of `source`, none of which is read yet. Errors: `INVALID_OPTION` for what is no source, `UNSUPPORTED` for a
 * server without range requests; those of `fetch` and of the file system. Reading beyond the end is `INVALID_FILE`.
 */
export async function bytesOf(source: FileSource): Promise<ByteSource> {
  return guarded(await unguarded(source));
}

async function unguarded(source: FileSource): Promise<ByteSource> {
  if (source instanceof ArrayBuffer) return ofMemory(new Uint8Array(source));
  if (source instanceof Uint8Array) return ofMemory(source);
  if (source instanceof Blob) return ofBlob(source);
  if (source instanceof URL) return ofUrl(source);
  if (typeof Object(source).stat === 'function') return ofFile(source as OpenFile);
  if (typeof Object(source).read === 'function' && Number.isSafeInteger(Object(source).size))
    return source as ByteSource;
  refuse('INVALID_OPTION', describe(source), 'a Uint8Array, ArrayBuffer, Blob, URL, FileHandle or { size, read }');
}

/** Errors: `INVALID_FILE` where a file says that it has bytes beyond its end, or a source gives fewer than were asked. */
function guarded(source: ByteSource): ByteSource {
  const { size } = source;
  return {
    size,
    async read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
        refuse('INVALID_FILE', `a file of ${size} bytes`, `${length} bytes at ${offset}: it is truncated or malformed`);
      }
      const bytes = await source.read(offset, length);
      if (bytes.length !== length) {
        refuse('INVALID_FILE', `${bytes.length} bytes at ${offset}`, `${length}: has the file changed?`);
      }
      // A Buffer of Node would share its memory where others copy it.
      return new Uint8Array(bytes.buffer, bytes.byteOffset, length);
    },
  };
}

function ofMemory(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) };
}

function ofBlob(blob: Blob): ByteSource {
  const read = async (offset: number, length: number) =>
    new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
  return { size: blob.size, read };
}

async function ofFile(file: OpenFile): Promise<ByteSource> {
  const { size } = await file.stat();
  return {
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    },
  };
}

async function ofUrl(url: URL): Promise<ByteSource> {
  const first = await range(url, 0, 1);
  const { size } = first;
  return {
    size,
    async read(offset, length) {
      if (length === 0) return new Uint8Array(0);
      const { bytes, size: now } = await range(url, offset, length);
      if (now !== size) refuse('INVALID_FILE', `${url} of ${now} bytes`, `${size}, as before: has the file changed?`);
      return bytes;
    },
  };
}

/** RFC 9110, section 14. */
async function range(url: URL, offset: number, length: number): Promise<{ bytes: Uint8Array; size: number }> {
  const last = offset + length - 1;
  const response = await fetch(url, { headers: { Range: `bytes=${offset}-${last}` } });
  const sent = response.headers.get('content-range') ?? '';
  const size = Number(/^bytes \d+-\d+\/(\d+)$/.exec(sent)?.[1]);
  if (response.status !== 206 || !Number.isSafeInteger(size)) {
    // Of a server that would send all of it instead, nothing more is taken.
    await response.body?.cancel();
    const expected = '206 and a Content-Range: a server that answers range requests, and shows that header to pages';
    refuse(response.ok ? 'UNSUPPORTED' : 'INVALID_FILE', `status ${response.status} from ${url}`, expected);
  }
  // A part that ends with the file may be shorter than what was asked for.
  if (sent !== `bytes ${offset}-${Math.min(last, size - 1)}/${size}`) {
    await response.body?.cancel();
    refuse('INVALID_FILE', `${sent} from ${url}`, `bytes ${offset}-${last}, as was asked for`);
  }
  return { bytes: await bodyOf(response, url, length), size };
}

/** Errors: `INVALID_FILE` for more than `most` bytes, of which no more is taken. */
async function bodyOf(response: Response, url: URL, most: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(most);
  let done = 0;
  const reader = response.body?.getReader();
  for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
    if (done + part.value.length > most) {
      await reader?.cancel();
      refuse('INVALID_FILE', `more than ${most} bytes from ${url}`, 'as many as were asked for');
    }
    bytes.set(part.value, done);
    done += part.value.length;
  }
  return bytes.subarray(0, done);
}

/** The same bytes, of which small reads that lie near each other are one read of `window` bytes. */
export function readAhead(source: ByteSource, window: number = 2 ** 16): ByteSource {
  let start = 0;
  let held = new Uint8Array(0);
  return {
    size: source.size,
    async read(offset, length) {
      if (length >= window) return source.read(offset, length);
      if (offset < start || offset + length > start + held.length) {
        const ahead = Math.max(length, Math.min(window, source.size - offset));
        held = new Uint8Array(await source.read(offset, ahead));
        start = offset;
      }
      return held.subarray(offset - start, offset - start + length);
    },
  };
}
