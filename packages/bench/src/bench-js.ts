// The JavaScript backend beside the straightforward loops, in one run.
import { product } from '@batchnorm/core-api';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { formatSpread } from './format.js';
import { baseline, type Implementation, implementationsOf } from './implementations.js';
import { problemOf } from './problem.js';
import { type Case, type Rounds, type Spread, speedup, spreadOf, time } from './timing.js';
import { verify } from './verify.js';

const shapes: readonly (readonly number[])[] = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [4096, 512],
  [32, 64, 28, 28],
];
const operations = ['forward', 'backward'] as const;

export interface JsRow {
  readonly shape: readonly number[];
  readonly operation: (typeof operations)[number];
  readonly implementation: string;
  readonly microseconds: Spread;
  readonly nanosecondsPerElement: number;
  /** Over the baseline, where there is one for this shape. */
  readonly speedup: Spread | null;
}

type TimedCase = Case & Pick<JsRow, 'shape' | 'operation' | 'implementation'>;

/** Prints a table. Errors: an `Error` when a result is wrong. */
export async function benchJs(timing: { readonly rounds: number; readonly sampleTime: number }): Promise<JsRow[]> {
  const cases: TimedCase[] = [];
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

  const rows = cases.map((one, index) => {
    const reference = cases.findIndex(
      ({ implementation, shape, operation }) =>
        implementation === baseline && shape === one.shape && operation === one.operation,
    );
    return rowOf(one, times[index]!, times[reference]);
  });
  console.log(`\n${tableOf(rows)}`);
  console.log('Medians over rounds; in brackets the range of eight rounds in ten. The ratio is taken round by round.');
  return rows;
}

function caseOf(shape: readonly number[], implementation: Implementation, operation: JsRow['operation']): TimedCase {
  const name = `${implementation.name} ${operation} [${shape}]`;
  return { name, shape, operation, implementation: implementation.name, run: () => implementation[operation]() };
}

function rowOf({ shape, operation, implementation }: TimedCase, seconds: Rounds, reference: Rounds | undefined): JsRow {
  return {
    shape,
    operation,
    implementation,
    microseconds: spreadOf(seconds.map((s) => s * 1e6)),
    nanosecondsPerElement: (spreadOf(seconds).median * 1e9) / product(shape),
    speedup: reference === undefined ? null : speedup(reference, seconds),
  };
}

function tableOf(rows: readonly JsRow[]): string {
  const table = new Table({
    head: ['shape', 'operation', 'implementation', 'µs', 'ns per element', `× ${baseline}`],
    colAligns: ['left', 'left', 'left', 'right', 'right', 'right'],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  for (const row of rows) {
    table.push([
      row.shape.join('×'),
      row.operation,
      row.implementation,
      formatSpread(row.microseconds, 1),
      row.nanosecondsPerElement.toFixed(2),
      row.speedup === null || row.implementation === baseline ? '' : formatSpread(row.speedup, 2),
    ]);
  }
  return table.toString();
}
