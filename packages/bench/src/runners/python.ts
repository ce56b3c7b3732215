// NumPy and PyTorch in a Python child process. Activations go through files; times are taken in Python.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shapeText } from '@batchnorm/reporting';
import type { Operation, Setting } from '../cases/case.js';
import { Expected } from '../cases/verify.js';
import { type Results, type Workload, workloadOf } from '../cases/workload.js';
import type { Sampling } from '../timing/clock.js';
import { LineProcess } from './line-process.js';
import type { Preparation, PreparedCall, Request, Runner } from './runner.js';

const worker = fileURLToPath(new URL('../../peers/worker.py', import.meta.url));

/** What the contenders of python.ts are called. */
export const pythonContenders = ['numpy', 'pytorch-1', 'pytorch-2'] as const;

/**
 * glibc gives large blocks back to the system when they are freed, and the next result pays for fresh pages. Where a
 * library can't write into a buffer that it is given, this lets it at least have the same memory again.
 */
const keepFreedMemory = {
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: String(2 ** 40),
  MALLOC_TOP_PAD_: String(2 ** 26),
};

/**
 * NumPy asks Linux for huge pages, and in this process PyTorch's tensors would lie in them, too. No other contender's
 * memory does: neither PyTorch by itself nor a JavaScript engine asks.
 */
const equalPages = { NUMPY_MADVISE_HUGEPAGE: '0' };

interface Hello {
  readonly python: string;
  /** Versions, or why they can't be imported. */
  readonly libraries: Readonly<Record<'numpy' | 'torch', { readonly version?: string; readonly missing?: string }>>;
}

interface PythonPreparation {
  readonly threads: number;
  readonly engine: string;
  readonly calls: readonly { readonly operation: Operation; readonly first: number }[];
}

export class PythonRunner implements Runner {
  readonly platform = 'python';
  readonly #process: LineProcess;
  readonly #hello: Hello;
  readonly #folder: string;
  #current: { readonly name: string; readonly workload: Workload; readonly expected: Expected } | undefined;

  private constructor(process: LineProcess, hello: Hello, folder: string) {
    this.#process = process;
    this.#hello = hello;
    this.#folder = folder;
  }

  /**
   * The first of `executables` that has PyTorch, else the first with NumPy. Errors: an `Error` with the reason of each.
   */
  static async start(executables: readonly string[]): Promise<PythonRunner> {
    const found: { readonly child: LineProcess; readonly hello: Hello }[] = [];
    const reasons: string[] = [];
    for (const executable of executables) {
      const child = new LineProcess(executable, [worker], { ...keepFreedMemory, ...equalPages });
      try {
        const hello = await child.call<Hello>('hello');
        found.push({ child, hello });
        reasons.push(`${executable}: ${hello.libraries.numpy.missing}`);
      } catch (error) {
        reasons.push(`${executable}: ${(error as Error).message}`);
      }
    }
    const has = (library: 'numpy' | 'torch') => found.find(({ hello }) => hello.libraries[library].version);
    const best = has('torch') ?? has('numpy');
    for (const one of found) if (one !== best) one.child.kill();
    if (best === undefined) throw new Error(reasons.join('; '));
    return new PythonRunner(best.child, best.hello, await mkdtemp(join(tmpdir(), 'batchnorm-bench-')));
  }

  async prepare({ contender, operations, shape, dtype }: Request): Promise<Preparation> {
    const library = this.#hello.libraries[contender === 'numpy' ? 'numpy' : 'torch'];
    if (library.version === undefined) return { unavailable: library.missing ?? 'not installed' };
    if (dtype === 'float16') return { unavailable: 'float16 is timed of our backends alone' };
    const setting = { shape, dtype };
    try {
      const { expected } = await this.#workloadOf(setting);
      const found = await this.#process.call<PythonPreparation>('prepare', { contender, operations });
      const calls: PreparedCall[] = [];
      for (const { operation, first } of found.calls) {
        const id = `${contender} ${operation}`;
        const verdict = expected.verify(operation, await this.#resultsOf(id, setting), undefined);
        calls.push({ id, operation, memory: 'host', first, verdict });
      }
      const { threads, engine } = found;
      const { version } = library;
      return {
        description: { version, engine, threads, accumulation: undefined, creation: 0, preparation: 0 },
        calls,
      };
    } catch (error) {
      return { failed: (error as Error).message };
    }
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    return this.#process.call('sample', { id, ...sampling });
  }

  async release(): Promise<void> {
    this.#current = undefined;
    await this.#process.call('release');
  }

  async close(): Promise<void> {
    this.#process.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #workloadOf(setting: Setting) {
    const name = `${shapeText(setting.shape)} ${setting.dtype}`;
    if (this.#current?.name !== name) {
      const workload = workloadOf(setting);
      const { x, dy, gamma, beta, running } = workload;
      const arrays = { x, dy, gamma, beta, mean: running.mean, variance: running.variance };
      for (const [file, data] of Object.entries(arrays)) await writeFile(join(this.#folder, file), data);
      await this.#process.call('workload', { folder: this.#folder, ...setting });
      this.#current = { name, workload, expected: new Expected(workload) };
    }
    return this.#current;
  }

  /** Written to files by Python. */
  async #resultsOf(id: string, { dtype }: Setting): Promise<Results> {
    const names = await this.#process.call<(keyof Results)[]>('results', { id });
    const read = async (name: keyof Results) => {
      const { buffer, byteOffset, byteLength } = await readFile(join(this.#folder, name));
      const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
      const isActivation = name === 'y' || name === 'dx';
      return [name, isActivation && dtype === 'float32' ? new Float32Array(bytes) : new Float64Array(bytes)] as const;
    };
    return Object.fromEntries(await Promise.all(names.map(read)));
  }
}
