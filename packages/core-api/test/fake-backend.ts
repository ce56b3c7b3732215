// Backends for choosing between: right or wrong, slow or fast on a clock that the test moves, working or failing when told.
import { vi } from 'vitest';
import type { HostMemory, Kernels, Operations, Plan } from '../src/index.js';
import { ReferenceBackend, type ReferenceOptions } from './reference-backend.js';

type KernelName = keyof Operations<HostMemory>;
type Result = Record<string, unknown>;

const kernelNames = ['forwardTraining', 'forwardInference', 'backwardTraining', 'backwardInference'] as const;

export interface FakeOptions extends ReferenceOptions {
  /**
   * Comes before each kernel, with how many kernels this backend has run, and for how many elements this one is. By default
   * it moves vitest's clock by 1 ms: a clock that stands still can't be measured with.
   */
  readonly before?: (kernel: KernelName, run: number, elements: number) => unknown;
  /** Changes what a kernel returns for this input. */
  readonly tamper?: (kernel: KernelName, result: Result, input: Result) => void;
}

export class FakeBackend extends ReferenceBackend {
  readonly #options: FakeOptions;
  #runs = 0;
  disposals = 0;

  constructor(options: FakeOptions = {}) {
    super(options);
    this.#options = options;
  }

  override prepare(plan: Plan): Kernels {
    const { before = () => vi.advanceTimersByTime(1), tamper } = this.#options;
    const { outer, channels, inner } = plan.extent;
    const kernels = super.prepare(plan);
    const intercepted = kernelNames.map((name) => [
      name,
      async (input: never) => {
        await before(name, this.#runs++, outer * channels * inner);
        const result = await kernels[name](input);
        tamper?.(name, result as unknown as Result, input);
        return result;
      },
    ]);
    return { ...Object.fromEntries(intercepted), dispose: () => kernels.dispose() };
  }

  override dispose(): void {
    this.disposals++;
  }
}
