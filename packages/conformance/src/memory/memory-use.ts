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
  emitWarning?: unknown;
  getBuiltinModule?(name: string): Record<string, (...args: never[]) => unknown> | undefined;
  memoryUsage?(): { readonly heapUsed: number; readonly external: number };
}

/**
 * What garbage collection leaves, or undefined where nobody can say. Objects are counted unless `countsObjects` is
 * false: that takes nearly all of the time, and there are 0 of them then.
 */
export async function memoryInUse(countsObjects = true): Promise<MemoryUse | undefined> {
  const { process } = globalThis as { process?: NodeProcess };
  const queryObjects = process?.getBuiltinModule?.('node:v8')?.queryObjects;
  const collect = garbageCollector();
  if (!queryObjects || !collect || !process?.memoryUsage) return undefined;
  collect();
  // Memory outside the heap is freed by finalizers, which run in a later turn.
  await new Promise((resolve) => setTimeout(resolve, 1));
  // Garbage is collected once more, as queryObjects does, too, so that what finalizers released is not counted.
  const count = () => queryObjects(...([Object, { format: 'count' }] as never[])) as number;
  if (!countsObjects) collect();
  const objects = countsObjects ? silently(process, count) : 0;
  const { heapUsed, external } = process.memoryUsage();
  return { objects, external, heap: heapUsed };
}

/** Without Node's warning that queryObjects is experimental, which would break a line of progress. */
function silently<T>(process: NodeProcess, work: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return work();
  } finally {
    process.emitWarning = emitWarning;
  }
}

let known: (() => void) | undefined;

function garbageCollector(): (() => void) | undefined {
  const { process } = globalThis as { process?: NodeProcess };
  const [v8, vm] = ['node:v8', 'node:vm'].map((name) => process?.getBuiltinModule?.(name));
  if (!v8 || !vm) return undefined;
  v8.setFlagsFromString!('--expose-gc' as never);
  known ??= vm.runInNewContext!('gc' as never) as () => void;
  return known;
}
