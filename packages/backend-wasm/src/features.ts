// What this engine can do, asked by validating modules of one function.

/** A module of one function without parameters: `body` ends with 0x0b, and `memory` is a memory section or empty. */
function moduleOf(
  result: readonly number[],
  memory: readonly number[],
  body: readonly number[],
): Uint8Array<ArrayBuffer> {
  const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  const types = [0x01, 4 + result.length, 0x01, 0x60, 0x00, result.length, ...result];
  const functions = [0x03, 0x02, 0x01, 0x00];
  const code = [0x0a, 3 + body.length, 0x01, 1 + body.length, 0x00, ...body];
  return Uint8Array.from([...header, ...types, ...functions, ...memory, ...code]);
}

/** () => i8x16.splat(0) */
const simd = moduleOf([0x7b], [], [0x41, 0x00, 0xfd, 0x0f, 0x0b]);
/** () => f32x4.relaxed_madd of splats of 0 */
const relaxedSimd = moduleOf(
  [0x7b],
  [],
  [...[0, 1, 2].flatMap(() => [0x41, 0x00, 0xfd, 0x0f]), 0xfd, 0x85, 0x02, 0x0b],
);
/** () => i32.atomic.load(0), of a shared memory of one page */
const threads = moduleOf([0x7f], [0x05, 0x04, 0x01, 0x03, 0x01, 0x01], [0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x0b]);

function validates(module: Uint8Array<ArrayBuffer>): boolean {
  return typeof WebAssembly === 'object' && WebAssembly.validate(module);
}

/** Why there is no SIMD here, or undefined. */
export function reasonAgainstSimd(): string | undefined {
  if (typeof WebAssembly !== 'object') return 'this engine has no WebAssembly';
  return validates(simd) ? undefined : 'this engine has no WebAssembly SIMD';
}

/** Whether a product and a sum may be one instruction. */
export function hasRelaxedSimd(): boolean {
  return validates(relaxedSimd);
}

/** Why threads can't share a memory here, or undefined. */
export function reasonAgainstThreads(): string | undefined {
  if (!validates(threads)) return 'this engine has no WebAssembly threads';
  if (typeof SharedArrayBuffer === 'undefined' || Object(globalThis).crossOriginIsolated === false) {
    return 'this page is not cross-origin isolated';
  }
  return undefined;
}

/** How many threads run at once here. Node 20 has no navigator, and Deno's node:os needs a permission. */
export function parallelism(): number {
  const { navigator } = globalThis as { navigator?: { readonly hardwareConcurrency?: number } };
  const os = () => nodeModule<{ availableParallelism(): number }>('node:os');
  return navigator?.hardwareConcurrency ?? os()?.availableParallelism() ?? 1;
}

/** A module of Node's own, found without an import that a bundler would follow; undefined elsewhere. */
export function nodeModule<T>(name: string): T | undefined {
  return Object(globalThis).process?.getBuiltinModule?.(name);
}
