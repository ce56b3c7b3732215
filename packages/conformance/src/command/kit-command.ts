// What every command around the kit has: options for its cases and reports, what it prints, and its exit codes. 0:
// nothing failed; 1: something did, or the matrix of behaviours has a hole; 2: the question was wrong.
import type { Dtype } from '@batchnorm/core-api';
import { Command } from 'commander';
import { dtypes } from '../conformance.js';
import { countsLine } from '../counts.js';
import type { FixtureFile } from '../fixtures/fixture-case.js';
import { FixtureFormatError } from '../fixtures/format-error.js';
import type { BackendReport } from '../report/backend-report.js';
import { makeReportFolder, ReportError, writeJson, writeReport } from '../report/report-files.js';
import { goldenTable, matrixTable, messageLines, summaryTable } from '../report/report-terminal.js';
import type { Run } from '../report/run-summary.js';
import { verdictOf } from '../report/verdict.js';
import { readFixtureFolder } from './fixture-folder.js';
import { pathOption, severalOf } from './options.js';

/** What `kitCommand` parses. */
export interface KitFlags {
  readonly dtype: readonly Dtype[];
  readonly fixtures?: string;
  readonly json?: string;
  readonly quick?: true;
  readonly report?: string;
}

/** Which cases run, as `runBackend` takes them. */
export interface Cases {
  readonly dtypes: readonly Dtype[];
  readonly quick: boolean;
  readonly fixtures?: readonly FixtureFile[];
}

/** What was asked can't be done. */
export class UsageError extends Error {}

/** `from`: the folder that paths are relative to. */
export function kitCommand(name: string, from: string): Command {
  return new Command(name)
    .addOption(severalOf([...dtypes, 'float16'], '--dtype <dtype...>', 'run only these'))
    .addOption(pathOption('--fixtures <dir>', 'run every *.json of this folder instead of the built-in cases', from))
    .option('--quick', 'leave out what takes long: large activations, what stays in memory, most random programs')
    .addOption(pathOption('--json <file>', 'write the results there, too', from))
    .addOption(
      pathOption('--report <dir>', 'write conformance.json, conformance.md and conformance.html there, too', from),
    )
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));
}

/**
 * Runs `run` on the cases that were asked for, prints what it found and writes the reports; the promise is for the exit
 * code, 0 or 1. `isRequired`: of which backends it is a failure when they can't run here. Errors: those of `run`;
 * `FixtureFormatError`; `ReportError`.
 */
export async function runKit(
  flags: KitFlags,
  run: (cases: Cases) => Promise<Run>,
  isRequired: (report: BackendReport) => boolean,
): Promise<0 | 1> {
  const fixtures = flags.fixtures === undefined ? undefined : await readFixtureFolder(flags.fixtures);
  if (flags.report !== undefined) await makeReportFolder(flags.report);
  const found = await run({ dtypes: flags.dtype, quick: flags.quick ?? false, ...(fixtures && { fixtures }) });
  const { reports } = found;

  // Of the kit's own golden files there are hundreds: the report has them.
  const golden = fixtures === undefined ? '' : goldenTable(reports);
  for (const table of [golden, matrixTable(reports), summaryTable(reports)]) {
    if (table !== '') console.log(`${table}\n`);
  }
  for (const line of messageLines(reports)) console.error(line);
  if (flags.report !== undefined) await writeReport(flags.report, found);
  if (flags.json !== undefined) await writeJson(flags.json, found);
  console.log(countsLine(reports.flatMap(({ results }) => results)));
  const { ok, lines } = verdictOf(reports, isRequired);
  for (const line of lines) console.error(line);
  return ok ? 0 : 1;
}

/** Sets the exit code of the process: that of `main`, or 2, with a line for each problem, where the question was wrong. */
export async function exitWith(main: () => Promise<number>): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    if (error instanceof FixtureFormatError) {
      for (const problem of error.problems) console.error(`malformed fixtures: ${problem}`);
    } else if (error instanceof ReportError || error instanceof UsageError) console.error(`error: ${error.message}`);
    else throw error;
    process.exitCode = 2;
  }
}
