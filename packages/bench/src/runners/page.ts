// What runs in Chromium: Node asks through `batchNormBench`.
import { ours, straightforward } from '../contenders/contenders.js';
import { peersInPage } from '../contenders/peers/in-page.js';
import type { Sampling } from '../timing/clock.js';
import { pageClock } from '../timing/page-clock.js';
import { InProcessRunner } from './in-process.js';
import type { Preparation, Request } from './runner.js';

/** What Node calls in the page. */
export interface PageGlobals {
  readonly batchNormBench: {
    prepare(request: Request): Promise<Preparation>;
    sample(id: string, sampling: Sampling): Promise<readonly number[]>;
  };
}

const runner = new InProcessRunner('chromium', [...ours, ...straightforward, ...peersInPage], pageClock);

(globalThis as unknown as { batchNormBench: PageGlobals['batchNormBench'] }).batchNormBench = {
  prepare: (request) => runner.prepare(request),
  sample: (id, sampling) => runner.sample(id, sampling),
};
