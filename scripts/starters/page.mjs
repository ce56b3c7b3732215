// Pages in Chromium, which must work without a word of complaint.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import sirv from 'sirv';
import { chromiumMissing, chromiumPath, launchChromium } from '../../packages/browser/dist/chromium.js';

const path = chromiumPath();
const isRequired = (process.env.REQUIRE_BACKENDS ?? '').split(',').includes('js@chromium');
let browser;

/** Why no page is opened, or false. */
export const pagesAreSkipped = path === undefined && !isRequired && chromiumMissing;

/**
 * Opens `url`, and lets `look` see what it shows. Fails when the console has a warning or an error, or a request has
 * failed.
 */
export async function visit(url, look) {
  browser ??= launchChromium(path);
  const page = await (await browser).newPage();
  const complaints = [];
  page.on('console', (message) => /warning|error/.test(message.type()) && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(`${error}`));
  page.on(
    'response',
    (response) => response.status() >= 400 && complaints.push(`${response.status()}: ${response.url()}`),
  );
  try {
    await page.goto(url);
    await look(page).catch((error) => {
      throw complaints.length === 0 ? error : new AggregateError([error, ...complaints], complaints.join('\n'));
    });
    assert.deepEqual(complaints, []);
  } finally {
    await page.close();
  }
}

/** Waits until `selector` shows what `pattern` matches. */
export async function shows(page, selector, pattern) {
  const element = page.locator(selector);
  await element
    .filter({ hasText: pattern })
    .waitFor()
    .catch(async () => {
      assert.fail(`${selector} shows “${await element.textContent()}”, expected ${pattern}`);
    });
}

/** Serves a folder, as any static server does and with no header of its own, while `look(url)` runs. */
export async function serveFolder(folder, look) {
  const server = createServer(sirv(folder)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await look(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

export async function closeBrowser() {
  await (await browser)?.close();
}
