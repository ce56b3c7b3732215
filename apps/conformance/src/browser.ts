// Backends in Chromium: the page of this package, served from this machine and driven by Playwright.
import { fileURLToPath } from 'node:url';
import { isolationHeaders, launchChromium } from '@batchnorm/browser';
import { type BackendReport, type CaseResult, nothing } from '@batchnorm/conformance';
import type { Browser } from 'playwright';
import { type PreviewServer, preview } from 'vite';
import type { PageGlobals, PageRequest } from './page.js';

/** A running Chromium, and the server of its page. */
export class ConformanceBrowser {
  readonly #server: PreviewServer;
  readonly #browser: Browser;

  private constructor(server: PreviewServer, browser: Browser) {
    this.#server = server;
    this.#browser = browser;
  }

  /** Rejects when Chromium does not start. */
  static async start(executablePath: string): Promise<ConformanceBrowser> {
    const browser = await launchChromium(executablePath);
    const server = await preview({
      root: fileURLToPath(new URL('..', import.meta.url)),
      preview: { host: 'localhost', headers: { ...isolationHeaders } },
      logLevel: 'silent',
    });
    return new ConformanceBrowser(server, browser);
  }

  get version(): string {
    return this.#browser.version();
  }

  /** Runs one backend in a page of its own. Does not reject: what goes wrong in the page is in the report. */
  async run(request: PageRequest, onProgress: (status: CaseResult['status']) => void): Promise<BackendReport> {
    const page = await this.#browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(String(error.stack ?? error)));
    page.on('crash', () => errors.push('the page crashed'));
    try {
      await page.exposeFunction('onProgress', onProgress);
      await page.goto(this.#server.resolvedUrls!.local[0]!);
      await page.waitForFunction(() => 'batchNormConformance' in globalThis);
      const report = await page.evaluate(
        (asked) => (globalThis as unknown as PageGlobals).batchNormConformance(asked),
        request,
      );
      return errors.length === 0 ? report : { ...report, error: errors.join('\n') };
    } catch (error) {
      return { ...nothing(request.backend, 'chromium'), error: [String(error), ...errors].join('\n') };
    } finally {
      await page.close();
    }
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}
