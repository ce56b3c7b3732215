// How much memory this program holds after garbage collection. Known in Node only.

/** What is alive. */
export interface MemoryUse {
  /** How many objects: functions, arrays and typed arrays among them. Exact. */
  readonly objects: number;
  /** Bytes that objects hold outside of the heap: typed arrays, WebAssembly memory. Nearly exact. */
  readonly external: number;
  /** Bytes of the heap, with what the engine keeps there of its own: some hundred kilobytes more or less. */
  readonly heap: number;
}

interface NodeProcess {
  getBuiltinModule?(name: string): Record<string, (...args: never[]) => unknown> | undefined;
  memoryUsage?(): { readonly heapUsed: number; readonly external: number };
}

/** What garbage collection leaves, or undefined where nobody can say. */
export async function memoryInUse(): Promise<MemoryUse | undefined> {
  const { process } = globalThis as { process?: NodeProcess };
  const [v8, vm] = ['node:v8', 'node:vm'].map((name) => process?.getBuiltinModule?.(name));
  if (!v8?.queryObjects || !vm || !process?.memoryUsage) return undefined;
  v8.setFlagsFromString!('--expose-gc' as never);
  const collect = vm.runInNewContext!('gc' as never) as () => void;
  // Memory outside the heap is freed by finalizers, which run in a later turn.
  for (let turn = 0; turn < 3; turn++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const objects = v8.queryObjects(...([Object, { format: 'count' }] as never[])) as number;
  const { heapUsed, external } = process.memoryUsage();
  return { objects, external, heap: heapUsed };
}
