// One `GPU` of gpu.js in one mode: compiles kernels, runs them, and makes sure that this mode is what ran.
import { type Accumulation, BatchNormError, type Execution } from '@batchnorm/core-api';
import { GPU } from 'gpu.js';
import { type GpuJsMode, type ModeTraits, traitsOf } from './modes.js';
import { type Handle, Resident } from './resident.js';
import { copySource, type Source } from './sources.js';

/** What is used of a kernel of gpu.js. */
interface GpuJsKernel {
  (...args: unknown[]): unknown;
  readonly kernel: {
    readonly constructor: { readonly mode: string };
    readonly fallbackReason: string | null;
    readonly context?: GpuJsContext | null;
    /** WebGL: the vertices of the rectangle that is drawn. */
    buffer?: unknown;
    /** WebAssembly: the threads of this kernel, once it has used any, and its modules by the sizes of their arguments. */
    _pool?: WorkerPool | null;
    readonly _moduleCache?: ReadonlyMap<string, { readonly id: number }>;
  };
  setImmutable(flag: boolean): unknown;
  destroy(): void;
}

/** Threads that run modules of WebAssembly, known by their ids, which no two kernels share. */
interface WorkerPool {
  readonly destroyed: boolean;
  release(moduleId: number): void;
  destroy(): void;
}

/** A WebGL context, or gpu.js's own pair of WebGPU adapter and device. */
interface GpuJsContext {
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
export type Argument = Resident | Float32Array | number;

/** A compiled kernel. */
export interface Program {
  run(...args: Argument[]): Promise<Resident>;
  dispose(): void;
}

/** Float32 indices are exact up to here. */
const largestIndex = 2 ** 24;

/** Compiled kernels that are alive at once: on webasm each is some 0.3 MB, which nothing else limits. */
export const maxKernels: number = 8192;

/** Uploads are compiled for each length; as many as these are kept. */
const maxUploadPrograms = 8;

export class Engine {
  readonly mode: GpuJsMode;
  readonly traits: ModeTraits;
  /** Results that nobody has released yet. */
  readonly alive: Set<Resident> = new Set();
  /** Of their memory. */
  allocatedBytes = 0;
  readonly #gpu: GPU;
  readonly #strict: boolean;
  /** By length, the least recently used first. */
  readonly #uploads = new Map<number, Program>();
  /** gpu.js would start threads for every kernel; megabytes each. */
  #pool: WorkerPool | undefined;
  #kernels = 0;
  #destroyed = false;
  #context: GpuJsContext | undefined;
  #fallbackReason: string | null = null;

  /** Errors: whatever gpu.js throws where it can't make the mode. */
  constructor(mode: GpuJsMode, strict: boolean) {
    this.mode = mode;
    this.traits = traitsOf[mode];
    this.#strict = strict;
    this.#gpu = new GPU({ mode });
  }

  /** Most numbers of one result. */
  get maxElements(): number {
    const context = this.#context;
    if (context?.getParameter)
      return Math.min(largestIndex, Number(context.getParameter(context.MAX_TEXTURE_SIZE!)) ** 2);
    const bytes = context?.adapter?.limits.maxStorageBufferBindingSize ?? Number.POSITIVE_INFINITY;
    return Math.min(largestIndex, Math.floor(bytes / 4));
  }

  /** What runs. Known when a kernel has run. */
  execution(accumulation: Accumulation): Execution {
    const engine = this;
    return {
      engine: this.traits.engine,
      device: this.#deviceName(),
      threads: this.mode === 'webasm' ? availableThreads() : 1,
      accumulation: { float32: accumulation },
      get fallbackReason() {
        return engine.#fallbackReason;
      },
    };
  }

  /** Compiles at its first run. Errors of that: `LIMIT_EXCEEDED` at once or then, `BACKEND_FELL_BACK` when it runs. */
  compile({ text, width, height }: Source): Program {
    const length = width * height;
    if (length > largestIndex) {
      throw new BatchNormError(
        'LIMIT_EXCEEDED',
        `received a kernel of ${length} results, expected at most ${largestIndex}`,
      );
    }
    const rows = this.traits.threadRows && height > 1;
    const kernel = this.#gpu.createKernel(text, {
      output: rows ? [width, height] : [length],
      pipeline: true,
      immutable: true,
      asyncMode: true,
      // gpu.js would choose a precision by the size of the output.
      precision: 'single',
      tactic: 'precision',
    }) as unknown as GpuJsKernel;
    let running = 0;
    let latest: Resident | undefined;
    let retired = false;
    let isBuilt = false;
    /** Results on the device that somebody holds: gpu.js reads them with their kernel, which must live as long. */
    let results = 0;
    const destroyUnused = () => {
      if (!retired || running > 0 || results > 0) return;
      this.#destroyKernel(kernel);
      if (isBuilt) this.#kernels--;
      isBuilt = false;
    };
    const onFree = () => {
      if (!this.traits.onHost) results--;
      destroyUnused();
    };
    return {
      run: async (...args) => {
        // Into the same buffer again, when nobody holds the latest result: WebGL kernels do so by themselves.
        if (this.mode === 'webgpu') kernel.setImmutable(running > 0 || (latest?.held ?? false));
        if (this.#pool) kernel.kernel._pool = this.#pool;
        if (!isBuilt) this.#countKernel();
        isBuilt = true;
        running++;
        const values = args.map((arg) => (arg instanceof Resident ? arg.handle : arg));
        try {
          const result = await this.guard(() => kernel(...values));
          this.#context ??= kernel.kernel.context ?? undefined;
          this.#pool ??= kernel.kernel._pool ?? undefined;
          if (!this.traits.onHost) results++;
          latest = new Resident(flatten(result, length), this, { bytes: 4 * length, holders: 0, onFree });
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

  #countKernel(): void {
    if (this.#kernels >= maxKernels) {
      throw new BatchNormError(
        'LIMIT_EXCEEDED',
        `received one compiled kernel more than ${maxKernels}, expected layers that nobody needs to be disposed`,
      );
    }
    this.#kernels++;
  }

  #destroyKernel(kernel: GpuJsKernel): void {
    const implementation = kernel.kernel;
    // All kernels draw with the vertex buffer that was bound last, whosever it is: it must outlive its kernel. The few
    // bytes go with the context.
    if ('buffer' in implementation) implementation.buffer = null;
    if (implementation._pool && implementation._pool === this.#pool) {
      for (const { id } of implementation._moduleCache?.values() ?? []) this.#pool.release(id);
      implementation._pool = null;
    }
    kernel.destroy();
    // gpu.js keeps a list of all kernels that it ever made, with what they hold.
    const { kernels } = this.#gpu as unknown as { readonly kernels: unknown[] };
    const index = kernels.indexOf(implementation);
    if (index >= 0) kernels.splice(index, 1);
  }

  /** Numbers on the device. On modes that compute on the host they are the numbers themselves: copy what may change. */
  async upload(values: Float32Array): Promise<Resident> {
    // No texture and no buffer of a device is empty: nothing lies on the host.
    if (this.traits.onHost || values.length === 0)
      return new Resident(values, this, { bytes: values.byteLength, holders: 0, onFree() {} });
    const program = this.#uploads.get(values.length) ?? this.compile(copySource(values.length));
    this.#uploads.delete(values.length);
    this.#uploads.set(values.length, program);
    for (const [length, oldest] of this.#uploads) {
      if (this.#uploads.size <= maxUploadPrograms) break;
      oldest.dispose();
      this.#uploads.delete(length);
    }
    return program.run(values);
  }

  /** Runs `work` on the device. Errors: `DEVICE_LOST` when the device was, or is then, gone; `LIMIT_EXCEEDED`; `DISPOSED`. */
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

  /** Frees everything, the results too. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    const lost = this.#isLost();
    for (const resident of [...this.alive]) resident.release();
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
    const context = this.#context;
    return Boolean(context?.isLost ?? context?.isContextLost?.());
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
    const context = this.#context;
    if (context?.getParameter) {
      const names = context.getExtension?.('WEBGL_debug_renderer_info');
      return String(context.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : context.RENDERER!));
    }
    const { vendor, architecture, device, description } = context?.adapter?.info ?? {};
    return (
      [vendor, architecture, device, description].filter(Boolean).join(' ') ||
      (this.traits.onHost ? 'cpu' : 'unnamed adapter')
    );
  }
}

/** Engines say so in a RangeError, and Node's threads by a code. */
function isOutOfMemory(error: unknown): boolean {
  const { name, message, code } = Object(error) as { name?: string; message?: string; code?: string };
  return (name === 'RangeError' && /alloc|memory/i.test(message ?? '')) || /^ERR_WORKER_/.test(code ?? '');
}

/** gpu.js returns rows of threads as an array of rows, which are views of one buffer. */
function flatten(result: unknown, length: number): Handle {
  if (!Array.isArray(result)) return result as Handle;
  const [first] = result as [Float32Array];
  return new Float32Array(first.buffer, first.byteOffset, length);
}

/** As gpu.js counts them: it uses workers only where memory can be shared. */
function availableThreads(): number {
  if (typeof SharedArrayBuffer === 'undefined') return 1;
  const { process, navigator } = globalThis as {
    process?: NodeJS.Process;
    navigator?: { hardwareConcurrency: number };
  };
  return process?.getBuiltinModule?.('node:os').cpus().length ?? navigator?.hardwareConcurrency ?? 4;
}
