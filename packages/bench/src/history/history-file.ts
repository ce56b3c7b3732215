// A history: NDJSON, one line per case, only ever appended to.
import { appendFileSync, closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type HistoryRecord, schema } from './record.js';

/**
 * Appends whole lines in one synchronous write: no signal handler runs in the middle of it. A last line that something
 * else left unfinished gets its newline first, so that it is the only one that can't be read.
 *
 * Errors: those of the file system.
 */
export function appendToHistory(path: string, records: readonly HistoryRecord[]): void {
  if (records.length === 0) return;
  mkdirSync(dirname(path), { recursive: true });
  const lines = records.map((record) => `${JSON.stringify(record)}\n`).join('');
  appendFileSync(path, endsInLine(path) ? `\n${lines}` : lines);
}

export interface History {
  readonly records: readonly HistoryRecord[];
  /** The numbers of lines that are no records of this schema. */
  readonly malformed: readonly number[];
}

/** Errors: those of the file system. */
export async function readHistory(path: string): Promise<History> {
  const records: HistoryRecord[] = [];
  const malformed: number[] = [];
  for (const [index, line] of (await readFile(path, 'utf8')).split('\n').entries()) {
    if (line.trim() === '') continue;
    const record = parse(line);
    if (record) records.push(record);
    else malformed.push(index + 1);
  }
  return { records, malformed };
}

function parse(line: string): HistoryRecord | undefined {
  try {
    const record = JSON.parse(line) as HistoryRecord;
    return record.schema === schema ? record : undefined;
  } catch {
    return undefined;
  }
}

/** Whether the file ends within a line. */
function endsInLine(path: string): boolean {
  if (!existsSync(path)) return false;
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    if (size === 0) return false;
    const last = Buffer.alloc(1);
    readSync(file, last, 0, 1, size - 1);
    return last.toString() !== '\n';
  } finally {
    closeSync(file);
  }
}
