// One `GPU` of gpu.js in one mode: compiles GPU kernels, runs them, and makes sure that they ran in this mode.
import { type Accumulation, BatchNormError, type Execution, type FloatArray } from '@batchnorm/core-api';
import { GPU } from 'gpu.js';
import { type ArrayOwner, DeviceArray, type Handle } from './device-array.js';
import { type GpuJsMode, type ModeTraits, traitsOf } from './modes.js';
import { copySource, type Source } from './sources.js';

/** The part of gpu.js's kernels that is used here. */
interface GpuJsKernel {
  (...args: unknown[]): unknown;
  readonly kernel: {
    readonly constructor: { readonly mode: string };
    readonly fallbackReason: string | null;
    readonly context?: NativeContext | null;
    /** WebGL: the vertices of the rectangle that is drawn. */
    buffer?: unknown;
    /** WebAssembly: the kernel's threads, once it has used any; and its modules, by the sizes of their arguments. */
    _pool?: WorkerPool | null;
    readonly _moduleCache?: ReadonlyMap<string, { readonly id: number }>;
  };
  setImmutable(flag: boolean): unknown;
  destroy(): void;
}

/** Threads that run WebAssembly modules. A module's id is unique in the program. */
interface WorkerPool {
  readonly destroyed: boolean;
  release(moduleId: number): void;
  destroy(): void;
}

/** A WebGL context, or gpu.js's own pair of WebGPU adapter and device. */
interface NativeContext {
  isContextLost?(): boolean;
  getParameter?(name: number): unknown;
  getExtension?(name: string): { readonly UNMASKED_RENDERER_WEBGL: number } | null;
  readonly RENDERER?: number;
  readonly MAX_TEXTURE_SIZE?: number;
  readonly isLost?: boolean;
  readonly adapter?: {
    readonly info?: Readonly<Record<string, string>>;
    readonly limits: { readonly maxStorageBufferBindingSize: number };
  };
}

/** An argument of a kernel. */
export type Argument = DeviceArray | Float32Array | number;

/** A GPU kernel, made when it runs first. */
export interface CompiledKernel {
  run(...args: Argument[]): Promise<DeviceArray>;
  dispose(): void;
}

/** Up to this index float32 numbers are exact integers. */
const largestIndex = 2 ** 24;

/** How many compiled kernels may be alive at once: on webasm each takes some 0.3 MB, which nothing else limits. */
export const maxKernels: number = 8192;

/** An upload is a kernel compiled for one length: as many lengths as this are kept. */
const maxUploadPrograms = 8;

export class GpuContext implements ArrayOwner {
  readonly mode: GpuJsMode;
  readonly traits: ModeTraits;
  /** Results of kernels that nobody has released yet. */
  readonly alive: Set<DeviceArray> = new Set();
  /** The bytes that they take. */
  allocatedBytes = 0;
  readonly #gpu: GPU;
  readonly #strict: boolean;
  /** Kernels that upload, by length, the least recently used first. */
  readonly #uploads = new Map<number, CompiledKernel>();
  /** One pool for all kernels: gpu.js would start threads for each of them, which take megabytes. */
  #pool: WorkerPool | undefined;
  #kernels = 0;
  #destroyed = false;
  #native: NativeContext | undefined;
  #fallbackReason: string | null = null;

  /** Errors: whatever gpu.js throws where it can't make the mode. */
  constructor(mode: GpuJsMode, strict: boolean) {
    this.mode = mode;
    this.traits = traitsOf[mode];
    this.#strict = strict;
    this.#gpu = new GPU({ mode });
  }

  /** How many elements one result may have. */
  get maxElements(): number {
    const native = this.#native;
    if (native?.getParameter) return Math.min(largestIndex, Number(native.getParameter(native.MAX_TEXTURE_SIZE!)) ** 2);
    const bytes = native?.adapter?.limits.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY;
    return Math.min(largestIndex, Math.floor(bytes / 4));
  }

  /** What executes kernels here. Complete when a kernel has run. */
  execution(accumulation: Accumulation): Execution {
    const context = this;
    return {
      engine: this.traits.engine,
      device: this.#deviceName(),
      threads: this.mode === 'webasm' ? availableThreads() : 1,
      accumulation: { float32: accumulation },
      get fallbackReason() {
        return context.#fallbackReason;
      },
    };
  }

  /**
   * A kernel, which gpu.js makes and compiles at its first run. Errors: `LIMIT_EXCEEDED`, also of that run;
   * `BACKEND_FELL_BACK` of a run.
   */
  compile({ text, width, height }: Source): CompiledKernel {
    const length = width * height;
    if (length > largestIndex) {
      throw new BatchNormError(
        'LIMIT_EXCEEDED',
        `received a kernel of ${length} results, expected at most ${largestIndex}`,
      );
    }
    const rows = this.traits.threadRows && height > 1;
    const make = () => {
      this.#assertRoom();
      const kernel = this.#gpu.createKernel(text, {
        output: rows ? [width, height] : [length],
        pipeline: true,
        immutable: true,
        asyncMode: true,
        // gpu.js would choose a precision by the size of the output.
        precision: 'single',
        tactic: 'precision',
      }) as unknown as GpuJsKernel;
      this.#kernels++;
      return kernel;
    };
    let made: GpuJsKernel | undefined;
    let running = 0;
    let latest: DeviceArray | undefined;
    let retired = false;
    /** Results on the device that are in use: gpu.js reads them through their kernel, which must live as long. */
    let results = 0;
    const destroyUnused = () => {
      if (!made || !retired || running > 0 || results > 0) return;
      this.#destroyKernel(made);
      this.#kernels--;
      made = undefined;
    };
    const onFree = () => {
      if (!this.traits.onHost) results--;
      destroyUnused();
    };
    return {
      run: async (...args) => {
        this.#assertAlive();
        made ??= make();
        const kernel = made;
        // The next result may overwrite the latest one when nobody uses that. WebGL kernels reuse textures by
        // themselves.
        if (this.mode === 'webgpu') kernel.setImmutable(running > 0 || (latest?.inUse ?? false));
        if (this.#pool) kernel.kernel._pool = this.#pool;
        running++;
        const values = args.map((arg) => (arg instanceof DeviceArray ? arg.handle : arg));
        try {
          const result = await this.guard(() => kernel(...values));
          this.#native ??= kernel.kernel.context ?? undefined;
          this.#pool ??= kernel.kernel._pool ?? undefined;
          if (!this.traits.onHost) results++;
          latest = new DeviceArray(flatten(result, length), this, { bytes: 4 * length, references: 0, onFree });
        } finally {
          running--;
          destroyUnused();
        }
        try {
          this.#assertMode(kernel);
        } catch (error) {
          latest.release();
          throw error;
        }
        return latest;
      },
      dispose: () => {
        retired = true;
        destroyUnused();
      },
    };
  }

  #assertRoom(): void {
    if (this.#kernels < maxKernels) return;
    throw new BatchNormError(
      'LIMIT_EXCEEDED',
      `received one compiled kernel more than ${maxKernels}, expected layers that nobody needs to be disposed`,
    );
  }

  #destroyKernel(kernel: GpuJsKernel): void {
    const implementation = kernel.kernel;
    // All WebGL kernels draw with the vertex buffer that was bound last, be it another kernel's: it must outlive its
    // kernel. Its few bytes are freed with the WebGL context.
    if ('buffer' in implementation) implementation.buffer = null;
    if (implementation._pool && implementation._pool === this.#pool) {
      for (const { id } of implementation._moduleCache?.values() ?? []) this.#pool.release(id);
      implementation._pool = null;
    }
    kernel.destroy();
    // gpu.js never removes a kernel from its list, nor what the kernel refers to.
    const { kernels } = this.#gpu as unknown as { readonly kernels: unknown[] };
    const index = kernels.indexOf(implementation);
    if (index >= 0) kernels.splice(index, 1);
  }

  /**
   * A copy of float32 elements on the device. Modes that compute on the host use the array itself: copy what may
   * change.
   */
  async upload(elements: FloatArray): Promise<DeviceArray> {
    const values = elements as Float32Array;
    // No texture and no GPU buffer is empty: an array without elements lies on the host.
    if (this.traits.onHost || values.length === 0) return this.onHost(values);
    const kernel = this.#uploads.get(values.length) ?? this.compile(copySource(values.length));
    this.#uploads.delete(values.length);
    this.#uploads.set(values.length, kernel);
    for (const [length, oldest] of this.#uploads) {
      if (this.#uploads.size <= maxUploadPrograms) break;
      oldest.dispose();
      this.#uploads.delete(length);
    }
    return kernel.run(values);
  }

  /** An array whose memory is `values` themselves. */
  onHost(values: Float32Array): DeviceArray {
    return new DeviceArray(values, this, { bytes: values.byteLength, references: 0, onFree() {} });
  }

  /**
   * Runs `work` on the device. Errors: `DEVICE_LOST` when the device was, or is then, gone; `LIMIT_EXCEEDED`;
   * `DISPOSED`.
   */
  async guard<T>(work: () => T | PromiseLike<T>): Promise<T> {
    this.#assertAlive();
    try {
      const result = await work();
      this.#assertAlive();
      return result;
    } catch (error) {
      this.#assertAlive(error);
      if (isOutOfMemory(error)) {
        throw new BatchNormError(
          'LIMIT_EXCEEDED',
          `received a call that needs more memory or threads than there are, expected one that fits (${(error as Error).message})`,
          { cause: error },
        );
      }
      throw error;
    }
  }

  /** Frees everything, results in use too. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    const lost = this.#isLost();
    for (const array of [...this.alive]) array.release();
    if (!lost) await this.#gpu.destroy();
    this.#pool?.destroy();
  }

  #assertAlive(cause?: unknown): void {
    if (this.#destroyed) {
      throw new BatchNormError('DISPOSED', "received a call after dispose() of backend 'gpujs', expected none");
    }
    if (this.#isLost()) {
      throw new BatchNormError(
        'DEVICE_LOST',
        `received a lost device in mode '${this.mode}', expected one that works`,
        { cause },
      );
    }
  }

  #isLost(): boolean {
    const native = this.#native;
    return Boolean(native?.isLost ?? native?.isContextLost?.());
  }

  #assertMode({ kernel }: GpuJsKernel): void {
    const { mode } = kernel.constructor;
    if (mode === this.traits.kernelMode && kernel.fallbackReason === null) return;
    this.#fallbackReason = `ran in mode '${mode}': ${kernel.fallbackReason ?? 'gpu.js gave no reason'}`;
    if (this.#strict) {
      throw new BatchNormError(
        'BACKEND_FELL_BACK',
        `received a kernel that ${this.#fallbackReason}, expected mode '${this.mode}'`,
      );
    }
  }

  #deviceName(): string {
    const native = this.#native;
    if (native?.getParameter) {
      const names = native.getExtension?.('WEBGL_debug_renderer_info');
      return String(native.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : native.RENDERER!));
    }
    const { vendor, architecture, device, description } = native?.adapter?.info ?? {};
    return (
      [vendor, architecture, device, description].filter(Boolean).join(' ') ||
      (this.traits.onHost ? 'cpu' : 'unnamed adapter')
    );
  }
}

/** Engines say so by a RangeError, and Node's worker threads by a code. */
function isOutOfMemory(error: unknown): boolean {
  const { name, message, code } = Object(error) as { name?: string; message?: string; code?: string };
  return (name === 'RangeError' && /alloc|memory/i.test(message ?? '')) || /^ERR_WORKER_/.test(code ?? '');
}

/** A two-dimensional result of gpu.js is an array of rows, which are views of one buffer. */
function flatten(result: unknown, length: number): Handle {
  if (!Array.isArray(result)) return result as Handle;
  const [first] = result as [Float32Array];
  return new Float32Array(first.buffer, first.byteOffset, length);
}

/** As many as gpu.js starts: it uses workers only where memory can be shared, and in Deno only where it may ask how many. */
function availableThreads(): number {
  if (typeof SharedArrayBuffer === 'undefined') return 1;
  const { process, navigator } = globalThis as {
    process?: NodeJS.Process;
    navigator?: { hardwareConcurrency: number };
  };
  try {
    return process?.getBuiltinModule?.('node:os').cpus().length ?? navigator?.hardwareConcurrency ?? 4;
  } catch {
    return 1;
  }
}
