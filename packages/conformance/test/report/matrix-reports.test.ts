// How every report shows the matrix of behaviours, and a hole in it above all.
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { CaseResult } from '../../src/index.js';
import { type BackendReport, nothing } from '../../src/report/backend-report.js';
import { columns } from '../../src/report/matrix.js';
import { htmlReport } from '../../src/report/report-html.js';
import { jsonReport } from '../../src/report/report-json.js';
import { markdownReport } from '../../src/report/report-markdown.js';
import { matrixTable, messageLines } from '../../src/report/report-terminal.js';
import type { Run } from '../../src/report/run-summary.js';
import { verdictOf } from '../../src/report/verdict.js';
import { resultAt, rules, wholeMatrix } from './made-up-results.js';

const reportOf = (backend: string, results: readonly CaseResult[]): BackendReport => ({
  ...nothing(backend, 'node'),
  results,
});
const runOf = (...reports: readonly BackendReport[]): Run => ({ date: '', machine: '', versions: {}, reports });

const explained = reportOf(
  'explained',
  wholeMatrix(({ memory, layout, rule }) =>
    memory === 'device'
      ? { status: 'refused', code: 'UNSUPPORTED' }
      : layout === 'runs' && rule === rules[1]
        ? { status: 'skipped', messages: ['it has no <runs>'] }
        : {},
  ),
);
const holey = reportOf(
  'holey',
  wholeMatrix(({ memory, layout, size }, dtype) =>
    memory === 'host' && layout === 'rows' && size === 'blocks' && dtype === 'float32'
      ? null
      : size === 'small'
        ? { status: 'failed', messages: ['y: is not x'] }
        : {},
  ),
);
const absent = { ...nothing('absent', 'chromium'), unavailable: 'no GPU' };
const reports = [explained, holey, absent];

describe('the verdict', () => {
  it('is that all is well, where each place passed or says why not', () => {
    expect(verdictOf([explained, absent])).toEqual({ ok: true, lines: [] });
  });

  it('is no for a hole, even where no case failed', () => {
    const whole = reportOf('whole', wholeMatrix());
    const [, ...rest] = whole.results;
    expect(verdictOf([whole])).toEqual({ ok: true, lines: [] });
    expect(verdictOf([whole, reportOf('almost', rest)])).toEqual({
      ok: false,
      lines: ['HOLES in the matrix of behaviours: 1; no case covers them, and nothing says why'],
    });
  });

  it('is no for a failure, an error, and a required backend that did not run', () => {
    const [first] = wholeMatrix();
    expect(verdictOf([reportOf('wrong', [{ ...first!, status: 'failed', cell: null }])]).ok).toBe(false);
    expect(verdictOf([{ ...nothing('broken', 'node'), error: 'crashed' }]).ok).toBe(false);
    expect(verdictOf([absent], () => true)).toEqual({
      ok: false,
      lines: ['absent@chromium is required, and could not run here'],
    });
  });
});

describe('JSON report', () => {
  it('lists the holes of each backend', () => {
    const { backends } = JSON.parse(jsonReport(runOf(...reports)));
    expect(backends[0].holes).toEqual([]);
    expect(backends[1].holes).toEqual(
      rules.map((rule) => ({
        rule,
        memory: 'host',
        layout: 'rows',
        size: 'blocks',
        dtype: 'float32',
        note: 'no case covers it',
      })),
    );
    expect(backends[2].holes).toEqual([]);
  });
});

describe('HTML report', () => {
  const page = htmlReport(runOf(...reports));
  const matrices = [...page.matchAll(/<table class="matrix">.*?<\/table>/gs)].map(([text]) => text);

  it('has a matrix for each backend that ran, and in it a row for each rule and dtype', () => {
    expect(matrices).toHaveLength(2);
    for (const matrix of matrices) {
      expect(matrix.match(/<th scope="rowgroup"/g)).toHaveLength(rules.length);
      expect(matrix.match(/<td /g)).toHaveLength(rules.length * 2 * columns.length);
    }
  });

  it('marks each place with its sign, and says in footnotes what did not simply pass', () => {
    expect(matrices[0]!.match(/<td class="passed" [^>]*>✓<\/td>/g)).toHaveLength(48);
    expect(matrices[0]!.match(/<td class="refused" [^>]*>⊘<sup>1<\/sup><\/td>/g)).toHaveLength(32);
    expect(matrices[0]!.match(/<td class="skipped" [^>]*>–<sup>2<\/sup><\/td>/g)).toHaveLength(16);
    expect(page).toContain('<li>32 refused: UNSUPPORTED (device)</li>');
    expect(page).toContain(
      '<li>16 skipped: it has no &#60;runs&#62; (out receives the results, host and allocated, runs)</li>',
    );
    expect(matrices[1]).toMatch(/<td class="failed" [^>]*>✗ FAIL<sup>2<\/sup><\/td>/);
  });

  it('raises the alarm over a hole, and opens its matrix', () => {
    expect(matrices[1]!.match(/<td class="hole" [^>]*>HOLE<sup>1<\/sup><\/td>/g)).toHaveLength(rules.length);
    expect(page).toMatch(/<p class="alarm">HOLES: 2\. /);
    expect(page).toMatch(/<details open>\s*<summary><b>holey<\/b>.*<span class="badge hole">2 HOLE</);
    expect(page).toMatch(/<details>\s*<summary><b>explained<\/b>/);
    expect(htmlReport(runOf(explained))).not.toContain('class="alarm"');
  });

  it('has none where no case has a place in it', () => {
    expect(htmlReport(runOf(reportOf('golden', [resultAt(null, 'float32')])))).not.toContain('Behaviours');
  });
});

describe('Markdown report', () => {
  const text = markdownReport(runOf(...reports));

  it('has a closed table for each backend that ran, and in it a row for each rule and dtype', () => {
    const tables = [...text.matchAll(/<details>.*?<\/details>/gs)].map(([table]) => table);
    expect(tables).toHaveLength(2);
    for (const table of tables) {
      const rows = table.split('\n').filter((line) => line.startsWith('|'));
      expect(rows).toHaveLength(2 + rules.length * 2);
      for (const row of rows) expect(row.match(/(?<!\\)\|/g)).toHaveLength(2 + columns.length + 1);
    }
    expect(tables[0]).toContain('<summary>explained node: 48 ✓, 32 ⊘, 16 –</summary>');
    expect(tables[0]).toContain('⊘ <sup>1</sup>');
    expect(tables[0]).toContain('1. 32 refused: UNSUPPORTED (device)');
    expect(tables[1]).toContain('| HOLE <sup>1</sup> |');
    expect(tables[1]).toContain('1. 2 HOLE: no case covers it (host, rows, blocks, float32)');
  });

  it('has none where no case has a place in it', () => {
    expect(markdownReport(runOf(reportOf('golden', [resultAt(null, 'float32')])))).not.toContain('Behaviours');
  });
});

describe('terminal', () => {
  it('counts the places of each memory and size', () => {
    const table = stripVTControlCharacters(matrixTable(reports));
    // In each of three kinds of memory, four sizes.
    expect(table).toMatch(/explained +│ node +│( +6 ✓ │){8}( +8 ⊘ │){4}\n/);
    expect(table).toMatch(/│ +2 – │ +2 – │ +2 – │ +2 – │/);
    expect(table).toMatch(/2 HOLE/);
    expect(table).not.toContain('absent');
    expect(matrixTable([reportOf('golden', [resultAt(null, 'float32')])])).toBe('');
  });

  it('says what of the matrix did not pass, where and why', () => {
    expect(messageLines([explained, absent])).toEqual([
      'explained node: 32 refused: UNSUPPORTED (device)',
      'explained node: 16 skipped: it has no <runs> (out receives the results, host and allocated, runs)',
    ]);
    expect(messageLines([holey]).at(-1)).toMatch(/2 HOLE: no case covers it \(host, rows, blocks, float32\)/);
    expect(messageLines([holey])[0]).toMatch(/: y: is not x$/);
  });
});
