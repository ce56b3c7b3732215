// Counts textures and GPU buffers that have been made and not deleted, by listening in on the platform's own classes.

interface MemoryOwner {
  readonly prototype: object;
  readonly make: string;
  readonly free: string;
}

/** Where textures and buffers are made; `make` returns what `free` later gets, or is called on. */
function owners(): MemoryOwner[] {
  const { WebGLRenderingContext, WebGL2RenderingContext, GPUDevice } = globalThis as unknown as Record<
    string,
    { prototype: object } | undefined
  >;
  const webgl = [WebGLRenderingContext, WebGL2RenderingContext].flatMap((context) =>
    context ? [{ prototype: context.prototype, make: 'createTexture', free: 'deleteTexture' }] : [],
  );
  return GPUDevice ? [...webgl, { prototype: GPUDevice.prototype, make: 'createBuffer', free: 'destroy' }] : webgl;
}

export interface DeviceMemory {
  /** Textures and buffers that are alive now. */
  live(): number;
  restore(): void;
}

type Method = (this: object, ...args: unknown[]) => unknown;

export function countDeviceMemory(): DeviceMemory {
  const alive = new Set<unknown>();
  const undo: (() => void)[] = [];
  const wrap = (target: object, name: string, after: (self: object, args: unknown[], result: unknown) => void) => {
    const methods = target as Record<string, Method>;
    const original = methods[name]!;
    methods[name] = function (...args) {
      const result = original.apply(this, args);
      after(this, args, result);
      return result;
    };
    undo.push(() => {
      methods[name] = original;
    });
  };
  for (const { prototype, make, free } of [...owners(), ...nodeOwners()]) {
    wrap(prototype, make, (_, __, result) => alive.add(result));
    if (free === 'destroy') wrap(bufferPrototype(), free, (buffer) => alive.delete(buffer));
    else wrap(prototype, free, (_, [texture]) => alive.delete(texture));
  }
  return {
    live: () => alive.size,
    restore: () => {
      for (const restore of undo) restore();
    },
  };
}

function bufferPrototype(): object {
  return (globalThis as unknown as { GPUBuffer: { prototype: object } }).GPUBuffer.prototype;
}

/** The package gl, in Node, where it has been compiled. */
function nodeOwners(): MemoryOwner[] {
  const { createRequire } =
    (globalThis as { process?: NodeJS.Process }).process?.getBuiltinModule?.('node:module') ?? {};
  if (createRequire === undefined) return [];
  try {
    const fromGpuJs = createRequire(createRequire(import.meta.url).resolve('gpu.js'));
    const context = fromGpuJs('gl')(1, 1) as object | null;
    return context ? [{ prototype: Object.getPrototypeOf(context), make: 'createTexture', free: 'deleteTexture' }] : [];
  } catch {
    return [];
  }
}
