// What goes wrong inside the page comes back as a message.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { runsOf, suite } from '@batchnorm/conformance';
import { describe, expect, it } from 'vitest';
import { ConformanceBrowser } from '../src/browser.js';

const path = chromiumPath();

describe('ConformanceBrowser', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('reports an error of the page, and runs the next backend', async () => {
    const browser = await ConformanceBrowser.start(path);
    try {
      const [wrong, right] = [
        await browser.run({ backend: 'nonsense', dtypes: ['float64'], quick: true }, () => {}),
        await browser.run({ backend: 'js', dtypes: ['float64'], quick: true }, () => {}),
      ];
      expect(browser.version).toMatch(/^\d+\./);
      expect(wrong).toMatchObject({ backend: 'nonsense', platform: 'chromium', results: [] });
      expect(wrong.error).toMatch(/TypeError/);
      expect(right).toMatchObject({ backend: 'js', platform: 'chromium', error: null });
      expect(right.results).toHaveLength(runsOf(suite, ['float64']).length);
    } finally {
      await browser.close();
    }
  });
});
