// How much memory this program holds after garbage collection. Known in Node only.

/** Bytes in use. */
export interface MemoryUse {
  /** JavaScript objects. */
  readonly heap: number;
  /** What objects hold outside of the heap: typed arrays, WebAssembly memory. */
  readonly external: number;
}

interface NodeProcess {
  getBuiltinModule?(name: string): Record<string, (...args: never[]) => unknown> | undefined;
  memoryUsage?(): { readonly heapUsed: number; readonly external: number };
}

/** What garbage collection leaves, or undefined where nobody can say. */
export async function memoryInUse(): Promise<MemoryUse | undefined> {
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
  const { heapUsed, external } = process.memoryUsage();
  return { heap: heapUsed, external };
}
