// Models of several files of safetensors, of which an index says which tensor is where, as Hugging Face has them.
import { describe, refuse } from '@batchnorm/core-api';
import { bytesOf, type FileSource } from './byte-source.js';
import { fieldsOf, parseJson } from './json.js';
import { openSafetensors } from './safetensors.js';
import { readableInfo, type TensorFile, type TensorInfo } from './tensor-file.js';

/** How long an index may be, in bytes. */
const longestIndex = 100_000_000;

/**
 * Opens the files of `model.safetensors.index.json`; `open` gives each by its name, which is one without a folder. Their
 * headers are read. Errors: those of `openSafetensors`; `INVALID_FILE` for an index that is none, or says that a file has
 * a tensor that it has not; whatever `open` throws.
 */
export async function openShardedSafetensors(
  index: FileSource,
  open: (name: string) => FileSource | Promise<FileSource>,
): Promise<TensorFile> {
  const bytes = await bytesOf(index);
  if (bytes.size > longestIndex) refuse('INVALID_FILE', `an index of ${bytes.size} bytes`, `at most ${longestIndex}`);
  const fields = fieldsOf(parseJson(await bytes.read(0, bytes.size), 'the index'), 'the index');
  const fileOf = fieldsOf(fields.get('weight_map'), 'weight_map of the index');
  const files = new Map<string, TensorFile>();
  const tensors = new Map<string, TensorInfo>();
  for (const [name, file] of fileOf) {
    assertFileName(file);
    const shard = files.get(file) ?? (await openSafetensors(await open(file)));
    files.set(file, shard);
    const info = shard.tensors.get(name);
    if (info === undefined) refuse('INVALID_FILE', `'${file}' without ${describe(name)}`, 'the tensors of the index');
    tensors.set(name, info);
  }
  return {
    format: 'safetensors',
    tensors,
    async read(name) {
      readableInfo(tensors, name);
      return files.get(fileOf.get(name) as string)!.read(name);
    },
  };
}

/** Errors: `INVALID_FILE` for a name that leads elsewhere: whoever opens it may put a folder before it. */
function assertFileName(name: unknown): asserts name is string {
  if (typeof name !== 'string' || !/^[\w.-]+$/.test(name) || /^\.+$/.test(name)) {
    refuse('INVALID_FILE', `a file ${describe(name)} in the index`, 'a name of letters, digits, dots and dashes');
  }
}
