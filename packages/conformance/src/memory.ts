// How much memory outside the JavaScript heap is in use: typed arrays that somebody still holds. Known in Node only.

interface NodeProcess {
  getBuiltinModule?(name: string): Record<string, (...args: never[]) => unknown> | undefined;
  memoryUsage?(): { readonly arrayBuffers: number };
}

/** Bytes in typed arrays that garbage collection leaves, or undefined where nobody can say. */
export async function bytesInArrays(): Promise<number | undefined> {
  const { process } = globalThis as { process?: NodeProcess };
  const [v8, vm] = ['node:v8', 'node:vm'].map((name) => process?.getBuiltinModule?.(name));
  if (!v8 || !vm || !process?.memoryUsage) return undefined;
  v8.setFlagsFromString!('--expose-gc' as never);
  const collect = vm.runInNewContext!('gc' as never) as () => void;
  // Memory outside the heap is freed by finalizers, which run in a later turn.
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  return process.memoryUsage().arrayBuffers;
}
