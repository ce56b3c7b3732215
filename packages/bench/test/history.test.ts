// A history is only appended to, in whole lines, and can be read whatever happened to it.
import { appendFile, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { appendToHistory, readHistory } from '../src/history/history-file.js';
import { runCommand } from './command.js';
import { recordOf } from './records.js';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-history-'));
  file = join(folder, 'deep/history.ndjson');
});

describe('a history', () => {
  it('gives back what was appended, run after run', async () => {
    const records = [recordOf(), recordOf({ contender: 'wasm-2' }), recordOf({ run: '2026-02-02T00:00:00.000Z' })];
    appendToHistory(file, records.slice(0, 2));
    appendToHistory(file, records.slice(2));
    expect(await readHistory(file)).toEqual({ records, malformed: [] });
    expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(4);
  });

  it('loses a torn line, and nothing that comes after it', async () => {
    appendToHistory(file, [recordOf()]);
    await appendFile(file, JSON.stringify(recordOf()).slice(0, 40));
    appendToHistory(file, [recordOf({ contender: 'wasm-1' })]);
    const { records, malformed } = await readHistory(file);
    expect(records.map(({ contender }) => contender)).toEqual(['js', 'wasm-1']);
    expect(malformed).toEqual([2]);
  });

  it('leaves out lines of another schema', async () => {
    appendToHistory(file, [recordOf(), { ...recordOf(), schema: 99 as 1 }]);
    expect(await readHistory(file)).toMatchObject({ records: [{ schema: 1 }], malformed: [2] });
  });
});

describe('pnpm bench, interrupted', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('by %s leaves a history of whole records', async (signal) => {
    const args = ['--backend', 'js', '--op', 'forward-training', '--shape', '8x4,16x4,512x512', '--history', file];
    let interrupted = false;
    const { code, output } = await runCommand('bench', folder, args, (text, kill) => {
      // The first table is there, so its records are; the next setting is under way.
      if (interrupted || !text.includes('8×4, float32')) return;
      interrupted = true;
      kill(signal);
    });
    expect(code).toBe(130);
    expect(output).toContain('interrupted');
    const { records, malformed } = await readHistory(file);
    expect(malformed).toEqual([]);
    expect(records.length).toBeGreaterThan(0);
    expect(records.length).toBeLessThan(3);
    expect((await readFile(file, 'utf8')).endsWith('\n')).toBe(true);
  });
});
