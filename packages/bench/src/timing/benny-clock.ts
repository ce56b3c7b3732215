// benny as a clock, in Node: one short suite for each sample of a case, so that cases can take turns.
import type { MaybePromise } from '@batchnorm/core-api';
import benny from 'benny';
import { type Clock, type Sampling, warmUp } from './clock.js';

/** benny announces each suite on stdout; a run has thousands of them, and a progress display of its own. */
const unannounced: Parameters<typeof benny.suite>[1] = async () => (suite) => suite.off('start');

/** A case may return a promise from some calls and nothing from others: it is timed as asynchronous if ever it was. */
export const bennyClock: Clock = async (name, run, sampling) => {
  const rest = keepAwake();
  try {
    await warmUp(run, sampling);
    let pending = run();
    if (pending === undefined) {
      const synchronous = () => {
        if (pending === undefined) pending = run();
      };
      const samples = await suite(name, synchronous, sampling);
      if (pending === undefined) return samples;
    }
    await pending;
    return await suite(name, awaited(run), sampling);
  } finally {
    rest();
  }
};

/**
 * Between two samples benny waits for a timer, and in that millisecond a processor sleeps: on a virtual machine others
 * then have its caches, and the next sample would begin with cold ones. The event loop turns until the function that is
 * returned is called.
 */
function keepAwake(): () => void {
  let isAwake = true;
  const turn = () => void (isAwake && setImmediate(turn));
  turn();
  return () => {
    isAwake = false;
  };
}

/** benny waits for ever for a promise that rejects: it gets one that resolves. Errors: the first of `run`. */
async function suite(name: string, run: () => MaybePromise<void>, { sampleTime, totalTime }: Sampling) {
  const options = { minTime: sampleTime, maxTime: totalTime, minSamples: 1, delay: 0, initCount: 1 };
  const failures: unknown[] = [];
  const failed = (reason: unknown) => void failures.push(reason);
  const test = () => {
    try {
      return run()?.then(undefined, failed);
    } catch (error) {
      return failed(error);
    }
  };
  const { results } = await benny.suite(name, benny.add(name, test, options), unannounced);
  if (failures.length > 0) throw failures[0];
  return results[0]!.details.sampleResults;
}

/**
 * Always a promise. benny finds out whether a case is asynchronous by two calls at once: they do no work, and what it
 * times comes after them.
 */
function awaited(run: () => MaybePromise<void>): () => Promise<void> {
  let trials = 2;
  return async () => {
    if (trials === 0) return run();
    trials--;
  };
}
