// `pnpm conformance`: exits with 0 when everything passed, 1 when something failed, 2 when the question was wrong.
import { resolve } from 'node:path';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { type CaseResult, dtypes, type FixtureFile, FixtureFormatError } from '@batchnorm/conformance';
import type { Dtype } from '@batchnorm/core-api';
import { Command, Option } from 'commander';
import { backends } from './backends.js';
import type { ConformanceBrowser } from './browser.js';
import { readFixtureFolder } from './fixture-folder.js';
import { casesOf, count, messagesOf, summaryOf, writeJson } from './report.js';
import { type BackendReport, nothing, runBackend } from './run-backend.js';

interface Flags {
  backend: string[];
  browser?: true;
  chromium?: string;
  dtype: Dtype[];
  fixtures?: string;
  json?: string;
}

interface Cases {
  readonly dtypes: readonly Dtype[];
  readonly fixtures?: readonly FixtureFile[];
}

/** pnpm runs scripts at the root of the repository; paths are the user's. */
const pathOf = (path: string) => resolve(process.env.INIT_CWD ?? '', path);

const program = new Command('conformance')
  .description('Runs every golden case against the backends and compares each result with its derived bound.')
  .addOption(
    new Option('--backend <name...>', 'run only these').choices(Object.keys(backends)).default(Object.keys(backends)),
  )
  .addOption(new Option('--dtype <dtype...>', 'run only these').choices([...dtypes]).default([...dtypes]))
  .option('--browser', 'run in Chromium, too; a backend that needs a browser then runs only there')
  .addOption(
    new Option('--chromium <path>', 'the Chromium of --browser (default: the one on PATH)').env('CHROMIUM_PATH'),
  )
  .option('--fixtures <dir>', 'run every *.json of this folder instead of the built-in cases')
  .option('--json <file>', 'write the results there, too')
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

async function main(flags: Flags): Promise<number> {
  const fixtures = flags.fixtures === undefined ? undefined : await readFixtureFolder(pathOf(flags.fixtures));
  const cases = { dtypes: flags.dtype, ...(fixtures && { fixtures }) };
  const reports = [...(await inNode(flags, cases)), ...(flags.browser ? await inChromium(flags, cases) : [])];

  console.log(casesOf(reports));
  console.log(summaryOf(reports));
  for (const line of reports.flatMap((report) => messagesOf(report))) console.error(line);
  if (flags.json !== undefined) {
    await writeJson(pathOf(flags.json), reports).catch((error: Error) => program.error(`error: ${error.message}`));
  }
  const [passed, failed, skipped] = (['passed', 'failed', 'skipped'] as const).map((status) => count(reports, status));
  console.log(`${passed} cases passed, ${failed} failed, ${skipped} skipped`);

  const missing = reports.filter((report) => report.unavailable !== null && isRequired(report));
  for (const report of missing) console.error(`${nameOf(report)} is required, and could not run here`);
  return failed === 0 && missing.length === 0 && reports.every(({ error }) => error === null) ? 0 : 1;
}

async function inNode(flags: Flags, cases: Cases): Promise<BackendReport[]> {
  const here = flags.backend.filter((name) => !flags.browser || backends[name]!.platforms.includes('node'));
  return inTurn(here, 'node', (name, onProgress) =>
    runBackend(name, 'node', { ...cases, onProgress: ({ status }) => onProgress(status) }),
  );
}

async function inChromium(flags: Flags, cases: Cases): Promise<BackendReport[]> {
  const there = flags.backend.filter((name) => backends[name]!.platforms.includes('chromium'));
  let browser: ConformanceBrowser;
  try {
    const path = flags.chromium === undefined ? chromiumPath() : pathOf(flags.chromium);
    if (path === undefined) throw new Error(chromiumMissing);
    const { ConformanceBrowser } = await import('./browser.js');
    browser = await ConformanceBrowser.start(path);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    return there.map((name) => ({ ...nothing(name, 'chromium'), error: reason! }));
  }
  try {
    return await inTurn(there, 'chromium', (backend, onProgress) => browser.run({ backend, ...cases }, onProgress));
  } finally {
    await browser.close();
  }
}

type Progress = (status: CaseResult['status']) => void;

/** One backend after another; a line on stderr for each, and in it a character for each case. */
async function inTurn(
  names: readonly string[],
  platform: string,
  run: (name: string, onProgress: Progress) => Promise<BackendReport>,
): Promise<BackendReport[]> {
  const signs = { passed: '.', failed: 'F', skipped: 's' };
  const reports: BackendReport[] = [];
  for (const name of names) {
    process.stderr.write(`${name} in ${platform} `);
    const report = await run(name, (status) => void process.stderr.write(signs[status]));
    process.stderr.write(`${report.unavailable === null ? '' : 'skipped'}\n`);
    reports.push(report);
  }
  return reports;
}

/** As REQUIRE_BACKENDS has it. */
function nameOf({ backend, platform }: BackendReport): string {
  return platform === 'node' ? backend : `${backend}@${platform}`;
}

/** Named on the command line, or required by the environment, as CI does. */
function isRequired(report: BackendReport): boolean {
  if (program.getOptionValueSource('backend') === 'cli') return true;
  return (process.env.REQUIRE_BACKENDS ?? '').split(',').includes(nameOf(report));
}

try {
  process.exitCode = await main(program.parse().opts<Flags>());
} catch (error) {
  if (!(error instanceof FixtureFormatError)) throw error;
  console.error(`malformed fixtures: ${error.message}`);
  process.exitCode = 2;
}
