// The files of `--report` and `--json`.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { htmlReport } from './report-html.js';
import { jsonReport } from './report-json.js';
import { markdownReport } from './report-markdown.js';
import type { Run } from './run-summary.js';

/** A folder or file that can't be written. */
export class ReportError extends Error {}

/** Before the run, so that a folder that can't be made does not cost one. Errors: `ReportError`. */
export async function makeReportFolder(folder: string): Promise<void> {
  await orReportError(mkdir(folder, { recursive: true }));
}

/** Errors: `ReportError`. */
export async function writeReport(folder: string, run: Run): Promise<void> {
  const files = { 'conformance.json': jsonReport, 'conformance.md': markdownReport, 'conformance.html': htmlReport };
  for (const [name, textOf] of Object.entries(files)) await orReportError(writeFile(join(folder, name), textOf(run)));
}

/** Errors: `ReportError`. */
export async function writeJson(path: string, run: Run): Promise<void> {
  await orReportError(writeFile(path, jsonReport(run)));
}

async function orReportError(done: Promise<unknown>): Promise<void> {
  await done.catch((error: Error) => {
    throw new ReportError(`can't write the report: ${error.message}`, { cause: error });
  });
}
