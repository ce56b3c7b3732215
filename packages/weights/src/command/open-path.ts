// A file of tensors by its path: its format is that of its name.
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { refuse } from '@batchnorm/core-api';
import { openKeras } from '../keras-file.js';
import { openNpy } from '../npy.js';
import { openNpz } from '../npz.js';
import { openOnnx } from '../onnx-file.js';
import { openPyTorch } from '../pytorch-file.js';
import { openSafetensors } from '../safetensors.js';
import { openShardedSafetensors } from '../sharded-safetensors.js';
import type { TensorFile } from '../tensor-file.js';
import { openTfjs } from '../tfjs-model.js';

/** Errors: `UNSUPPORTED` for a name of no known format; those of the format; those of the file system. */
export async function withFile<T>(path: string, use: (file: TensorFile) => Promise<T>): Promise<T> {
  const handles: FileHandle[] = [];
  const handle = async (at: string) => {
    const opened = await open(at);
    handles.push(opened);
    return opened;
  };
  const beside = (name: string) => handle(join(dirname(path), name));
  try {
    return await use(await openByName(basename(path), await handle(path), beside));
  } finally {
    for (const opened of handles) await opened.close();
  }
}

function openByName(
  name: string,
  file: FileHandle,
  beside: (name: string) => Promise<FileHandle>,
): Promise<TensorFile> {
  if (name.endsWith('.safetensors')) return openSafetensors(file);
  if (name.endsWith('.index.json')) return openShardedSafetensors(file, beside);
  if (name.endsWith('.json')) return openTfjs(file, beside);
  if (name.endsWith('.npy')) return openNpy(file);
  if (name.endsWith('.npz')) return openNpz(file);
  if (/\.(keras|h5|hdf5)$/.test(name)) return openKeras(file);
  if (name.endsWith('.onnx')) return openOnnx(file, { open: beside });
  if (/\.(pt|pth|bin)$/.test(name)) return openPyTorch(file);
  refuse(
    'UNSUPPORTED',
    `'${name}'`,
    '.safetensors, .index.json, .npy, .npz, .pt, .pth, .bin, .onnx, .keras, .h5 or model.json of tfjs',
  );
}
