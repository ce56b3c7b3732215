// `pnpm start`: what this machine can run, whether it is right, how fast, what is chosen, and a network that learns on
// it. Exits with 1 when a case of the kit fails, its matrix has a hole or BatchNorm does not win.
import { arch, cpus, platform } from 'node:os';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import type { BackendReport } from '@batchnorm/conformance';
import { ProgressLine } from '@batchnorm/conformance/command';
import { makeReportFolder, messageLines, summaryTable, verdictOf, writeReport } from '@batchnorm/conformance/report';
import { experiment } from '@batchnorm/example-train-digits';
import { shapeText } from '@batchnorm/reporting';
import { findCandidates } from './candidates.js';
import { compare, type Shape } from './comparison.js';
import { runKit } from './kit.js';
import { candidatesTable, comparisonTable, failures } from './tables.js';

/** A layer of the network that learns the digits, a wider one, and images. */
const shapes: readonly [Shape, ...Shape[]] = [
  [60, 100],
  [1024, 256],
  [32, 64, 28, 28],
];

const startedAt = performance.now();
const machine = `${platform()} ${arch()}`;
const reportFolder = fileURLToPath(new URL('../../../report', import.meta.url));

title('Platform');
console.log(`Node ${process.versions.node} on ${machine}, ${cpus().length} × ${cpus()[0]?.model.trim()}`);

title('Backends');
const found = await findCandidates();
console.log(candidatesTable(found));
console.log('Those for browsers only: pnpm page, and pnpm conformance --browser.');

title('Do they compute right?');
const here = found.filter(({ reason }) => reason === null).map(({ candidate }) => candidate);
const reports: BackendReport[] = [];
for (const { name } of here) {
  const line = new ProgressLine(name);
  const report = await runKit(name, line.onStatus);
  line.end(report);
  reports.push(report);
}
console.log(summaryTable(reports));
for (const line of messageLines(reports)) console.error(line);
const { ok, lines } = verdictOf(reports);
for (const line of lines) console.error(line);
if (!ok) process.exitCode = 1;
const conforming = here.filter((_, index) => verdictOf([reports[index]!]).ok);

title('How fast are they?');
const comparison = await compare(conforming, shapes);
console.log(comparisonTable(shapes, comparison.reports));
for (const line of failures(shapes, comparison.reports)) console.error(line);
console.log(
  'A training step of the layer in float32, host arrays in and out; ★ the fastest. error: the worst of a known case.',
);

title('The choice');
const [{ chosen }] = comparison.reports as [(typeof comparison.reports)[0]];
console.log(
  `${styleText('bold', chosen)}, for batches of ${shapeText(shapes[0])}. In your program: selectBackend of @batchnorm/select.`,
);

title(`A network learns handwritten digits on ${chosen}`);
try {
  await experiment(comparison.backend);
} catch (error) {
  console.error(`Failed: ${(error as Error).message}.`);
  process.exitCode = 1;
}
await comparison.backend.dispose();

await makeReportFolder(reportFolder);
const run = { date: new Date().toISOString(), machine, versions: { node: process.versions.node }, reports };
await writeReport(reportFolder, run);
title('Report');
console.log(`Every case: ${relative(process.cwd(), reportFolder)}/conformance.html`);
console.log(`Took ${((performance.now() - startedAt) / 1000).toFixed(0)} s.`);

function title(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}
