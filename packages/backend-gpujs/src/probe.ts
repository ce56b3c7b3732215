// Whether a mode really works here, found out with a tiny kernel.
import { BatchNormError, type Execution } from '@batchnorm/core-api';
import { Engine } from './engine.js';
import { type GpuJsMode, traitsOf } from './modes.js';

/** Two numbers of which one is lost when they are added in float32: only TwoSum knows. */
const [big, small] = [1, 2 ** -30];

const probe = {
  width: 2,
  height: 1,
  text: `function (values, one) {
    const big = values[0];
    const small = values[1];
    const sum = Math.fround(big + small) * one;
    const taken = Math.fround(sum - big) * one;
    const low = Math.fround(Math.fround(big - Math.fround(sum - taken) * one) + Math.fround(small - taken));
    let result = sum;
    if (this.thread.x === 1) result = low;
    return result;
  }`,
};

export interface Opened {
  readonly engine: Engine;
  /** How sums are accumulated: compensation works where arithmetic is IEEE float32 and the compiler leaves it alone. */
  readonly accumulation: Execution['accumulation'];
}

/** Opens a mode. Errors: `BACKEND_UNAVAILABLE` with the reason, `BACKEND_FELL_BACK`. */
export async function openEngine(mode: GpuJsMode, strict: boolean): Promise<Opened> {
  let engine: Engine | undefined;
  try {
    engine = new Engine(mode, strict);
    const values = await engine.upload(Float32Array.of(big, small));
    const program = engine.compile(probe);
    const result = await program.run(values, 1);
    const [sum, low] = await result.read();
    for (const resident of [values, result]) resident.release();
    program.dispose();
    if (sum !== big) throw new Error(`a tiny kernel gave ${sum} where ${big} is right`);
    return { engine, accumulation: low === small ? 'compensated-float32' : 'float32' };
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
