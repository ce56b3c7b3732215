// Waits for a request without blocking the event loop: awake at first, because most answers come at once, then by a timer.
import { setImmediate, setTimeout } from 'node:timers/promises';

/** Looks at once, before anything else gets its turn: over shared memory others answer within microseconds. */
const looksAtOnce = 8;
/** Milliseconds awake; a rank that is later than that has something else to do, and so has this processor. */
const awake = 5;
const interval = 1;
/** The longest turn of the event loop, in milliseconds, that counts as having waited. */
const longestTurn = 100;

/** Whether `isDone` held within so many milliseconds of waiting. */
export async function completed(isDone: () => boolean, timeoutMs: number): Promise<boolean> {
  for (let look = 0; look < looksAtOnce; look++) if (isDone()) return true;
  let waited = 0;
  let latest = performance.now();
  for (;;) {
    await (waited < awake ? setImmediate() : setTimeout(interval));
    const now = performance.now();
    // A process that was stopped, or computed all the while, has not given others the time to answer.
    waited += Math.min(now - latest, longestTurn);
    latest = now;
    if (isDone()) return true;
    if (waited >= timeoutMs) return false;
  }
}

/** The same for a process that exits, in which no timer runs any more. */
export function completedNow(isDone: () => boolean, timeoutMs: number): boolean {
  const end = performance.now() + timeoutMs;
  while (!isDone()) {
    if (performance.now() >= end) return false;
    Atomics.wait(sleeper, 0, 0, interval);
  }
  return true;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));
