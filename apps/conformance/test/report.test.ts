// What `--report` writes: three files, into a folder that it makes, and nothing where that can't be.
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Group, runsOf, suite } from '@batchnorm/conformance';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './command.js';
import { golden } from './golden.js';

/** An attribute that makes a browser ask for something; text with an escaped quote is none. */
const requested = /\s(src|srcset|href)\s*=\s*["']?(?!["']|data:|&#34;)/i;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-report-'));
});

const conformance = (...args: readonly string[]) =>
  runCommand(folder, ['--backend', 'js', '--quick', '--dtype', 'float32', ...args]);

describe('pnpm conformance --report', () => {
  it('writes the three files into a folder that it makes', async () => {
    expect(await conformance('--report', 'deep/report')).toMatchObject({ code: 0 });
    const read = (name: string) => readFile(join(folder, 'deep/report', name), 'utf8');
    expect(JSON.parse(await read('conformance.json'))).toMatchObject({ formatVersion: 3, failed: 0 });
    const groups = new Set<Group>(runsOf(suite, ['float32']).map(({ one }) => one.group));
    const cells = [...groups].map(() => '\\d+ pass[^|]*').join(' \\| ');
    expect(await read('conformance.md')).toMatch(new RegExp(`^\\| js \\| node \\| ${cells} \\|`, 'm'));
    const page = await read('conformance.html');
    expect(page).not.toMatch(requested);
    for (const group of groups) expect(page).toContain(`${group}</`);
  });

  it('exits with 2 before anything runs when the folder can not be made', async () => {
    await writeFile(join(folder, 'file'), '');
    const { code, output } = await conformance('--report', 'file/report');
    expect(output).toMatch(/^error: can't write the report: .*file/m);
    expect(output).not.toContain('js in node');
    expect(code).toBe(2);
  });

  it('exits with 2 when a file can not be written', async () => {
    await writeFile(join(folder, 'right.json'), JSON.stringify(golden([4, 6, 4, 6])));
    const { code, output } = await conformance('--fixtures', '.', '--json', 'absent/out.json');
    expect(output).toMatch(/^error: can't write the report: .*absent/m);
    expect(code).toBe(2);
    await expect(stat(join(folder, 'absent'))).rejects.toThrow();
  });
});
