// What happens to a job when one of its ranks fails: no rank hangs, none is left behind, nothing is half done, and a new
// job goes on from the checkpoint.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { describeMpi, describeMpich, mpich } from './describe-mpi.js';
import { type JobResult, type Report, runJob } from './job.js';

const ranks = 3;
const steps = 6;
const faulty = { rank: 1, step: 4 };

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'batchnorm-mpi-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const failuresOf = ({ reports }: JobResult): Report[] => reports.filter(({ code }) => code !== undefined);

/** The state that every rank ended with, the same on each. */
function stateOf({ exitCode, reports, output }: JobResult): unknown {
  expect(exitCode, output).toBe(0);
  const states = reports.flatMap(({ state }) => (state === undefined ? [] : [state]));
  expect(states).toHaveLength(ranks);
  for (const state of states) expect(state).toEqual(states[0]);
  return states[0];
}

/** The faults, in jobs of a launcher. */
function faults(mpirun: string): void {
  const train = (folder: string, ...fault: readonly (string | number)[]): Promise<JobResult> =>
    runJob('train.mjs', { ranks, mpirun, args: [folder, steps, ...fault].map(String) });

  it.each([
    // Open MPI ends the others before they give up, as a rule.
    { fault: 'SIGKILL', answers: undefined },
    { fault: 'SIGSTOP', answers: /no answer of at least one of 3 ranks within 3000 ms/ },
    { fault: 'uncaught error', answers: /nothing of rank 1, which has left/ },
    { fault: 'process.exit(0)', answers: /nothing of rank 1, which has left/ },
    { fault: 'mpirun killed', answers: undefined },
  ])('by $fault ends, and another goes on from its checkpoint to the same bits', async ({ fault, answers }) => {
    const folder = newFolder();
    const failed = await train(folder, fault, faulty.rank, faulty.step);
    expect(failed.hung, failed.output).toBe(false);
    expect(failed.exitCode, failed.output).not.toBe(0);
    const failures = failuresOf(failed);
    for (const failure of failures) expect(failure).toMatchObject({ code: 'COLLECTIVE_FAILED', isUnchanged: true });
    if (answers) {
      // Of the others: the first that exits may end the last before that has answered.
      for (const { rank } of failures) expect(rank).not.toBe(faulty.rank);
      const [first, later] = [true, false].map((isFirst) =>
        failures.filter(({ step }) => (step === faulty.step) === isFirst),
      ) as [Report[], Report[]];
      expect(first).not.toEqual([]);
      for (const { message } of first) expect(message).toMatch(answers);
      for (const { message } of later) expect(message).toMatch(/dead/);
    }
    const { step } = JSON.parse(readFileSync(join(folder, 'checkpoint.json'), 'utf8'));
    expect(step).toBe(faulty.step - 1);
    expect(stateOf(await train(folder))).toEqual(stateOf(await train(newFolder())));
    tell(mpirun, fault, failed);
  });

  it('by a skipped call fails on every rank, and goes on with the next step', async () => {
    const job = await train(newFolder(), 'skipped call', faulty.rank, faulty.step);
    const failures = failuresOf(job);
    expect(failures.map(({ rank }) => rank).sort()).toEqual([0, 1, 2]);
    for (const failure of failures) {
      expect(failure).toMatchObject({ step: faulty.step, code: 'COLLECTIVE_FAILED', isUnchanged: true });
      expect(failure.message).toMatch(/rank 1 with a backward, expected a forward, as rank 0 has/);
    }
    stateOf(job);
    tell(mpirun, 'skipped call', job);
  });
}

describeMpi('a job with a fault', () => faults('mpirun'));
describeMpich('a job of MPICH with a fault', () => faults(mpich));

/** For the table of docs/scaling.md. */
function tell(mpirun: string, fault: string, job: JobResult): void {
  const begin = job.reports.find((report) => report.fault === fault)!.at as number;
  const answers = failuresOf(job)
    .filter(({ step }) => step === faulty.step)
    .map(({ rank, at }) => `rank ${rank} after ${(at as number) - begin} ms`);
  console.info(
    `${mpirun}, ${fault}: ${answers.join(', ') || 'no rank answered'}; all ended after ${job.endedAt - begin} ms`,
  );
}
