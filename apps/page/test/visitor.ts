// A visitor: a page in Chromium, and a record of what should not happen in it.
import type { Browser, Page } from 'playwright';
import { backendNames, backends } from '../src/backends.js';

/** Those that need what a browser without a GPU may lack. */
export const gpuBackends = backendNames.filter((name) => backends[name].needs.length > 0);

export interface Visitor {
  readonly page: Page;
  /** Errors of the page and of the console, and responses that are none. */
  readonly problems: string[];
  /** Hosts that were asked for something. */
  readonly hosts: Set<string>;
  /** Milliseconds of every long task of the main thread since the page was loaded. */
  longTasks(): Promise<number[]>;
  /** Presses the button and waits until the visit has ended. */
  measure(): Promise<void>;
}

export async function visit(
  browser: Browser,
  address: string,
  options: Parameters<Browser['newPage']>[0] = {},
): Promise<Visitor> {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(120_000);
  const [problems, hosts] = [[] as string[], new Set<string>()];
  page.on('pageerror', (error) => problems.push(String(error.stack ?? error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  page.on('response', (response) => response.ok() || problems.push(`${response.status()} ${response.url()}`));
  page.on('request', (request) => hosts.add(new URL(request.url()).host));
  await page.addInitScript(() => {
    const tasks: number[] = [];
    Object.assign(globalThis, { longTasks: tasks });
    new PerformanceObserver((list) => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({
      type: 'longtask',
      buffered: true,
    });
  });
  await page.goto(address);
  await page.getByRole('heading', { level: 1 }).waitFor();
  return {
    page,
    problems,
    hosts,
    longTasks: () => page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks),
    measure: async () => {
      await page.getByRole('button', { name: /^Measure/ }).click();
      await page.locator('.progress[data-state=done]').waitFor({ timeout: 0 });
    },
  };
}

/** The row of a backend in the table of what is here. */
export function rowOf(page: Page, backend: string) {
  return page.locator(`.backends tr[data-backend="${backend}"]`);
}

/** The results of the kit on a backend. */
export function kitOf(page: Page, backend: string) {
  return page.locator(`.kit[data-backend="${backend}"]`);
}
