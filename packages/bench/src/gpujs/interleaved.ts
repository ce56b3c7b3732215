// Times asynchronous cases in interleaved rounds, in Node and in a page alike. benny times the JavaScript backend: it needs a
// terminal and a file system, which a page lacks, and a GPU step is so long that one clock around a few of them does.
import type { Rounds } from '../timing.js';

export interface AsyncCase {
  /** Its work is done when the promise resolves. */
  readonly run: () => Promise<unknown>;
}

export interface InterleavedOptions {
  readonly rounds: number;
  /** Seconds that each case runs in each round, at least. */
  readonly sampleTime: number;
}

/** Seconds per call of each case in each round: the mean, so that what one call leaves to the next counts. */
export async function timeInterleaved(
  cases: readonly AsyncCase[],
  { rounds, sampleTime }: InterleavedOptions,
): Promise<Rounds[]> {
  const times: number[][] = cases.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { run }] of cases.entries()) {
      await run(); // whatever the case before it left in caches and queues
      const begin = performance.now();
      let seconds = 0;
      let calls = 0;
      while (seconds < sampleTime) {
        await run();
        calls++;
        seconds = (performance.now() - begin) / 1000;
      }
      times[index]!.push(seconds / calls);
    }
  }
  return times;
}
