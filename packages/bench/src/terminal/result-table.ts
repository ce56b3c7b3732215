// What `pnpm bench` prints: a table for each setting.
import { digitsText, intervalText, percentText, right, shapeText } from '@batchnorm/reporting';
import { textTable } from '@batchnorm/reporting/terminal';
import { nameOfContender } from '../cases/case.js';
import type { HistoryRecord } from '../history/record.js';
import type { Interval } from '../timing/statistics.js';

export interface Row {
  readonly record: HistoryRecord;
  /** How many times as fast as its counterpart it is; undefined without one. */
  readonly speedup: Interval | undefined;
}

/** `against`: what contenders are compared with, the head of the last column; undefined without that column. */
export function resultTable(rows: readonly Row[], against: string | undefined): string {
  const columns = [
    ...['operation', 'backend', 'memory'],
    ...['µs', 'GB/s', 'of limit', 'first, ms', 'ulp', '÷ reference'].map(right),
    ...(against === undefined ? [] : [right(`× ${against}`)]),
  ];
  const cells = rows.map(({ record, speedup }, index) => [
    record.operation === rows[index - 1]?.record.operation ? '' : record.operation,
    nameOfContender(record),
    record.memory,
    intervalText(record.seconds, 1e6),
    digitsText(record.gigabytesPerSecond),
    percentText(record.shareOfLimit.median),
    digitsText(record.first * 1e3),
    digitsText(record.error.ulps),
    digitsText(record.ratioToReference.median),
    ...(against === undefined ? [] : [speedup ? intervalText(speedup) : '']),
  ]);
  const { shape, dtype } = rows[0]!.record;
  return `${shapeText(shape)}, ${dtype}\n${textTable(columns, cells, { keys: 3 })}`;
}

export const legend: string =
  'µs: per call, median over rounds; in brackets its 95 % interval. GB/s: bytes\n' +
  'that must move. of limit: the time of a copy that moves as many bytes, on one\n' +
  'thread of this machine, as a share of the time. memory: host, arrays in and\n' +
  'out; device, activations stay there; readback, in on the device and out to\n' +
  'arrays. first: the first call, with what it compiles. ulp: the largest error\n' +
  'against the float64 oracle. ÷ reference: over the fixed reference case of the\n' +
  'same rounds.';
