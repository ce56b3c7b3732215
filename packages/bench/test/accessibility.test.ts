// The report, for everybody: axe in both colour schemes, wide and narrow; and lines that are told apart without colours.
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { documentViolations } from '@batchnorm/browser/accessibility';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { parseHTML } from 'linkedom';
import { describe, expect, it } from 'vitest';
import { operations } from '../src/cases/case.js';
import { reportPage } from '../src/report/page.js';
import { recordOf } from './records.js';

const contenders = ['js', 'wasm-1', 'wasm-2', 'gpujs-cpu', 'pytorch-1'];
const records = ['2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z'].flatMap((run) =>
  operations.flatMap((operation) =>
    contenders.flatMap((contender) =>
      (['host', 'device'] as const).flatMap((memory) =>
        [1, 4, 16].map((factor) =>
          recordOf({ operation, contender, memory, run, shape: [256 * factor, 64], bytes: 131072 * factor }),
        ),
      ),
    ),
  ),
);
const page = reportPage(records, undefined);

describe('the report', () => {
  const path = chromiumPath();
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('has no accessibility violation', async () => {
    const browser = await launchChromium(path);
    try {
      expect(await documentViolations(browser, page)).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

it('says what each picture shows', () => {
  const { document } = parseHTML(page);
  for (const chart of document.querySelectorAll('svg')) {
    expect(chart.getAttribute('role')).toBe('img');
    expect(chart.getAttribute('aria-label')).toMatch(/^\S+.*: \w+/);
  }
});

it('draws no two lines of one colour with the same dashes, and labels each', () => {
  const { document } = parseHTML(page);
  const charts = [...document.querySelectorAll('svg')].map((chart) => {
    const lines = [...chart.querySelectorAll('g[fill=none][stroke^="#"]')];
    const texts = [...chart.querySelectorAll('text')].map((text) => text.textContent);
    return {
      texts,
      looks: lines.map((line) => `${line.getAttribute('stroke')} ${line.getAttribute('stroke-dasharray')}`),
    };
  });
  const drawn = charts.filter(({ looks }) => looks.length > 0);
  // Where there are lines: how far from the limit, of each operation; over commits, of each of three shapes, too.
  expect(drawn).toHaveLength(operations.length * (1 + 3));
  for (const { texts, looks } of drawn) {
    expect(new Set(looks).size).toBe(contenders.length * 2);
    for (const contender of contenders)
      expect(texts).toEqual(expect.arrayContaining([contender, `${contender} (device)`]));
  }
});
