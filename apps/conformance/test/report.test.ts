// What `--report` writes: three files that say the same, and a page that needs nothing else.
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CaseResult } from '@batchnorm/conformance';
import { beforeEach, describe, expect, it } from 'vitest';
import { htmlReport } from '../src/report-html.js';
import { jsonReport } from '../src/report-json.js';
import { markdownReport } from '../src/report-markdown.js';
import type { BackendReport } from '../src/run-backend.js';
import type { Run } from '../src/run-summary.js';
import { runCommand } from './command.js';
import { golden } from './golden.js';

const passed: CaseResult = {
  group: 'golden',
  source: 'a.json',
  name: 'a case',
  dtype: 'float32',
  status: 'passed',
  worst: 0.25,
  ulps: 1.5,
  where: 'step 1 y',
  messages: [],
};
const evil = `<script src="https://example.org/x.js">alert('|')</script> & **bold**`;
const failed: CaseResult = {
  ...passed,
  group: 'behaviour',
  source: 'behaviour',
  name: evil,
  status: 'failed',
  worst: Number.POSITIVE_INFINITY,
  ulps: Number.POSITIVE_INFINITY,
  messages: [`line ${evil}`],
};
const skipped: CaseResult = { ...passed, group: 'exact', status: 'skipped', worst: 0, ulps: 0, messages: ['no need'] };

const ran: BackendReport = {
  backend: 'mine',
  platform: 'node',
  execution: {
    engine: 'Loops',
    device: 'cpu',
    threads: 3,
    accumulation: { float32: 'float32' },
    fallbackReason: 'no <SIMD>',
  },
  unavailable: null,
  error: null,
  results: [passed, skipped, failed],
};
const absent: BackendReport = { ...ran, platform: 'chromium', execution: null, unavailable: 'no GPU', results: [] };
const broken: BackendReport = { ...absent, backend: 'theirs', unavailable: null, error: `crashed ${evil}\nat once` };

/** An attribute that makes a browser ask for something; text with an escaped quote is none. */
const requested = /\s(src|srcset|href)\s*=\s*["']?(?!["']|data:|&#34;)/i;

const run: Run = {
  date: '2026-01-02T03:04:05.678Z',
  machine: 'linux x64',
  versions: { node: '20.19.0', chromium: '143.0.1' },
  reports: [ran, absent, broken],
};

describe('JSON report', () => {
  it('has a version, the platform, the counts and every result; what has no finite measure is null', () => {
    expect(JSON.parse(jsonReport(run))).toEqual({
      formatVersion: 2,
      date: run.date,
      platform: { machine: 'linux x64', node: '20.19.0', chromium: '143.0.1' },
      passed: 1,
      failed: 1,
      skipped: 1,
      backends: [{ ...ran, results: [passed, skipped, { ...failed, worst: null, ulps: null }] }, absent, broken],
    });
  });
});

describe('HTML report', () => {
  const page = htmlReport(run);

  it('asks nobody for anything', () => {
    expect(page).not.toMatch(requested);
    expect(page).not.toMatch(/@import|url\(|<script/i);
  });

  it('escapes names, messages and errors', () => {
    expect(page).not.toContain('<script');
    expect(page).not.toContain('<SIMD>');
    expect(page.match(/&#60;script src=&#34;https:/g)!.length).toBeGreaterThanOrEqual(3);
  });

  it('has a row for each backend and platform, and a cell for each group', () => {
    const matrix = /<table class="matrix">.*?<\/table>/s.exec(page)![0];
    expect(matrix.match(/<th scope="row">/g)).toHaveLength(3);
    expect(matrix).toMatch(/cell passed.*golden.*✓ 1 pass.*0\.2500 × bound.*float32 1\.50 ulp/s);
    expect(matrix).toMatch(/cell skipped.*exact.*– 1 skip/s);
    expect(matrix).toMatch(/cell failed.*behaviour.*✗ 1 FAIL.*∞ × bound/s);
    expect(matrix).toMatch(/– not run.*no GPU/s);
    expect(matrix).toMatch(/✗ FAIL.*crashed/s);
  });

  it('shows a looser arithmetic and a fallback', () => {
    expect(page).toContain('⚠ sums in float32');
    expect(page).toContain('⚠ fell back: no &#60;SIMD&#62;');
    expect(page).toMatch(/<dt>threads<\/dt><dd>3<\/dd>/);
  });

  it('opens the cases of what failed, and only of that', () => {
    expect(page.match(/<details open>/g)).toHaveLength(2);
    expect(page.match(/<details>/g)).toHaveLength(1);
  });
});

describe('Markdown report', () => {
  const text = markdownReport(run);

  it('has a row for each backend and platform, with a cell for each group', () => {
    const rows = text.split('\n').filter((line) => line.startsWith('|'));
    expect(rows[0]).toBe(
      '| backend | platform | golden | exact | behaviour | worst ÷ bound | where | max ulp | runs on |',
    );
    expect(rows).toHaveLength(2 + 3);
    expect(rows[2]).toContain('| mine | node | 1 pass | 1 skip | 1 FAIL | ∞ |');
    expect(rows[3]).toContain('not run: no GPU');
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(10);
  });

  it('lists failures and skips, as plain text', () => {
    expect(text).toContain('- mine node: float32 behaviour \\<script');
    expect(text).toContain('- mine node: 1 skipped: no need (float32 a.json a case)');
    expect(text).toMatch(/- theirs chromium: crashed .*at once/);
    expect(text).not.toMatch(/(?<!\\)<|(?<!\\)\*/);
  });
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-report-'));
});

const conformance = (...args: readonly string[]) =>
  runCommand(folder, ['--backend', 'js', '--dtype', 'float32', ...args]);

describe('pnpm conformance --report', () => {
  it('writes the three files into a folder that it makes', async () => {
    expect(await conformance('--report', 'deep/report')).toMatchObject({ code: 0 });
    const read = (name: string) => readFile(join(folder, 'deep/report', name), 'utf8');
    expect(JSON.parse(await read('conformance.json'))).toMatchObject({ formatVersion: 2, failed: 0 });
    expect(await read('conformance.md')).toMatch(/^\| js \| node \| \d+ pass \| \d+ pass \| \d+ pass \| \d+ pass \|/m);
    const page = await read('conformance.html');
    expect(page).not.toMatch(requested);
    for (const group of ['golden', 'exact', 'adversarial', 'behaviour']) expect(page).toContain(`${group}</`);
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
