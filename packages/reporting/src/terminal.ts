// Tables for terminals.
import Table from 'cli-table3';
import { type Column, formatOf } from './table.js';

/** A table with lines between columns, and none between rows. Cells may have several lines, and colours. */
export function textTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const formats = columns.map(formatOf);
  const table = new Table({
    head: formats.map(({ head }) => head),
    colAligns: formats.map(({ right = false }) => (right ? 'right' : 'left')),
    colWidths: formats.map(({ width = null }) => width),
    wordWrap: true,
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  table.push(...rows.map((cells) => [...cells]));
  return table.toString();
}
