// The comparison in Chromium: the page of this package, served from this machine and driven by Playwright.
import { fileURLToPath } from 'node:url';
import { isolationHeaders, launchChromium } from '@batchnorm/browser';
import type { Browser } from 'playwright';
import { type PreviewServer, preview } from 'vite';
import type { Comparison, Request } from './compare.js';
import type { PageGlobals } from './page.js';

/** A running Chromium, and the server of its page. */
export class BenchBrowser {
  readonly #server: PreviewServer;
  readonly #browser: Browser;

  private constructor(server: PreviewServer, browser: Browser) {
    this.#server = server;
    this.#browser = browser;
  }

  /** Rejects when Chromium does not start. */
  static async start(executablePath: string): Promise<BenchBrowser> {
    const browser = await launchChromium(executablePath);
    const server = await preview({
      root: fileURLToPath(new URL('../..', import.meta.url)),
      preview: { host: 'localhost', headers: { ...isolationHeaders } },
      logLevel: 'silent',
    });
    return new BenchBrowser(server, browser);
  }

  /** Compares in a page of its own. Rejects with what goes wrong there. */
  async compare(request: Request): Promise<Comparison | { unavailable: string }> {
    const page = await this.#browser.newPage();
    try {
      await page.goto(this.#server.resolvedUrls!.local[0]!);
      await page.waitForFunction(() => 'batchNormBench' in globalThis);
      return await page.evaluate((asked) => (globalThis as unknown as PageGlobals).batchNormBench(asked), request);
    } finally {
      await page.close();
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}
