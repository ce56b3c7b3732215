// A clock for pages, where benny can't run: it writes to a terminal and to files. Samples as benny's: so many calls that one
// takes `sampleTime`, for `totalTime`.
import { type Clock, warmUp } from './clock.js';

export const pageClock: Clock = async (_name, run, sampling) => {
  const { sampleTime, totalTime } = sampling;
  const sample = async (calls: number) => {
    const begin = performance.now();
    for (let call = 0; call < calls; call++) await run();
    return (performance.now() - begin) / 1000;
  };
  await warmUp(run, sampling);
  let calls = 1;
  let time = await sample(calls);
  while (time < sampleTime) {
    calls = Math.ceil(calls * Math.min(10, Math.max(1.1, (1.1 * sampleTime) / Math.max(time, 1e-6))));
    time = await sample(calls);
  }
  const samples: number[] = [];
  for (let spent = 0; spent < totalTime; spent += time) {
    time = await sample(calls);
    samples.push(time / calls);
  }
  return samples;
};
