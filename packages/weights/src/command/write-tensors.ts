// Tensors as a file, part by part.
import { randomUUID } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { refuse } from '@batchnorm/core-api';
import { writeNpz } from '../npz.js';
import { type SafetensorsFile, safetensorsParts } from '../safetensors.js';
import type { FileTensor, TensorFile, TensorInfo } from '../tensor-file.js';

/**
 * Writes what `read` gives, in the format that the name says. Under another name first: a file that is there is complete.
 * `from` is where the tensors come from. Errors: `UNSUPPORTED` for another format; those of `read` and of the file system.
 */
export async function writeTensors(
  to: string,
  from: TensorFile,
  tensors: ReadonlyMap<string, TensorInfo>,
  read: (name: string) => Promise<FileTensor>,
  progress: (text: string) => void,
): Promise<void> {
  let done = 0;
  const counted = async (name: string) => {
    const tensor = await read(name);
    done++;
    if (done % 100 === 0 || done === tensors.size) progress(`${done} of ${tensors.size} tensors\n`);
    return tensor;
  };
  const parts = partsOf(to, from, tensors, counted);
  // A new file, whatever is there: not through a link, and not over a file of somebody else.
  const unfinished = `${to}.${randomUUID()}.unfinished`;
  const file = await open(unfinished, 'wx');
  try {
    try {
      for await (const part of parts) await file.writeFile(part);
    } finally {
      await file.close();
    }
    await rename(unfinished, to);
  } catch (error) {
    await rm(unfinished);
    throw error;
  }
}

function partsOf(
  to: string,
  from: TensorFile,
  tensors: ReadonlyMap<string, TensorInfo>,
  read: (name: string) => Promise<FileTensor>,
): AsyncIterable<Uint8Array> {
  if (to.endsWith('.safetensors')) return safetensorsParts(tensors, read, metadataOf(from));
  if (to.endsWith('.npz')) return npz(tensors, read);
  refuse('UNSUPPORTED', `'${to}'`, '.safetensors or .npz');
}

/** What a file of safetensors says of itself stays; loaders of PyTorch look for its format. */
function metadataOf(file: TensorFile): Readonly<Record<string, string>> {
  if ('metadata' in file) return Object.fromEntries((file as SafetensorsFile).metadata);
  return file.format === 'PyTorch' ? { format: 'pt' } : {};
}

async function* npz(
  tensors: ReadonlyMap<string, unknown>,
  read: (name: string) => Promise<FileTensor>,
): AsyncGenerator<Uint8Array> {
  const all = new Map<string, FileTensor>();
  for (const name of tensors.keys()) all.set(name, await read(name));
  yield writeNpz(all);
}
