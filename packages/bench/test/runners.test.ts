// Contenders outside of this process: in Python and in Chromium, where this machine has them.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { isRequired } from '@batchnorm/browser/describe-backend';
import { describe, expect, it } from 'vitest';
import { dataPaths, operations } from '../src/cases/case.js';
import { peersInPage } from '../src/contenders/peers/in-page.js';
import { ChromiumRunner } from '../src/runners/chromium.js';
import { LineProcess } from '../src/runners/line-process.js';
import { PythonRunner, pythonContenders } from '../src/runners/python.js';
import type { Runner } from '../src/runners/runner.js';

const settings = [
  { shape: [40, 9], dtype: 'float32' },
  { shape: [3, 9, 4, 5], dtype: 'float64' },
] as const;

/** Everything that the contender has is right, and can be sampled. */
async function expectRight(runner: Runner, contender: string): Promise<void> {
  for (const setting of settings) {
    const found = await runner.prepare({ contender, ...setting, operations, dataPaths });
    if (!('calls' in found)) throw new Error(JSON.stringify(found));
    expect(found.calls.map(({ operation }) => operation)).toEqual([...operations]);
    for (const { id, verdict } of found.calls) {
      expect([id, verdict.wrong]).toEqual([id, null]);
      // Far longer than a browser's clock is coarse: 0.1 ms.
      const samples = await runner.sample(id, { warmUp: 0, sampleTime: 5e-3, totalTime: 6e-3 });
      expect(samples.length).toBeGreaterThan(0);
      expect(samples.every((seconds) => seconds > 0)).toBe(true);
    }
    await runner.release();
  }
}

describe('Python', () => {
  it.for(pythonContenders)('%s is right', async (contender, { skip }) => {
    const ready = await PythonRunner.start(['python3', '/usr/bin/python3']).catch((error: Error) => error.message);
    if (typeof ready === 'string') return skip(ready);
    try {
      const [setting] = settings;
      const found = await ready.prepare({ contender, ...setting, operations, dataPaths });
      await ready.release();
      if ('unavailable' in found) skip(found.unavailable);
      await expectRight(ready, contender);
    } finally {
      await ready.close();
    }
  });

  it('that is not there, or has neither library, is a reason', async () => {
    await expect(PythonRunner.start(['no-such-python'])).rejects.toThrow(/no-such-python: .*ENOENT/);
    await expect(PythonRunner.start([process.execPath])).rejects.toThrow(/ended/);
  });
});

describe('Chromium', () => {
  const path = chromiumPath();
  const withRunner = async (work: (runner: ChromiumRunner) => Promise<void>) => {
    const runner = await ChromiumRunner.start(path!);
    try {
      await work(runner);
    } finally {
      await runner.close();
    }
  };

  it('js is right there', async ({ skip }) => {
    if (path === undefined) {
      if (isRequired('js@chromium')) throw new Error(chromiumMissing);
      return skip(chromiumMissing);
    }
    await withRunner((runner) => expectRight(runner, 'js'));
  });

  it.for(peersInPage.map(({ name }) => name))('%s is right there, or says what it lacks', async (name, { skip }) => {
    if (path === undefined) return skip(chromiumMissing);
    await withRunner(async (runner) => {
      const found = await runner.prepare({ contender: name, ...settings[0], operations, dataPaths });
      if ('unavailable' in found) return skip(found.unavailable);
      if (!('calls' in found)) throw new Error(JSON.stringify(found));
      expect(found.calls.length).toBeGreaterThan(1);
      expect(found.calls.map(({ verdict }) => verdict.wrong).filter((wrong) => wrong !== null)).toEqual([]);
    });
  });
});

describe('a process that answers lines', () => {
  const node = (code: string) => new LineProcess(process.execPath, ['-e', code]);

  it('answers in order, errors included', async () => {
    const child = node(
      "let n = 0; require('readline').createInterface(process.stdin).on('line', () => console.log(JSON.stringify(++n === 2 ? { error: 'no' } : { result: n })))",
    );
    const answers = await Promise.allSettled([child.call('a'), child.call('b'), child.call('c')]);
    child.kill();
    expect(answers.map((one) => (one.status === 'fulfilled' ? one.value : one.reason.message))).toEqual([1, 'no', 3]);
  });

  it('that dies rejects what it was asked, with its last words, and what it is asked afterwards', async () => {
    const child = node("process.stdin.once('data', () => { console.error('out of memory'); process.exit(3); })");
    await expect(child.call('a')).rejects.toThrow(/ended \(3\): out of memory/);
    await expect(child.call('b')).rejects.toThrow(/out of memory/);
  });
});
