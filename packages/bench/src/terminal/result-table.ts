// What `pnpm bench` prints: a table for each setting.
import Table from 'cli-table3';
import { nameOfContender, nameOfShape } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import type { Interval } from '../timing/statistics.js';
import { formatInterval, formatNumber, formatPercent } from './format.js';

export interface Row {
  readonly record: HistoryRecord;
  /** How many times as fast as what it is compared with, where there is that. */
  readonly speedup: Interval | undefined;
}

/** `against`: the heading of the last column, if there is one. */
export function resultTable(rows: readonly Row[], against: string | undefined): string {
  const table = new Table({
    head: [
      'operation',
      'backend',
      'memory',
      'µs',
      'GB/s',
      'of limit',
      'first, ms',
      'ulp',
      '÷ reference',
      ...(against === undefined ? [] : [`× ${against}`]),
    ],
    colAligns: ['left', 'left', 'left', ...new Array<'right'>(7).fill('right')],
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  let operation = '';
  for (const { record, speedup } of rows) {
    table.push([
      record.operation === operation ? '' : record.operation,
      nameOfContender(record),
      record.memory,
      formatInterval(record.seconds, 1e6),
      formatNumber(record.gigabytesPerSecond),
      formatPercent(record.shareOfLimit.median),
      formatNumber(record.first * 1e3),
      formatNumber(record.error.ulps),
      formatNumber(record.ratioToReference.median),
      ...(against === undefined ? [] : [speedup ? formatInterval(speedup) : '']),
    ]);
    operation = record.operation;
  }
  const { shape, dtype } = rows[0]!.record;
  return `${nameOfShape(shape)}, ${dtype}\n${table}`;
}

export const legend: string =
  'µs: per call, median over rounds; in brackets its 95 % interval. GB/s: bytes that must move. of limit: the time of a copy that moves\n' +
  'as many bytes, on one thread of this machine, as a share of the time. memory: host, arrays in and out; device, activations stay there;\n' +
  'readback, in on the device and out to arrays. first: the first call, with what it compiles. ulp: the largest error against the float64\n' +
  'oracle. ÷ reference: over the fixed reference case of the same rounds.';
