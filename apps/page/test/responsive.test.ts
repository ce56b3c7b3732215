// The page never freezes: whatever is heavy happens in workers.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { describe, expect, it } from 'vitest';
import { served } from './served.js';
import { visit } from './visitor.js';

const path = chromiumPath();

describe('the page, while it measures', () => {
  if (path === undefined) return describeMissing('gpujs-webgl2@chromium', chromiumMissing);

  const here = served(path);

  // Again, because another program can hold up any thread for as long.
  it('has no task of more than 100 ms on its main thread', { retry: 2 }, async () => {
    const { page, measure, longTasks } = await visit(
      here.browser,
      `${here.site.address}?backends=js,gpujs-cpu&rounds=3`,
    );
    const loading = (await longTasks()).length;
    await measure();
    expect((await longTasks()).slice(loading).filter((duration) => duration > 100)).toEqual([]);
    await page.close();
  });

  // A processor that stands in for the GPU takes every core, and the main thread waits for its turn. So this counts how long tasks
  // computed, not how long they took. Again, because a virtual machine counts what its host takes, too.
  it('computes in no task for more than 50 ms, also where WebGL takes every core', { retry: 2 }, async () => {
    const { page, measure } = await visit(here.browser, `${here.site.address}?backends=js,gpujs-webgl2&kit=off`);
    await here.browser.startTracing(page, { categories: ['toplevel'] });
    await measure();
    const tasks = mainThreadTasks(await here.browser.stopTracing());
    expect(tasks.length).toBeGreaterThan(100);
    expect(tasks.filter((milliseconds) => milliseconds > 50)).toEqual([]);
    await page.close();
  });
});

interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  readonly args: { readonly name?: string };
  /** Microseconds on the processor. */
  readonly tdur?: number;
}

/** Milliseconds of processor time of each task of the main thread. */
function mainThreadTasks(trace: Buffer): number[] {
  const { traceEvents } = JSON.parse(trace.toString()) as { traceEvents: TraceEvent[] };
  const threads = traceEvents
    .filter(({ name, args }) => name === 'thread_name' && args.name === 'CrRendererMain')
    .map(({ pid, tid }) => `${pid} ${tid}`);
  return traceEvents
    .filter(({ name, pid, tid }) => name.endsWith('RunTask') && threads.includes(`${pid} ${tid}`))
    .map(({ tdur = 0 }) => tdur / 1000);
}
