// A clock for pages, where benny can't run: it writes to a terminal and to files.
import { type Clock, meanTime, secondsSince, warmUp } from './clock.js';

export const pageClock: Clock = async (_name, run, sampling) => {
  await warmUp(run, sampling);
  const samples: number[] = [];
  const begin = performance.now();
  do samples.push(await meanTime(run, sampling.sampleTime));
  while (secondsSince(begin) < sampling.totalTime);
  return samples;
};
