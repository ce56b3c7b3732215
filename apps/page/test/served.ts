// What a suite needs that looks at the page: the page on a server, and a Chromium.
import { launchChromium } from '@batchnorm/browser';
import type { Browser } from 'playwright';
import { afterAll, beforeAll } from 'vitest';
import { type Site, serveSite } from './site.js';

export interface Served {
  readonly site: Site;
  readonly browser: Browser;
}

/** Called in a suite: both are there in its tests, and are closed after them. */
export function served(chromium: string): Served {
  let site: Site;
  let browser: Browser;
  beforeAll(async () => {
    site = await serveSite();
    browser = await launchChromium(chromium);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
  });
  return {
    get site() {
      return site;
    },
    get browser() {
      return browser;
    },
  };
}
