// Whether a mode really works here, found out with a tiny kernel.
import { type Accumulation, BatchNormError } from '@batchnorm/core-api';
import { Engine } from './engine.js';
import { type GpuJsMode, traitsOf } from './modes.js';
import { coefficientRows, sourcesFor } from './sources.js';

/** A sum of which float32 alone sees nothing but the first term; half of it, 7 · 2⁻²⁵, is 2 units of the last place of 1. */
const terms = Float32Array.of(1, ...new Array<number>(15).fill(2 ** -25));
const compensatedSum = 1 + 2 ** -22;

export interface Opened {
  readonly engine: Engine;
  /** How sums are accumulated: compensation works where arithmetic is IEEE float32 and the compiler leaves it alone. */
  readonly accumulation: Accumulation;
}

/** Opens a mode. Errors: `BACKEND_UNAVAILABLE` with the reason, `BACKEND_FELL_BACK`. */
export async function openEngine(mode: GpuJsMode, strict: boolean): Promise<Opened> {
  let engine: Engine | undefined;
  try {
    engine = new Engine(mode, strict);
    const sum = await sumOfFirstBlock(engine);
    if (Math.abs(sum - 1) > 1e-6) throw new Error(`a tiny kernel gave ${sum} where ${compensatedSum} is right`);
    return { engine, accumulation: sum === compensatedSum ? 'compensated-float32' : 'float32' };
  } catch (error) {
    await engine?.destroy().catch(() => undefined);
    if (error instanceof BatchNormError && error.code === 'BACKEND_FELL_BACK') throw error;
    throw new BatchNormError(
      'BACKEND_UNAVAILABLE',
      `received mode '${mode}', expected one that runs here: it needs ${traitsOf[mode].needs} (${(error as Error).message})`,
      { cause: error },
    );
  }
}

/** By a kernel of the backend's own: what a compiler does to it, it does to the others. */
async function sumOfFirstBlock(engine: Engine): Promise<number> {
  const extent = { outer: terms.length, channels: 1, inner: 1 };
  const program = engine.compile(sourcesFor(extent, engine.traits.threadRows).partialGradients);
  const dy = await engine.upload(terms);
  const x = await engine.upload(new Float32Array(terms.length));
  const coefficients = await engine.upload(new Float32Array(coefficientRows.length));
  const result = await program.run(x, dy, coefficients, 1);
  const [sum] = await result.read();
  for (const resident of [dy, x, coefficients, result]) resident.release();
  program.dispose();
  return sum!;
}
