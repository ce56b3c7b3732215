// `pnpm conformance`: exits with 0 when nothing failed, 1 when something did or the matrix of behaviours has a hole, 2
// when the question was wrong.
import { resolve } from 'node:path';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { backends, backendsNamed } from '@batchnorm/catalogue';
import { countsLine, dtypes, type FixtureFile, FixtureFormatError } from '@batchnorm/conformance';
import type { Dtype } from '@batchnorm/core-api';
import { Command } from 'commander';
import type { ConformanceBrowser } from './browser.js';
import { readFixtureFolder } from './fixture-folder.js';
import { pathOption, severalOf } from './options.js';
import { type OnStatus, ProgressLine } from './progress.js';
import { makeReportFolder, ReportError, writeJson, writeReport } from './report-files.js';
import { goldenTable, matrixTable, messageLines, summaryTable } from './report-terminal.js';
import { type BackendReport, nothing, runBackend } from './run-backend.js';
import type { Run } from './run-summary.js';
import { nameOf, verdictOf } from './verdict.js';

interface Flags {
  backend: string[];
  browser?: true;
  chromium?: string;
  dtype: Dtype[];
  fixtures?: string;
  json?: string;
  quick?: true;
  report?: string;
}

interface Cases {
  readonly dtypes: readonly Dtype[];
  readonly quick: boolean;
  readonly fixtures?: readonly FixtureFile[];
}

/** pnpm runs scripts at the root of the repository; paths are the user's. */
const pathOf = (path: string) => resolve(process.env.INIT_CWD ?? '', path);

const program = new Command('conformance')
  .description('Runs every case of the kit against the backends and compares each result with its derived bound.')
  .addOption(
    severalOf(
      Object.keys(backends),
      '--backend <name...>',
      'run only these; gpujs is every gpujs-…',
      (name) => backendsNamed(name).length > 0,
    ),
  )
  .addOption(severalOf([...dtypes, 'float16'], '--dtype <dtype...>', 'run only these'))
  .option('--browser', 'run in Chromium, too; a backend that needs a browser then runs only there')
  .addOption(pathOption('--chromium <path>', 'the Chromium of --browser (default: CHROMIUM_PATH, or the one on PATH)'))
  .addOption(pathOption('--fixtures <dir>', 'run every *.json of this folder instead of the built-in cases'))
  .option('--quick', 'leave out what takes long: large activations, what stays in memory, most random programs')
  .addOption(pathOption('--json <file>', 'write the results there, too'))
  .addOption(pathOption('--report <dir>', 'write conformance.json, conformance.md and conformance.html there, too'))
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

async function main(flags: Flags): Promise<number> {
  const fixtures = flags.fixtures === undefined ? undefined : await readFixtureFolder(pathOf(flags.fixtures));
  const cases = { dtypes: flags.dtype, quick: flags.quick ?? false, ...(fixtures && { fixtures }) };
  if (flags.report !== undefined) await makeReportFolder(pathOf(flags.report));
  const run = await runAll(flags, cases);
  const { reports } = run;

  for (const table of [goldenTable(reports), matrixTable(reports), summaryTable(reports)]) {
    if (table !== '') console.log(table);
  }
  for (const line of messageLines(reports)) console.error(line);
  if (flags.report !== undefined) await writeReport(pathOf(flags.report), run);
  if (flags.json !== undefined) await writeJson(pathOf(flags.json), run);
  console.log(countsLine(reports.flatMap(({ results }) => results)));
  const { ok, lines } = verdictOf(reports, isRequired);
  for (const line of lines) console.error(line);
  return ok ? 0 : 1;
}

async function runAll(flags: Flags, cases: Cases): Promise<Run> {
  const inThisNode = await inNode(flags, cases);
  const { version, reports } = flags.browser ? await inChromium(flags, cases) : { reports: [] };
  return {
    date: new Date().toISOString(),
    machine: `${process.platform} ${process.arch}`,
    versions: { node: process.versions.node, ...(version !== undefined && { chromium: version }) },
    reports: [...inThisNode, ...reports],
  };
}

/** Each backend once, also when it was named beside its family. */
function asked(flags: Flags): string[] {
  return [...new Set(flags.backend.flatMap(backendsNamed))];
}

async function inNode(flags: Flags, cases: Cases): Promise<BackendReport[]> {
  const here = asked(flags).filter((name) => !flags.browser || backends[name]!.platforms.includes('node'));
  return inTurn(here, 'node', (name, onStatus) =>
    runBackend(name, 'node', { ...cases, onProgress: ({ status }) => onStatus(status) }),
  );
}

interface InChromium {
  /** Absent when it did not start. */
  readonly version?: string;
  readonly reports: readonly BackendReport[];
}

async function inChromium(flags: Flags, cases: Cases): Promise<InChromium> {
  const there = asked(flags).filter((name) => backends[name]!.platforms.includes('chromium'));
  let browser: ConformanceBrowser;
  try {
    const path = flags.chromium ?? chromiumPath();
    if (path === undefined) throw new Error(chromiumMissing);
    const { ConformanceBrowser } = await import('./browser.js');
    browser = await ConformanceBrowser.start(pathOf(path));
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    return { reports: there.map((name) => ({ ...nothing(name, 'chromium'), error: reason! })) };
  }
  try {
    const run = (backend: string, onStatus: OnStatus) => browser.run({ backend, ...cases }, onStatus);
    return { version: browser.version, reports: await inTurn(there, 'chromium', run) };
  } finally {
    await browser.close();
  }
}

/** One backend after another. */
async function inTurn(
  names: readonly string[],
  platform: string,
  run: (name: string, onStatus: OnStatus) => Promise<BackendReport>,
): Promise<BackendReport[]> {
  const reports: BackendReport[] = [];
  for (const name of names) {
    const line = new ProgressLine(`${name} in ${platform}`);
    const report = await run(name, line.onStatus);
    line.end(report);
    reports.push(report);
  }
  return reports;
}

/** Named on the command line, not just its family, or required by the environment, as CI does. */
function isRequired(report: BackendReport): boolean {
  const { backend } = program.opts<Flags>();
  if (program.getOptionValueSource('backend') === 'cli' && backend.includes(report.backend)) return true;
  return (process.env.REQUIRE_BACKENDS ?? '').split(',').includes(nameOf(report));
}

try {
  process.exitCode = await main(program.parse().opts<Flags>());
} catch (error) {
  if (error instanceof FixtureFormatError) {
    for (const problem of error.problems) console.error(`malformed fixtures: ${problem}`);
  } else if (error instanceof ReportError) console.error(`error: ${error.message}`);
  else throw error;
  process.exitCode = 2;
}
