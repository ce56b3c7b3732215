// One mode of gpu.js on the platform that this runs on, Node or a page: verified first, then timed.
import type { GpuJsMode } from '@batchnorm/backend-gpujs';
import { BatchNormError, type Execution, valuesPerChannel } from '@batchnorm/core-api';
import { type Problem, problemOf } from '../problem.js';
import type { Rounds } from '../timing.js';
import { assertResults } from '../verify.js';
import { timeInterleaved } from './interleaved.js';
import { type TrainingSteps, trainingSteps, type Variant, variants } from './training-steps.js';

export interface Request {
  readonly mode: GpuJsMode;
  readonly shape: readonly number[];
  readonly rounds: number;
  readonly sampleTime: number;
}

export interface Comparison {
  readonly execution: Execution;
  /** Seconds per step. */
  readonly times: Readonly<Record<Variant, Rounds>>;
}

/** The times, or why there are none here. Errors: an `Error` when a result is wrong. */
export async function compare({ mode, shape, ...timing }: Request): Promise<Comparison | { unavailable: string }> {
  const problem = problemOf(shape);
  let steps: TrainingSteps;
  try {
    steps = await trainingSteps(mode, problem);
  } catch (error) {
    if (error instanceof BatchNormError && error.code === 'BACKEND_UNAVAILABLE') return { unavailable: error.message };
    throw error;
  }
  try {
    await verifySteps(steps, problem);
    const times = await timeInterleaved(
      variants.map((variant) => ({ run: steps.run[variant] })),
      timing,
    );
    const ofVariant = (variant: Variant) => times[variants.indexOf(variant)]!;
    return {
      execution: { ...steps.execution },
      times: {
        straightforward: ofVariant('straightforward'),
        'without readback': ofVariant('without readback'),
        'with readback': ofVariant('with readback'),
      },
    };
  } finally {
    await steps.dispose();
  }
}

/** Float32 sums of M terms, one after another, as the straightforward version has them, err by up to M·2⁻²⁴. */
async function verifySteps(steps: TrainingSteps, problem: Problem): Promise<void> {
  const tolerance = valuesPerChannel(problem.extent) * 2 ** -24;
  for (const variant of variants) {
    const results = await steps.run[variant]();
    assertResults(variant, results, problem, { activations: tolerance, sums: tolerance });
  }
}
