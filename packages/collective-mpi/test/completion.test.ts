// How a rank waits: others and the event loop get their turn, and only what has been waited counts.
import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { completed, completedNow } from '../src/completion.js';

function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

describe('a wait', () => {
  it('ends without a turn of the event loop where the answer is there', async () => {
    let turned = false;
    const turn = setImmediate().then(() => {
      turned = true;
    });
    let looks = 0;
    expect(await completed(() => ++looks === 3, 1000)).toBe(true);
    expect([turned, looks]).toEqual([false, 3]);
    await turn;
  });

  it('gives up in time, and timers go on', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    expect(await completed(() => false, 200)).toBe(false);
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(5);
  });

  it('does not count the time in which this process did something else', async () => {
    let isDone = false;
    const answer = completed(() => isDone, 1000);
    await setImmediate();
    block(1500);
    setTimeout(() => {
      isDone = true;
    }, 20);
    expect(await answer).toBe(true);
  });

  it('of a process that exits needs no event loop', () => {
    let looks = 0;
    expect(completedNow(() => ++looks === 3, 1000)).toBe(true);
    expect(completedNow(() => false, 20)).toBe(false);
  });
});
