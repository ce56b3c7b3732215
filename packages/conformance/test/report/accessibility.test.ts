// The HTML report, for everybody: axe in both colour schemes, wide and narrow.
import { chromiumMissing, chromiumPath, launchChromium } from '@batchnorm/browser';
import { documentViolations } from '@batchnorm/browser/accessibility';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import * as core from '@batchnorm/core-api';
import { describe, expect, it } from 'vitest';
import { groups, type Status } from '../../src/index.js';
import { type BackendReport, nothing } from '../../src/report/backend-report.js';
import { htmlReport } from '../../src/report/report-html.js';
import { createPlainBackend } from '../plain-backend.js';
import { resultAt, wholeMatrix } from './made-up-results.js';

const path = chromiumPath();

describe('the HTML report', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('has no accessibility violation, whatever it has to say', async () => {
    const browser = await launchChromium(path);
    try {
      expect(await documentViolations(browser, htmlReport(runOfAllKinds()))).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

/** Backends of which one passed, one has each outcome in each group and holes, one is absent, and one broke. */
function runOfAllKinds() {
  const statuses: readonly Status[] = ['passed', 'failed', 'refused', 'skipped'];
  const each = groups.flatMap((group) =>
    statuses.map((status) =>
      resultAt(null, 'float32', {
        ...{ group, status, worst: status === 'failed' ? Number.POSITIVE_INFINITY : 0.25, ulps: 1.5 },
        ...{
          code: status === 'refused' ? 'UNSUPPORTED' : null,
          messages: status === 'passed' ? [] : ['why'.repeat(99)],
        },
      }),
    ),
  );
  const holey = wholeMatrix(({ memory, size }) => (memory === 'host' && size === 'blocks' ? null : {}));
  const { execution } = createPlainBackend(core);
  const reports: BackendReport[] = [
    { ...nothing('plain', 'node'), execution, results: wholeMatrix() },
    {
      ...nothing('a-backend-with-a-long-name', 'chromium'),
      execution: { ...execution, fallbackReason: 'no threads' },
      results: [...each, ...holey],
    },
    { ...nothing('absent', 'node'), unavailable: 'no device' },
    { ...nothing('broken', 'node'), error: `Error: out of luck\n    at ${'far'.repeat(60)}` },
  ];
  return { date: '2026-01-02T03:04:05.678Z', machine: 'linux x64', versions: { node: '20.19.0' }, reports };
}
