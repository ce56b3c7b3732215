// Backends for choosing between: right or wrong, slow or fast on a clock that the test moves, working or failing when told.
import { createJsBackend } from '@batchnorm/backend-js';
import {
  type AllocatedTensor,
  type Backend,
  type DeviceTensor,
  type Dtype,
  type Extent,
  type HostMemory,
  type Kernels,
  type Operations,
  operationsOf,
  type Plan,
  type Saved,
  type Tensor,
} from '@batchnorm/core-api';
import { vi } from 'vitest';

type KernelName = (typeof kernelNames)[number];
type Result = Record<string, unknown>;

const kernelNames = ['forwardTraining', 'forwardInference', 'backwardTraining', 'backwardInference'] as const;

export interface FakeOptions {
  readonly dtypes?: readonly Dtype[];
  readonly maxElements?: number;
  /**
   * Comes before each operation, with how many kernels this backend has run, and for how many elements this one is. By default
   * it moves vitest's clock by 1 ms: a clock that stands still can't be measured with.
   */
  readonly before?: (kernel: KernelName, run: number, elements: number) => unknown;
  /** Changes what a kernel returns for this input. */
  readonly tamper?: (kernel: KernelName, result: Result, input: Result) => void;
}

export class FakeBackend implements Backend {
  readonly contractVersion = 2;
  readonly name = 'fake';
  readonly capabilities;
  readonly execution;
  /** Kernels and saved forwards that have not been disposed. */
  readonly alive = new Set<object>();
  /** The extents that `prepare` was asked for. */
  readonly prepared: Extent[] = [];
  disposals = 0;
  readonly #options: FakeOptions;
  readonly #real = createJsBackend();
  readonly #watched = new WeakSet<object>();
  #runs = 0;

  constructor(options: FakeOptions = {}) {
    const { dtypes = ['float32', 'float64'], maxElements = 1e6 } = options;
    this.#options = options;
    this.capabilities = { ...this.#real.capabilities, dtypes, limits: { elements: maxElements } };
    this.execution = this.#real.execution;
  }

  prepare(plan: Plan): Kernels {
    const { before = () => vi.advanceTimersByTime(1), tamper } = this.#options;
    const { outer, channels, inner } = plan.extent;
    this.prepared.push(plan.extent);
    const real = this.#real.prepare(plan) as Kernels;
    const operations = operationsOf<HostMemory>(real);
    const intercepted = kernelNames.map((name) => [
      name,
      async (input: never) => {
        await before(name, this.#runs++, outer * channels * inner);
        const result = await operations[name](input);
        if ('saved' in result) this.#watch(result.saved);
        tamper?.(name, result as unknown as Result, input);
        return result;
      },
    ]);
    const kernels: Kernels = {
      moments: (input) => real.moments(input),
      normalize: (input) => real.normalize(input),
      gradientSums: (input) => real.gradientSums(input),
      inputGradient: (input) => real.inputGradient(input),
      fused: Object.fromEntries(intercepted) as Partial<Operations<HostMemory>>,
      dispose: () => real.dispose(),
    };
    this.#watch(kernels);
    return kernels;
  }

  upload(): DeviceTensor {
    throw new Error('no device');
  }

  empty(shape: readonly number[], dtype: Dtype): AllocatedTensor {
    return this.#real.empty(shape, dtype);
  }

  from(tensor: Tensor): AllocatedTensor {
    return this.#real.from(tensor);
  }

  dispose(): void {
    this.disposals++;
  }

  /** `held` is alive until it is disposed. A saved forward may come again: its kernels use disposed ones for later forwards. */
  #watch(held: Saved): void {
    this.alive.add(held);
    if (this.#watched.has(held)) return;
    this.#watched.add(held);
    const dispose = held.dispose;
    held.dispose = () => {
      this.alive.delete(held);
      dispose.call(held);
    };
  }
}
