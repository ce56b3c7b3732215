// Whether a mode really works here: a tiny kernel is run in it.
import { type Accumulation, BatchNormError } from '@batchnorm/core-api';
import { GpuContext } from './gpu-context.js';
import { type GpuJsMode, traitsOf } from './modes.js';
import { coefficientRows, sourcesFor } from './sources.js';

/**
 * Plain float32 additions lose every term but the first. The first block, of 8, is 1 + 7 · 2⁻²⁵, which rounds to 1 +
 * 2⁻²².
 */
const terms = Float32Array.of(1, ...new Array<number>(15).fill(2 ** -25));
const compensatedSum = 1 + 2 ** -22;

export interface Opened {
  readonly context: GpuContext;
  /** Whether compensated sums work: arithmetic must be IEEE float32, and the shader compiler must not simplify it. */
  readonly accumulation: Accumulation;
}

/** Opens a mode. Errors: `BACKEND_UNAVAILABLE` with the reason, `BACKEND_FELL_BACK`. */
export async function openContext(mode: GpuJsMode, strict: boolean): Promise<Opened> {
  let context: GpuContext | undefined;
  try {
    context = new GpuContext(mode, strict);
    const sum = await sumOfFirstBlock(context);
    if (Math.abs(sum - 1) > 1e-6) throw new Error(`a tiny kernel gave ${sum} where ${compensatedSum} is right`);
    return { context, accumulation: sum === compensatedSum ? 'compensated-float32' : 'float32' };
  } catch (error) {
    await context?.destroy().catch(() => undefined);
    if (error instanceof BatchNormError && error.code === 'BACKEND_FELL_BACK') throw error;
    throw new BatchNormError(
      'BACKEND_UNAVAILABLE',
      `received mode '${mode}', expected one that runs here: it needs ${traitsOf[mode].needs} (${(error as Error).message})`,
      { cause: error },
    );
  }
}

/** Computed by one of the backend's own kernels: what a compiler does to this one, it does to the others. */
async function sumOfFirstBlock(context: GpuContext): Promise<number> {
  const extent = { outer: terms.length, channels: 1, inner: 1 };
  const kernel = context.compile(sourcesFor(extent, 'none', context.traits.threadRows).partialGradients);
  const dy = await context.upload(terms);
  const x = await context.upload(new Float32Array(terms.length));
  const coefficients = await context.upload(new Float32Array(coefficientRows.length));
  const result = await kernel.run(x, dy, coefficients, 1);
  const [sum] = await result.read();
  for (const array of [dy, x, coefficients, result]) array.release();
  kernel.dispose();
  return sum!;
}
