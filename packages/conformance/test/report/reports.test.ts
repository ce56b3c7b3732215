// The reports: three texts that say the same, and a page that needs nothing else.
import { describe, expect, it } from 'vitest';
import { type CaseResult, countsOf } from '../../src/index.js';
import type { BackendReport } from '../../src/report/backend-report.js';
import { htmlReport } from '../../src/report/report-html.js';
import { jsonReport } from '../../src/report/report-json.js';
import { markdownReport } from '../../src/report/report-markdown.js';
import type { Run } from '../../src/report/run-summary.js';
import { passed } from './passed.js';

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

const refused: CaseResult = { ...skipped, name: 'too wide', status: 'refused', code: 'LIMIT_EXCEEDED', messages: [] };

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
  results: [passed, skipped, refused, failed],
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

const oneOfEach = { passed: 1, failed: 1, refused: 1, skipped: 1 };

describe('JSON report', () => {
  it('has a version, the platform, the counts and every result; what has no finite measure is null', () => {
    expect(JSON.parse(jsonReport(run))).toEqual({
      formatVersion: 3,
      date: run.date,
      platform: { machine: 'linux x64', node: '20.19.0', chromium: '143.0.1' },
      ...oneOfEach,
      backends: [
        {
          ...ran,
          ...oneOfEach,
          holes: [],
          results: [passed, skipped, refused, { ...failed, worst: null, ulps: null }],
        },
        { ...absent, ...countsOf([]), holes: [] },
        { ...broken, ...countsOf([]), holes: [] },
      ],
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
    const overview = /<table class="overview">.*?<\/table>/s.exec(page)![0];
    expect(overview.match(/<th scope="row">/g)).toHaveLength(3);
    expect(overview).toMatch(/cell passed.*golden.*✓ 1 pass.*0\.2500 × bound.*float32 1\.50 ulp/s);
    expect(overview).toMatch(/cell refused.*exact.*⊘ 1 refused <span class="codes">LIMIT_EXCEEDED<.*– 1 skip/s);
    expect(overview).toMatch(/cell failed.*behaviour.*✗ 1 FAIL.*∞ × bound/s);
    expect(overview).toMatch(/– not run.*no GPU/s);
    expect(overview).toMatch(/✗ FAIL.*crashed/s);
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
    expect(rows[2]).toContain('| mine | node | 1 pass | 1 refused LIMIT\\_EXCEEDED, 1 skip | 1 FAIL | ∞ |');
    expect(rows[3]).toContain('not run: no GPU');
    for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(10);
  });

  it('has four numbers', () => {
    expect(text).toContain('\n1 passed, 1 failed, 1 refused (LIMIT\\_EXCEEDED), 1 skipped\n');
  });

  it('lists failures, refusals and skips, as plain text', () => {
    expect(text).toContain('- mine node: 1 refused: LIMIT\\_EXCEEDED (float32 a.json too wide)');
    expect(text).toContain('- mine node: float32 behaviour \\<script');
    expect(text).toContain('- mine node: 1 skipped: no need (float32 a.json a case)');
    expect(text).toMatch(/- theirs chromium: crashed .*at once/);
    expect(text).not.toMatch(/(?<!\\)<|(?<!\\)\*/);
  });
});
