// The suite under test runners: one backend, made when a test first needs it and disposed after the last, whichever
// tests run.
import { execFile } from 'node:child_process';
import * as nodeTest from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Backend } from '@batchnorm/core-api';
import * as core from '@batchnorm/core-api';
import * as vitest from 'vitest';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { outcome } from '../src/compare.js';
import type { ConformanceCase } from '../src/conformance-case.js';
import { describeConformance, type TestApi } from '../src/describe-conformance.js';
import { createPlainBackend } from './plain-backend.js';

/** A suite with a case of each outcome, so that what is counted is known. */
vi.mock('../src/suite.js', () => {
  const one = { group: 'exact', source: 'exact', why: 'made up' } as const;
  const suite: ConformanceCase[] = [
    { ...one, name: 'right', run: async () => [outcome('y', true, '')] },
    { ...one, name: 'wrong', run: async () => [outcome('y', false, ': is not x'), outcome('dx', false, ': is lost')] },
    { ...one, name: 'denied', run: async () => ({ refused: 'UNSUPPORTED' }) },
    { ...one, name: 'silent', inapplicable: () => 'it says nothing', run: () => Promise.reject() },
  ];
  return { suite };
});

class SkippedHere extends Error {}

/** A runner that keeps what it is told, and runs the tests that it is asked for. */
class FakeRunner {
  readonly tests = new Map<string, (...context: unknown[]) => Promise<void>>();
  readonly #place: string[] = [];
  readonly hooks: (() => Promise<void>)[] = [];
  readonly hooksAlone: TestApi = {
    describe: (name, body) => {
      this.#place.push(name);
      body();
      this.#place.pop();
    },
    it: (name, body) => void this.tests.set([...this.#place, name].join(' '), body),
    afterAll: (hook) => void this.hooks.push(hook),
  };

  /** Runs the tests with `part` in their names, and then the hooks; answers what came of each test. */
  async run(part: string, ...context: unknown[]): Promise<string[]> {
    const chosen = [...this.tests].filter(([name]) => name.includes(part));
    const outcomes: string[] = [];
    for (const [, body] of chosen) {
      const [error] = await body(...context).then(
        () => [],
        (reason: unknown) => [reason],
      );
      outcomes.push(error === undefined ? 'passed' : error instanceof SkippedHere ? 'skipped' : String(error));
    }
    for (const hook of this.hooks) await hook();
    return outcomes;
  }
}

const dispose = vi.fn();
const factory = vi.fn((): Backend => ({ ...createPlainBackend(core), dispose }));
const printed = vi.spyOn(console, 'info').mockImplementation(() => {});

let runner: FakeRunner;
beforeEach(() => {
  runner = new FakeRunner();
  describeConformance('mine', factory, runner.hooksAlone);
});
afterEach(() => vi.clearAllMocks());

describe('describeConformance', () => {
  it('takes modules of test runners as they are', () => {
    const apis: readonly TestApi[] = [vitest, nodeTest];
    for (const api of apis) expect(api.afterAll ?? api.after).toBeTypeOf('function');
  });

  it('refuses a runner without hooks, which could never dispose the backend', () => {
    expect(() => describeConformance('mine', factory, { describe: () => {}, it: () => {} })).toThrow(
      /received a test runner without hooks, expected its afterAll or after/,
    );
  });

  it('makes one backend for all tests, and disposes it after them', async () => {
    await runner.run('');
    expect(factory).toHaveBeenCalledTimes(1);
    expect(dispose).toHaveBeenCalledTimes(1);
  });

  it.each(['float32 exact right', 'float64 exact wrong'])(
    'disposes it, too, when %s is the only test that runs',
    async (name) => {
      await runner.run(name);
      expect(factory).toHaveBeenCalledTimes(1);
      expect(dispose).toHaveBeenCalledTimes(1);
    },
  );

  it('makes none when no test runs', async () => {
    await runner.run('no such test');
    expect(factory).not.toHaveBeenCalled();
    expect(dispose).not.toHaveBeenCalled();
    expect(printed).not.toHaveBeenCalled();
  });

  it('fails a test with a line for each failed check, and passes one that is refused', async () => {
    expect(await runner.run('float32 exact wrong')).toEqual(['Error: y: is not x\ndx: is lost']);
    expect(await runner.run('denied')).toEqual(['passed', 'passed']);
  });

  it('shows failures as a diff where the runner has one', async () => {
    const own = new FakeRunner();
    describeConformance('mine', factory, { ...own.hooksAlone, expect });
    expect(await own.run('float32 exact wrong')).toEqual([
      expect.stringMatching(/AssertionError: expected .* to deeply equal \[\]/),
    ]);
  });

  const skip = (reason: string) => {
    throw new SkippedHere(reason);
  };
  it('skips by the context of the test, as vitest and node:test have it', async () => {
    expect(await runner.run('silent', { skip })).toEqual(['skipped', 'skipped']);
  });

  it('skips by `this`, as Mocha has it', async () => {
    const body = runner.tests.get('mine conforms float32 exact silent: made up')!;
    await expect(body.call({ skip })).rejects.toThrow('it says nothing');
  });

  it('declares no parameter, which Jest and Mocha would take for a callback', () => {
    for (const body of runner.tests.values()) expect(body).toHaveLength(0);
  });

  it('prints four numbers, and why cases were refused and skipped', async () => {
    await runner.run('', { skip: () => {} });
    expect(printed.mock.calls).toEqual([
      [
        [
          'mine: 2 passed, 2 failed, 2 refused (UNSUPPORTED), 2 skipped',
          '2 refused: UNSUPPORTED (float32 exact denied, float64 exact denied)',
          '2 skipped: it says nothing (float32 exact silent, float64 exact silent)',
        ].join('\n  '),
      ],
    ]);
  });

  it('says so when a part ran, and when the runner shows skips as passed', async () => {
    await runner.run('float32 exact silent');
    expect(printed.mock.calls[0]![0]).toMatch(/^mine, 1 of 8 cases: 0 passed, 0 failed, 0 refused, 1 skipped\n/);
    expect(printed.mock.calls[0]![0]).toMatch(/\n {2}skipped cases show as passed: this runner has no skip/);
  });

  it.each([
    ['rejects', () => Promise.reject(new Error('no device'))],
    [
      'throws',
      () => {
        throw new Error('no device');
      },
    ],
  ])('fails every test for the reason of a factory that %s, and asks it once', async (_how, fail) => {
    const failing = vi.fn(fail);
    const own = new FakeRunner();
    describeConformance('mine', failing, own.hooksAlone);
    expect(await own.run('')).toEqual(new Array(8).fill('Error: no device'));
    expect(failing).toHaveBeenCalledTimes(1);
    expect(printed).not.toHaveBeenCalled();
  });
});

/** Runs a part of the kit under a runner, on a backend that says when it is made and disposed. */
function runReally(command: string, args: readonly string[]): Promise<string> {
  const cwd = fileURLToPath(new URL('runners', import.meta.url));
  const { VITEST: _, NODE_OPTIONS: __, ...env } = process.env;
  return new Promise((resolve, reject) => {
    // A line or more for each of some thousand tests.
    execFile(command, args, { cwd, env: { ...env, NO_COLOR: '1' }, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      if (error) reject(new Error(stdout + stderr, { cause: error }));
      else resolve(stdout);
    });
  });
}

const vitestCommand = fileURLToPath(new URL('vitest.mjs', import.meta.resolve('vitest/package.json')));

describe.each([
  ['vitest', (name: string) => [vitestCommand, 'run', '-t', name]],
  ['node:test', (name: string) => ['--test', '--test-name-pattern', name, 'node.test.mjs']],
])('under %s', (_runner, argsFor) => {
  it('one test alone has its backend made and disposed', async () => {
    const output = await runReally(process.execPath, argsFor('a wide row'));
    expect(output.match(/made$/gm)).toHaveLength(1);
    expect(output.match(/disposed$/gm)).toHaveLength(1);
    expect(output).toMatch(/counting, 2 of \d+ cases: 2 passed, 0 failed, 0 refused, 0 skipped$/m);
  });

  it('no test alone makes none', async () => {
    const output = await runReally(process.execPath, argsFor('no such test'));
    expect(output).not.toMatch(/made$|disposed$/m);
  });
});
