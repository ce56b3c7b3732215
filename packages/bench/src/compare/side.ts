// One side of a comparison, as a runner: worker.ts in a process of its own.
import { fileURLToPath } from 'node:url';
import { LineProcess } from '../runners/line-process.js';
import type { Preparation, Request, Runner } from '../runners/runner.js';
import type { Sampling } from '../timing/clock.js';

const worker = fileURLToPath(new URL('worker.js', import.meta.url));

export class Side implements Runner {
  readonly platform = 'node';
  readonly #process: LineProcess;

  /** `root`: the working tree whose packages are timed. */
  constructor(root: string) {
    this.#process = new LineProcess(process.execPath, [worker, root]);
  }

  prepare(request: Request): Promise<Preparation> {
    return this.#process.call('prepare', request);
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    return this.#process.call('sample', { id, sampling });
  }

  release(): Promise<void> {
    return this.#process.call('release');
  }

  async close(): Promise<void> {
    this.#process.kill();
  }
}
