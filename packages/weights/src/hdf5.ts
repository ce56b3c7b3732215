// Files of HDF5, by jsfive (https://github.com/usnistgov/jsfive), which the caller passes: whoever reads none of them need
// not have it. h5wasm, the library of HDF5 itself, does not return from some files that are broken.
import { BatchNormError, describe, refuse } from '@batchnorm/core-api';

/** What is used of the module `jsfive`. */
export interface Hdf5Library {
  readonly File: new (bytes: ArrayBuffer, name: string) => Hdf5Group;
  readonly Group: abstract new (...args: never) => Hdf5Group;
  readonly Dataset: abstract new (...args: never) => Hdf5Dataset;
}

interface Hdf5Group {
  readonly keys: readonly string[];
  readonly attrs: Readonly<Record<string, unknown>>;
  get(name: string): unknown;
}

/** What a file says of an array. */
interface Hdf5Array {
  readonly shape: unknown;
  /** As NumPy has it: '<f4' is float32. */
  readonly dtype: unknown;
}

interface Hdf5Dataset extends Hdf5Array {
  readonly value: unknown;
}

/** An open file. */
export interface Hdf5File {
  /** By their paths: 'layers/dense/vars/0'. */
  readonly arrays: ReadonlyMap<string, Hdf5Array>;
  /** An attribute of the group at a path, '' for the root: a text or several; undefined where there is none. */
  attribute(path: string, name: string): string | readonly string[] | undefined;
  /** The elements of an array. Errors: `LIMIT_EXCEEDED` for more than 2²⁵; `INVALID_FILE`. */
  values(path: string): readonly (number | bigint)[];
}

/** Of groups and arrays, and how deep they lie in each other. */
const mostObjects = 100_000;
const deepest = 32;
/** Elements of an array, which need not be in the file where nobody has written them. */
const mostElements = 2 ** 25;

/** Opens a file of HDF5. Errors: `INVALID_OPTION` for what is not jsfive; `INVALID_FILE`. */
export function openHdf5(bytes: Uint8Array, library: Hdf5Library): Hdf5File {
  if (typeof Object(library).File !== 'function') {
    refuse('INVALID_OPTION', `jsfive ${describe(library)}`, "the module: `await import('jsfive')`");
  }
  assertComplete(bytes);
  const { groups, datasets } = attempt(() => objectsIn(new library.File(bytes.slice().buffer, 'file'), library));
  return {
    arrays: new Map(attempt(() => [...datasets].map(([at, { shape, dtype }]) => [at, { shape, dtype }] as const))),
    attribute: (at, name) => attempt(() => textsOf(groups.get(at)?.attrs, name)),
    values: (at) => valuesOf(at, datasets.get(at)!),
  };
}

/** Where versions 0 to 3 of the superblock have the address of the end of the file (HDF5 File Format, section II.A). */
const endOfFileAt = [40, 44, 28, 28];

/** Errors: `INVALID_FILE` for a file that is shorter than it says, which jsfive would read as far as it goes. */
function assertComplete(bytes: Uint8Array): void {
  const at = endOfFileAt[bytes[8] ?? -1];
  if (at === undefined || bytes.length < at + 8) refuse('INVALID_FILE', 'no superblock of HDF5', 'a file of HDF5');
  const end = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
  if (end > bytes.length) refuse('INVALID_FILE', `${bytes.length} bytes`, `${end}, as the superblock says`);
}

/** What the library throws, which may be a text, is about the file. */
function attempt<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof BatchNormError) throw cause;
    refuse('INVALID_FILE', 'a file that jsfive does not read', 'a file of HDF5', { cause });
  }
}

function objectsIn(
  root: Hdf5Group,
  { Dataset, Group }: Hdf5Library,
): { readonly groups: ReadonlyMap<string, Hdf5Group>; readonly datasets: ReadonlyMap<string, Hdf5Dataset> } {
  const groups = new Map([['', root]]);
  const datasets = new Map<string, Hdf5Dataset>();
  const walk = (group: Hdf5Group, path: string, depth: number) => {
    if (depth > deepest) refuse('INVALID_FILE', `groups within each other, ${deepest} deep`, 'fewer');
    for (const key of group.keys) {
      const at = path === '' ? key : `${path}/${key}`;
      if (groups.size + datasets.size > mostObjects)
        refuse('INVALID_FILE', `more than ${mostObjects} objects`, 'fewer');
      const object = group.get(key);
      if (object instanceof Dataset) datasets.set(at, object);
      if (!(object instanceof Group)) continue;
      groups.set(at, object);
      walk(object, at, depth + 1);
    }
  };
  walk(root, '', 0);
  return { groups, datasets };
}

function textsOf(
  attributes: Readonly<Record<string, unknown>> = {},
  name: string,
): string | readonly string[] | undefined {
  const value = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  if (typeof value === 'string') return value;
  return Array.isArray(value) && value.every((text) => typeof text === 'string') ? value : undefined;
}

function valuesOf(path: string, dataset: Hdf5Dataset): readonly (number | bigint)[] {
  const count = (dataset.shape as number[]).reduce((product, size) => product * size, 1);
  if (count > mostElements)
    refuse('LIMIT_EXCEEDED', `${count} elements of ${describe(path)}`, `${mostElements} at most`);
  const value = attempt(() => dataset.value);
  const isNumber = (element: unknown) => typeof element === 'number' || typeof element === 'bigint';
  if (isNumber(value)) return [value as number];
  if (Array.isArray(value) && value.every(isNumber)) return value;
  refuse('INVALID_FILE', `${describe(path)}: ${describe(value)}`, 'an array of numbers');
}
