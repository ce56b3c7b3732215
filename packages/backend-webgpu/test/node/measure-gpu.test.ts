// The script that measures a GPU, kept ready for one: it runs on whatever adapter there is, and writes what it promises.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { describeHere } from '../here.js';

interface Measured {
  readonly operation?: string;
  readonly pass?: string;
  readonly microseconds: readonly number[];
  readonly ofCopy?: number;
}

await describeHere(() => {
  it('each operation and each pass has times, and its share of a copy', () => {
    const folder = mkdtempSync(join(tmpdir(), 'measure-gpu-'));
    try {
      const [script, file] = [
        fileURLToPath(new URL('../../scripts/measure-gpu.mjs', import.meta.url)),
        join(folder, 'a'),
      ];
      const output = execFileSync(process.execPath, [script, '--shape', '256x64', '--json', file], {
        encoding: 'utf8',
      });
      const { results } = JSON.parse(readFileSync(file, 'utf8')) as { readonly results: readonly Measured[] };
      expect(output).toMatch(/256×64 .*forward-training .*% of a copy/);
      const operations = results.flatMap(({ operation }) => operation ?? []);
      expect(operations).toEqual(['copy', 'forward-training', 'backward', 'forward-inference']);
      const passes = results.flatMap(({ pass }) => pass ?? []);
      if (passes.length > 0) expect(passes).toHaveLength(10);
      for (const { microseconds } of results) {
        expect(microseconds.length).toBeGreaterThan(0);
        expect(microseconds.every((time) => time >= 0)).toBe(true);
      }
      expect(results.filter(({ ofCopy }) => ofCopy! > 0).length).toBeGreaterThanOrEqual(operations.length);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
