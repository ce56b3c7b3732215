// Archives of NumPy arrays, .npz.
import { describe, refuse } from '@batchnorm/core-api';
import { zipSync } from 'fflate';
import { bytesOf, type FileSource } from './byte-source.js';
import { readArray, storedArray, writeNpy } from './npy.js';
import { type FileTensor, namedTensors, readableInfo, type TensorFile } from './tensor-file.js';
import { checkedBytesOfEntry, openZip } from './zip.js';

/**
 * Opens a .npz file, compressed or not; the directory and the headers of its arrays are read. Errors: `INVALID_FILE`,
 * `UNSUPPORTED` and `LIMIT_EXCEEDED` for compressed arrays, as in docs/weights.md; those of the source.
 */
export async function openNpz(source: FileSource): Promise<TensorFile> {
  const bytes = await bytesOf(source);
  const arrays = new Map<string, { entry: Awaited<ReturnType<typeof checkedBytesOfEntry>>; array: Stored }>();
  const archive = await openZip(bytes);
  for (const [file, entry] of archive) {
    if (!file.endsWith('.npy')) continue;
    const name = file.slice(0, -4);
    // NumPy calls both 'a'.
    if (archive.has(name) && !name.endsWith('.npy'))
      refuse('INVALID_FILE', `entries ${describe(name)} and ${describe(file)}`, 'one of them');
    const own = await checkedBytesOfEntry(bytes, entry);
    arrays.set(name, { entry: own, array: await storedArray(own, `'${file}'`) });
  }
  const tensors = new Map([...arrays].map(([name, { array }]) => [name, array] as const));
  return {
    format: 'npz',
    tensors,
    read: async (name) => {
      const info = readableInfo(tensors, name);
      return readArray(arrays.get(name)!.entry, info);
    },
  };
}

type Stored = Awaited<ReturnType<typeof storedArray>>;

/** In an archive, as 16 bits hold. */
const [mostEntries, longestName] = [65_535, 65_535];

/**
 * The bytes of a .npz file, not compressed. Errors: those of `writeNpy`; `INVALID_OPTION` for a name that is empty, has
 * lone surrogates, or takes more than 65,531 bytes of UTF-8; `LIMIT_EXCEEDED` for more than 65,535 tensors.
 */
export function writeNpz(tensors: Readonly<Record<string, FileTensor>> | ReadonlyMap<string, FileTensor>): Uint8Array {
  const entries = namedTensors(tensors);
  if (entries.length > mostEntries) refuse('LIMIT_EXCEEDED', `${entries.length} tensors`, `${mostEntries} at most`);
  const files = entries.map(([name, tensor]) => [fileName(name), writeNpy(tensor)] as const);
  // The same arrays are the same bytes, whenever they are written.
  return zipSync(Object.fromEntries(files), { level: 0, mtime: new Date(1980, 0, 1) });
}

/** Of the array in the archive. Errors: `INVALID_OPTION`. */
function fileName(name: string): string {
  if (name === '') refuse('INVALID_OPTION', 'a tensor without a name', 'names of one letter or more');
  const file = `${name}.npy`;
  const { length } = new TextEncoder().encode(file);
  if (length > longestName) refuse('INVALID_OPTION', `a name of ${length - 4} bytes`, `${longestName - 4} at most`);
  return file;
}
