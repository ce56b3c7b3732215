// `pnpm conformance`: exits with 0 when everything passed, 1 when something failed, 2 when the question was wrong.
import { resolve } from 'node:path';
import { dtypes, FixtureFormatError, runConformance } from '@batchnorm/conformance';
import { BatchNormError, type Dtype } from '@batchnorm/core-api';
import { Command, Option } from 'commander';
import { backends } from './backends.js';
import { readFixtureFolder } from './fixture-folder.js';
import { type BackendReport, count, failuresOf, tableOf, writeJson } from './report.js';

interface Flags {
  backend: string[];
  dtype: Dtype[];
  fixtures?: string;
  json?: string;
}

/** pnpm runs scripts at the root of the repository; paths are the user's. */
const pathOf = (path: string) => resolve(process.env.INIT_CWD ?? '', path);

const program = new Command('conformance')
  .description('Runs every golden case against the backends and compares each result with its derived bound.')
  .addOption(
    new Option('--backend <name...>', 'run only these').choices(Object.keys(backends)).default(Object.keys(backends)),
  )
  .addOption(new Option('--dtype <dtype...>', 'run only these').choices([...dtypes]).default([...dtypes]))
  .option('--fixtures <dir>', 'run every *.json of this folder instead of the built-in cases')
  .option('--json <file>', 'write the results there, too')
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2));

/** Backends that must run here: named on the command line, or required by the environment, as CI does. */
function requiredBackends(): string[] {
  const named = program.getOptionValueSource('backend') === 'cli' ? program.opts<Flags>().backend : [];
  return [...named, ...(process.env.REQUIRE_BACKENDS?.split(',') ?? [])];
}

async function main(flags: Flags): Promise<number> {
  const fixtures = flags.fixtures === undefined ? undefined : await readFixtureFolder(pathOf(flags.fixtures));
  const reports: BackendReport[] = [];
  for (const name of flags.backend) {
    const report = await runBackend(name, { dtypes: flags.dtype, ...(fixtures && { fixtures }) });
    reports.push(report);
    console.log(report.unavailable === null ? tableOf(report) : `${name} skipped: ${report.unavailable}`);
  }
  for (const line of reports.flatMap((report) => failuresOf(report))) console.error(line);
  if (flags.json !== undefined) {
    await writeJson(pathOf(flags.json), reports).catch((error: Error) => program.error(`error: ${error.message}`));
  }
  const [passed, failed, skipped] = (['passed', 'failed', 'skipped'] as const).map((status) => count(reports, status));
  console.log(`${passed} cases passed, ${failed} failed, ${skipped} skipped`);
  const required = requiredBackends();
  const missing = reports.filter(({ backend, unavailable }) => unavailable !== null && required.includes(backend));
  for (const { backend } of missing) console.error(`${backend} is required, and could not run here`);
  return failed === 0 && missing.length === 0 ? 0 : 1;
}

async function runBackend(name: string, options: Parameters<typeof runConformance>[1]): Promise<BackendReport> {
  const factory = backends[name] as (typeof backends)[string];
  try {
    const backend = await factory();
    const results = await runConformance(backend, options);
    await backend.dispose();
    return { backend: name, execution: backend.execution, unavailable: null, results };
  } catch (error) {
    if (!(error instanceof BatchNormError && error.code === 'BACKEND_UNAVAILABLE')) throw error;
    return { backend: name, execution: null, unavailable: error.message, results: [] };
  }
}

try {
  process.exitCode = await main(program.parse().opts<Flags>());
} catch (error) {
  if (!(error instanceof FixtureFormatError)) throw error;
  console.error(`malformed fixtures: ${error.message}`);
  process.exitCode = 2;
}
