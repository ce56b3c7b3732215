// The collective in MPI jobs: every rank gets what every rank gave, or all get the same error, and goes on.
import { expect, it } from 'vitest';
import { describeMpi } from './describe-mpi.js';
import { byRank, type Report, runJob } from './job.js';

/** Runs a scenario of `collective.mjs`: what each rank reported, after who it is. */
async function reportsOf(scenario: string, ranks: number): Promise<Report[][]> {
  const { exitCode, reports, output } = await runJob('collective.mjs', { ranks, args: [scenario] });
  expect(exitCode, output).toBe(0);
  return byRank(reports, Math.max(1, ranks)).map(([first, ...others], rank) => {
    expect(first).toEqual({ rank, rankInJob: rank, size: Math.max(1, ranks) });
    return others;
  });
}

/** That every rank reported these, in order. */
function expectOnEach(reports: readonly Report[][], expected: readonly object[]): void {
  for (const [rank, received] of reports.entries()) expect(received).toEqual(expected.map((e) => ({ rank, ...e })));
}

const right = (ranks: number) => ({ ranks, right: true });
const failed = (message: RegExp) => ({ code: 'COLLECTIVE_FAILED', message: expect.stringMatching(message) });

describeMpi('a collective on MPI', () => {
  it.each([0, 1, 2, 4])('gathers any number of values, of %i ranks (0: without mpirun)', async (ranks) => {
    const lengths = [0, 1, 252, 253, 5000, 20, 6000];
    const expected = lengths.map((length) => ({ length, ...right(Math.max(1, ranks)) }));
    expectOnEach(await reportsOf('lengths', ranks), expected);
  });

  it('does calls in call order, awaited or not, with the values of their time', async () => {
    expectOnEach(await reportsOf('queue', 2), [{ right: [true, true, true] }]);
  });

  it('fails on every rank where one gives another number of values, and goes on', async () => {
    const expected = [
      [3, 2],
      [0, 1],
      [5000, 5001],
      [200, 5000],
      [5000, 1],
    ].flatMap(([one, others]) => [
      { unequal: failed(new RegExp(`received rank 1 with ${one} values, expected ${others} values, as rank 0 has`)) },
      { after: right(3) },
    ]);
    expectOnEach(await reportsOf('unequal', 3), expected);
  });

  it('tells the others of a rank that gives no values, and goes on', async () => {
    const reports = await reportsOf('invalid', 3);
    for (const [rank, [first, second]] of reports.entries()) {
      if (rank === 1) expect(first).toMatchObject({ code: 'INVALID_OPTION' });
      else expect(first).toEqual({ rank, ...failed(/a call that failed on rank 1/) });
      expect(second).toEqual({ rank, ...right(3) });
    }
  });

  it('refuses layers that differ, on every rank, and changes none', async () => {
    const refused = (code: string, message: RegExp) => ({
      code,
      message: expect.stringMatching(message),
      isUnchanged: true,
    });
    const order = refused('COLLECTIVE_FAILED', /rank 1 with layer \d, expected layer \d, as rank 0 has/);
    expectOnEach(await reportsOf('layers', 3), [
      { nan: refused('NON_FINITE_STATISTICS', /channel 0/) },
      { order },
      { order },
      { channels: refused('COLLECTIVE_FAILED', /rank 1 with \d+ values, expected \d+ values, as rank 0 has/) },
      {},
    ]);
  });

  it('lets the event loop live while it waits for a rank that is late', async () => {
    const [[punctual], [late]] = (await reportsOf('late', 2)) as [[Report], [Report]];
    expect([punctual, late]).toMatchObject([right(2), right(2)]);
    expect(punctual.ticks).toBeGreaterThan(5);
  });

  it('fails at once, and for good, where a rank has left', async () => {
    for (const [rank, answers] of (await reportsOf('leaving', 3)).entries()) {
      if (rank === 1)
        expect(answers).toMatchObject([{ first: { code: 'DISPOSED' } }, { second: { code: 'DISPOSED' } }]);
      else
        expect(answers).toMatchObject([
          { first: failed(/rank 1, which has left/) },
          { second: failed(/dead.*rank 1 has left/) },
        ]);
    }
  });

  it('is dead for good after a rank has not answered in time, and so is the job', async () => {
    const { exitCode, hung, reports } = await runJob('collective.mjs', { ranks: 3, args: ['timeout'] });
    expect([hung, exitCode]).toEqual([false, 1]);
    // The first that exits ends the others, wherever they are.
    const ends = reports.filter(({ disposed }) => disposed);
    expect(ends).not.toEqual([]);
    for (const { rank } of ends) {
      expect(byRank(reports, 3)[rank]!.slice(1)).toEqual([
        { rank, first: failed(/no answer of at least one of 3 ranks within 300 ms, .*dead/) },
        { rank, second: failed(/dead: some rank gave no answer within 300 ms/) },
        { rank, disposed: true },
      ]);
    }
  });

  it('is made within its own time, whatever that of the first was', async () => {
    expectOnEach(await reportsOf('patience', 2), [right(2)]);
  });

  it('says why a process ends that has not caught its failure', async () => {
    const { exitCode, hung, output } = await runJob('collective.mjs', { ranks: 2, args: ['uncaught'] });
    expect([hung, exitCode]).toEqual([false, 1]);
    expect(output).toMatch(/BatchNormError: received no answer of at least one of 2 ranks/);
    expect(output).toMatch(/code: 'COLLECTIVE_FAILED'/);
  });

  it('is one of each group, beside that of all', async () => {
    for (const [rank, answers] of (await reportsOf('groups', 4)).entries()) {
      const group = rank % 2;
      expect(answers).toEqual([
        { rank, size: 2, rankInGroup: Math.floor(rank / 2), firsts: [group, group + 2] },
        { rank, all: right(4) },
        { rank, mixed: failed(/rank 1 with no group, expected group 0, as rank 0 has/) },
        {
          rank,
          invalid:
            rank === 1
              ? { code: 'INVALID_OPTION', message: expect.stringContaining('group 1.5') }
              : failed(/a call that failed on rank 1/),
        },
        { rank, after: right(4) },
      ]);
    }
  });

  it('fails to be made on every rank where the options of one are wrong, and is made then', async () => {
    for (const [rank, answers] of (await reportsOf('misconfigured', 3)).entries()) {
      expect(answers).toEqual([
        rank === 1
          ? { rank, code: 'INVALID_OPTION', message: expect.stringContaining("'timeout'") }
          : { rank, ...failed(/a call that failed on rank 1/) },
        { rank, ...right(3) },
      ]);
    }
  });

  it('carries gradients, which get the same sums on every rank', async () => {
    const reports = await reportsOf('sums', 4);
    const sums = [1, 2, 3, 4].map((factor) => Math.fround(0.1 * factor)).reduce((a, b) => a + b);
    const last = 6e6 + 4 * 69_999;
    const total = 70_000 * 6e6 + (4 * 69_999 * 70_000) / 2;
    expectOnEach(reports, [{ first: [sums, sums, sums].map(Math.fround), last, total }]);
  });

  it('ends with a program that has not disposed it', async () => {
    expectOnEach(await reportsOf('undisposed', 2), [right(2)]);
  });
});
