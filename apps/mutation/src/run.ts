// A run of Stryker over one target, and the report that it leaves.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { LogLevel, PartialStrykerOptions } from '@stryker-mutator/api/core';
import { Stryker } from '@stryker-mutator/core';
import type { MutationTestResult } from 'mutation-testing-report-schema/api';
import type { Mutant } from './mutant.js';
import type { Target } from './targets.js';

export interface RunOptions extends Target {
  /** Tries these mutants alone, and mutants within their code. */
  readonly wanted: readonly Mutant[] | undefined;
  readonly report: string;
  /** How many mutants are tried at a time. */
  readonly concurrency: number | undefined;
}

const pathOf = (specifier: string) => fileURLToPath(import.meta.resolve(specifier));
const fileOf = (report: string, extension: string) => `report/mutation/${report}.${extension}`;

/** Tries each mutant on its judge, in a copy of the repository, which is the working directory. */
export async function run({ files, wanted, judge, report, concurrency }: RunOptions): Promise<void> {
  const options: PartialStrykerOptions = {
    mutate: wanted?.map(rangeOf) ?? [...files],
    ignorers: ['messages'],
    testRunner: 'vitest',
    vitest: { configFile: judge, related: false },
    coverageAnalysis: 'perTest',
    plugins: [pathOf('@stryker-mutator/vitest-runner'), fileURLToPath(new URL('messages.js', import.meta.url))],
    // What is copied: the packages that are mutated and those that judge.
    ignorePatterns: [
      ...[
        '/*',
        '!/package.json',
        '!/tsconfig.base.json',
        '!/vitest.node.ts',
        '!/vitest.slow.ts',
        '!/packages',
        '!/apps',
      ],
      ...['/packages/*', '!/packages/backend-js', '!/packages/conformance', '!/packages/core-api'],
      ...['/apps/*', '!/apps/mutation', 'dist', 'node_modules'],
    ],
    // A generous limit, so that a slow mutant does not count as endless.
    timeoutFactor: 3,
    timeoutMS: 10_000,
    dryRunTimeoutMinutes: 60,
    reporters: [process.stdout.isTTY ? 'progress' : 'progress-append-only', 'html', 'json'],
    htmlReporter: { fileName: fileOf(report, 'html') },
    jsonReporter: { fileName: fileOf(report, 'json') },
    logLevel: 'warn' as LogLevel,
    ...(concurrency !== undefined && { concurrency }),
  };
  await new Stryker(options).runMutationTest();
}

/** What the latest run of this name found. Errors: `NoReport`. */
export async function readReport(report: string): Promise<MutationTestResult> {
  const file = fileOf(report, 'json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new NoReport(`received no ${file}, expected that of a run: \`pnpm mutation ${report}\` writes it`);
  });
  return JSON.parse(text) as MutationTestResult;
}

/** There has been no run. */
export class NoReport extends Error {}

/** As Stryker wants it: columns count from 0 here. */
function rangeOf({ file, location: { start, end } }: Mutant): string {
  return `${file}:${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`;
}
