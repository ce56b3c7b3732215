// Whether everybody can use a page: axe, in both colour schemes and in wide and narrow windows.
import axe from 'axe-core';
import type { Browser, Page } from 'playwright';

/** What axe finds wrong with the page as it is now: a line for each rule, with the elements. */
export async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    return (await axe.run()).violations;
  });
  return found.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`);
}

/**
 * What is wrong with a document of HTML, with all its details open: axe's violations, and what is wider than a window of
 * 360 or 1280 pixels.
 */
export async function documentViolations(browser: Browser, html: string): Promise<string[]> {
  const found: string[] = [];
  for (const colorScheme of ['light', 'dark'] as const) {
    const page = await browser.newPage({ colorScheme });
    await page.setContent(html);
    await page.evaluate(() => {
      for (const details of document.querySelectorAll('details')) details.open = true;
    });
    for (const width of [360, 1280]) {
      await page.setViewportSize({ width, height: 800 });
      const { scrollWidth, clientWidth } = await page.evaluate(() => {
        const { scrollWidth, clientWidth } = document.documentElement;
        return { scrollWidth, clientWidth };
      });
      if (scrollWidth > clientWidth) found.push(`${width} pixels: ${scrollWidth - clientWidth} too wide`);
      found.push(...(await violations(page)).map((line) => `${colorScheme}, ${width} pixels: ${line}`));
    }
    await page.close();
  }
  return found;
}
