// Tables for terminals, no wider than these.
import { stripVTControlCharacters } from 'node:util';
import Table from 'cli-table3';
import { type Column, type ColumnFormat, formatOf } from './table.js';

/** How a table may be broken up where it is wider than the terminal. */
export interface TableLayout {
  /** In characters. Default: that of the terminal; where stdout is none, lines may be of any length. */
  readonly width?: number;
  /** How many columns say what a row is about: those that are repeated where the others need several tables. Default 1. */
  readonly keys?: number;
}

type Row = readonly string[];

/**
 * A table with lines between columns, and none between rows. Cells may have several lines, and colours. What is too wide
 * gets other line breaks; then it becomes several tables, below each other, each with the first columns; and then, or
 * where there is one row alone, a list: a line for each cell, with its head before it.
 */
export function textTable(
  columns: readonly Column[],
  rows: readonly Row[],
  { width = process.stdout.columns ?? Number.POSITIVE_INFINITY, keys = 1 }: TableLayout = {},
): string {
  const formats = columns.map(formatOf);
  const whole = formats.map((_, index) => index);
  const fits = (chosen: readonly number[]) => total(leastWidths(formats, rows), chosen) <= width;
  const draw = (chosen: readonly number[]) =>
    drawn(
      pick(formats, chosen),
      rows.map((row) => pick(row, chosen)),
      width,
    );
  if (fits(whole)) return draw(whole);
  const [key, values] = [whole.slice(0, keys), whole.slice(keys)];
  if (rows.length === 1 || !values.every((value) => fits([...key, value]))) return list(formats, rows, width);
  return parts(key, values, fits).map(draw).join('\n');
}

function pick<T>(values: readonly T[], chosen: readonly number[]): T[] {
  return chosen.map((index) => values[index]!);
}

/** As many values beside the keys as fit, then the next ones. */
function parts(keys: readonly number[], values: readonly number[], fits: (chosen: number[]) => boolean): number[][] {
  const found: number[][] = [];
  for (const value of values) {
    const last = found.at(-1);
    if (last && fits([...last, value])) last.push(value);
    else found.push([...keys, value]);
  }
  return found;
}

/** A line for each cell that is not empty, and an empty one between rows. */
function list(formats: readonly ColumnFormat[], rows: readonly Row[], width: number): string {
  const indent = Math.max(...formats.map(({ head }) => lengthOf(oneLine(head)))) + 2;
  return rows
    .map((row) => {
      const cells = formats.map(({ head }, index) => [oneLine(head), row[index]!.replaceAll('\n', ', ')]);
      const table = new Table({
        colWidths: [indent, Math.max(1, width - indent)],
        wordWrap: true,
        style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0 },
        chars: Object.fromEntries(edges.map((edge) => [edge, ''])),
      });
      table.push(...cells.filter(([, text]) => text !== '').map((cell) => [...cell]));
      return table.toString().replaceAll(/ +$/gm, '');
    })
    .join('\n\n');
}

const oneLine = (text: string) => text.replaceAll('\n', ' ');

// biome-ignore format: as cli-table3 lists them
const edges = [
  'top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right',
  'left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle',
] as const;

function drawn(formats: readonly ColumnFormat[], rows: readonly Row[], width: number): string {
  const table = new Table({
    head: formats.map(({ head }) => head),
    colAligns: formats.map(({ right = false }) => (right ? 'right' : 'left')),
    colWidths: widthsWithin(formats, rows, width),
    wordWrap: true,
    style: { head: [], border: [] },
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
  });
  table.push(...rows.map((cells) => [...cells]));
  return table.toString();
}

/** What a column needs beside its text: a space on either side. */
const padding = 2;

/** The width of a table whose columns are so wide, with the lines between them. */
function total(widths: readonly number[], chosen: readonly number[] = widths.map((_, index) => index)): number {
  return chosen.reduce((sum, index) => sum + widths[index]! + 1, 1);
}

/** As wide as the texts are, or as the format says; where that is too much, the widest columns give way first. */
function widthsWithin(formats: readonly ColumnFormat[], rows: readonly Row[], width: number): number[] {
  const least = leastWidths(formats, rows);
  const widths = widthsOf(formats, rows, (text) => text.split('\n')).map((longest, column) =>
    Math.max(least[column]!, Math.min(longest, formats[column]!.width ?? longest)),
  );
  while (total(widths) > width) {
    const [widest] = widths
      .map((_, column) => column)
      .filter((column) => widths[column]! > least[column]!)
      .sort((a, b) => widths[b]! - widths[a]!);
    if (widest === undefined) break;
    widths[widest]!--;
  }
  return widths;
}

/** Those with which no word is broken. Numbers, with their units and intervals, have one line. */
function leastWidths(formats: readonly ColumnFormat[], rows: readonly Row[]): number[] {
  return widthsOf(formats, rows, (text, { right = false }) => text.split(right ? '\n' : /\s+/));
}

function widthsOf(
  formats: readonly ColumnFormat[],
  rows: readonly Row[],
  piecesOf: (text: string, format: ColumnFormat) => readonly string[],
): number[] {
  return formats.map((format, column) => {
    const texts = [format.head, ...rows.map((row) => row[column]!)];
    return Math.max(...texts.flatMap((text) => piecesOf(text, format)).map(lengthOf)) + padding;
  });
}

function lengthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
