// `pnpm bench`: how fast the JavaScript backend is, beside the straightforward loops, in one run.

import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { product } from '@batchnorm/core-api';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { Command } from 'commander';
import { baseline, type Implementation, implementationsOf } from './implementations.js';
import { problemOf } from './problem.js';
import { type Rounds, type Spread, speedup, spreadOf, time } from './timing.js';
import { verify } from './verify.js';

const shapes = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [4096, 512],
  [32, 64, 28, 28],
];
const operations = ['forward', 'backward'] as const;

interface Row {
  readonly shape: readonly number[];
  readonly operation: (typeof operations)[number];
  readonly implementation: string;
  readonly microseconds: Spread;
  readonly nanosecondsPerElement: number;
  /** Over the baseline, where there is one for this shape. */
  readonly speedup: Spread | null;
}

const { quick, json } = new Command('bench')
  .description('Times training forward and backward in float32, into buffers that are reused, in interleaved rounds.')
  .option('--quick', 'fewer rounds')
  .option('--json <file>', 'write the results there, too')
  .allowExcessArguments(false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts<{ quick?: true; json?: string }>();

const timing = quick ? { rounds: 5, sampleTime: 0.01 } : { rounds: 15, sampleTime: 0.02 };

const cases: ReturnType<typeof caseOf>[] = [];
for (const shape of shapes) {
  const problem = problemOf(shape);
  const implementations = await implementationsOf(problem);
  for (const implementation of implementations) await verify(implementation, problem);
  for (const operation of operations) {
    cases.push(...implementations.map((implementation) => caseOf(shape, implementation, operation)));
  }
}

const bar = new SingleBar({
  format: '{bar}  {value} of {total} timings',
  barsize: 30,
  noTTYOutput: true,
  gracefulExit: false,
});
bar.start(cases.length * timing.rounds, 0);
const times = await time('training in float32', cases, { ...timing, onProgress: (done) => bar.update(done) });
bar.stop();

const rows = cases.map((_, index) => rowOf(index));
console.log(`\n${tableOf(rows)}`);
console.log('Medians over rounds; in brackets the range of eight rounds in ten. The ratio is taken round by round.');
if (json !== undefined) {
  await writeFile(
    resolve(process.env.INIT_CWD ?? '', json),
    `${JSON.stringify({ formatVersion: 1, rows }, null, 2)}\n`,
  );
}

function caseOf(shape: readonly number[], implementation: Implementation, operation: Row['operation']) {
  const name = `${implementation.name} ${operation} [${shape}]`;
  return { name, shape, operation, implementation: implementation.name, run: () => implementation[operation]() };
}

function rowOf(index: number): Row {
  const { shape, operation, implementation } = cases[index]!;
  const reference = cases.findIndex(
    (other) => other.implementation === baseline && other.shape === shape && other.operation === operation,
  );
  const seconds = times[index] as Rounds;
  return {
    shape,
    operation,
    implementation,
    microseconds: spreadOf(seconds.map((s) => s * 1e6)),
    nanosecondsPerElement: (spreadOf(seconds).median * 1e9) / product(shape),
    speedup: reference < 0 ? null : speedup(times[reference] as Rounds, seconds),
  };
}

function tableOf(rows: readonly Row[]): string {
  const table = new Table({
    head: ['shape', 'operation', 'implementation', 'µs', 'ns per element', `× ${baseline}`],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  const format = ({ median, low, high }: Spread, digits: number) =>
    `${median.toFixed(digits)} [${low.toFixed(digits)}, ${high.toFixed(digits)}]`;
  for (const row of rows) {
    table.push([
      row.shape.join('×'),
      row.operation,
      row.implementation,
      format(row.microseconds, 1),
      row.nanosecondsPerElement.toFixed(2),
      row.speedup === null || row.implementation === baseline ? '' : format(row.speedup, 2),
    ]);
  }
  return table.toString();
}
