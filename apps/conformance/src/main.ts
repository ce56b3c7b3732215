// `pnpm conformance`: the kit over all backends of this repository, in Node and in Chromium.
import { resolve } from 'node:path';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { backends, backendsNamed, createBackend, type Platform } from '@batchnorm/catalogue';
import { type BackendReport, nothing, runBackend } from '@batchnorm/conformance';
import {
  type Cases,
  exitWith,
  type KitFlags,
  kitCommand,
  type OnStatus,
  ProgressLine,
  pathOption,
  runKit,
  severalOf,
} from '@batchnorm/conformance/command';
import { nameOf, type Run } from '@batchnorm/conformance/report';
import type { ConformanceBrowser } from './browser.js';

interface Flags extends KitFlags {
  readonly backend: readonly string[];
  readonly browser?: true;
  readonly chromium?: string;
}

/** pnpm runs scripts at the root of the repository; paths are the user's. */
const from = process.env.INIT_CWD ?? process.cwd();

const program = kitCommand('conformance', from)
  .description('Runs every case of the kit against the backends and compares each result with its derived bound.')
  .addOption(
    severalOf(
      Object.keys(backends),
      '--backend <name...>',
      'run only these; gpujs is every gpujs-…',
      (name) => backendsNamed(name).length > 0,
    ),
  )
  .option('--browser', 'run in Chromium, too; a backend that needs a browser then runs only there')
  .addOption(
    pathOption('--chromium <path>', 'the Chromium of --browser (default: CHROMIUM_PATH, or the one on PATH)', from),
  )
  .allowExcessArguments(false);

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
    runBackend(name, 'node', () => createBackend(name), { ...cases, onProgress: ({ status }) => onStatus(status) }),
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
    browser = await ConformanceBrowser.start(resolve(from, path));
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
  platform: Platform,
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

await exitWith(() => {
  const flags = program.parse().opts<Flags>();
  return runKit(flags, (cases) => runAll(flags, cases), isRequired);
});
