// Contenders in Chromium: the page of this package, served from this machine and driven by Playwright. Each contender
// has a page of its own.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isolationHeaders, launchChromium } from '@batchnorm/browser';
import type { Browser, Page, Route } from 'playwright';
import { type PreviewServer, preview } from 'vite';
import { addressOfPeers } from '../contenders/peers/in-page.js';
import type { Sampling } from '../timing/clock.js';
import type { PageGlobals } from './page.js';
import { type Preparation, qualified, type Request, type Runner, unqualified } from './runner.js';

export class ChromiumRunner implements Runner {
  readonly platform = 'chromium';
  readonly #server: PreviewServer;
  readonly #browser: Browser;
  readonly #pages: Map<string, Page> = new Map();

  private constructor(server: PreviewServer, browser: Browser) {
    this.#server = server;
    this.#browser = browser;
  }

  /** Rejects when Chromium does not start. */
  static async start(executablePath: string): Promise<ChromiumRunner> {
    const browser = await launchChromium(executablePath);
    const server = await preview({
      root: fileURLToPath(new URL('../..', import.meta.url)),
      preview: { host: 'localhost', headers: { ...isolationHeaders } },
      logLevel: 'silent',
    });
    return new ChromiumRunner(server, browser);
  }

  get version(): string {
    return this.#browser.version();
  }

  async prepare(request: Request): Promise<Preparation> {
    const page = await this.#browser.newPage();
    await page.route(`**${addressOfPeers}**`, servePeers);
    this.#pages.set(request.contender, page);
    try {
      await page.goto(this.#server.resolvedUrls!.local[0]!);
      await page.waitForFunction(() => 'batchNormBench' in globalThis);
      const found = await page.evaluate(
        (asked) => (globalThis as unknown as PageGlobals).batchNormBench.prepare(asked),
        request,
      );
      return qualified(request.contender, found);
    } catch (error) {
      return { failed: (error as Error).message.split('\n')[0]! };
    }
  }

  sample(id: string, sampling: Sampling): Promise<readonly number[]> {
    const [contender, idThere] = unqualified(id);
    return this.#pages
      .get(contender)!
      .evaluate(([id, sampling]) => (globalThis as unknown as PageGlobals).batchNormBench.sample(id, sampling), [
        idThere,
        sampling,
      ] as const);
  }

  async release(): Promise<void> {
    const pages = [...this.#pages.values()];
    this.#pages.clear();
    for (const page of pages) await page.close();
  }

  async close(): Promise<void> {
    await this.#browser.close();
    await this.#server.close();
  }
}

const installedPeers = new URL('../../peers/node_modules/', import.meta.url);

/** A file of the peers, which are no part of the page's bundle. */
function servePeers(route: Route): Promise<void> {
  const [, name] = new URL(route.request().url()).pathname.split(addressOfPeers);
  const path = fileURLToPath(new URL(name!, installedPeers));
  return route.fulfill(existsSync(path) ? { path } : { status: 404 });
}
