// How much memory outside the JavaScript heap is in use: typed arrays that somebody still holds. Known in Node only.

interface NodeProcess {
  getBuiltinModule?(name: string): Record<string, (...args: never[]) => unknown> | undefined;
  memoryUsage?(): { readonly arrayBuffers: number };
}

/** Bytes in typed arrays after a garbage collection, or undefined where nobody can say. */
export function bytesInArrays(): number | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  const [v8, vm] = ['node:v8', 'node:vm'].map((name) => process?.getBuiltinModule?.(name));
  if (!v8 || !vm || !process?.memoryUsage) return undefined;
  v8.setFlagsFromString!('--expose-gc' as never);
  const collect = vm.runInNewContext!('gc' as never) as () => void;
  collect();
  return process.memoryUsage().arrayBuffers;
}
