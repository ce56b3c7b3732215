// benny as a clock, in Node: one short suite for each sample of a case, so that cases can take turns.
import benny from 'benny';
import type { Clock } from './clock.js';

/** benny announces each suite on stdout; a run has thousands of them, and a progress display of its own. */
const unannounced: Parameters<typeof benny.suite>[1] = async () => (suite) => suite.off('start');

export const bennyClock: Clock = async (name, run, { sampleTime, totalTime }) => {
  // benny waits for ever for a promise that rejects: it is given one that resolves, and the reason is thrown afterwards.
  const failures: unknown[] = [];
  const failed = (reason: unknown) => void failures.push(reason);
  const begun = run();
  await begun;
  // Whether a case is asynchronous benny sees from what two calls return, made at once; what it times comes after them.
  let trials = begun === undefined ? 0 : 2;
  const test = () => {
    if (trials > 0) {
      trials--;
      return Promise.resolve();
    }
    try {
      return run()?.then(undefined, failed);
    } catch (error) {
      return failed(error);
    }
  };
  const options = { minTime: sampleTime, maxTime: totalTime, minSamples: 1, delay: 0, initCount: 1 };
  const { results } = await benny.suite(name, benny.add(name, test, options), unannounced);
  if (failures.length > 0) throw failures[0];
  return results[0]!.details.sampleResults;
};
