// What runs in Chromium: Node asks through `batchNormBench`.
import { ours, straightforward } from '../contenders/contenders.js';
import { pageClock } from '../timing/page-clock.js';
import { InProcessRunner } from './in-process.js';
import type { Preparation, Request } from './runner.js';

/** What Node calls in the page. */
export interface PageGlobals {
  readonly batchNormBench: {
    prepare(request: Request): Promise<Preparation>;
    sample(id: string, seconds: number): Promise<readonly number[]>;
  };
}

const runner = new InProcessRunner('chromium', [...ours, ...straightforward], pageClock);

(globalThis as unknown as { batchNormBench: PageGlobals['batchNormBench'] }).batchNormBench = {
  prepare: (request) => runner.prepare(request),
  sample: (id, seconds) => runner.sample(id, seconds),
};
