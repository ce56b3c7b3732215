// Runs a compiled program in a page of Chromium, whose imports Vite resolves.
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isolationHeaders, launchChromium } from '@batchnorm/browser';
import { createServer } from 'vite';
import type { Ended } from './run.js';

const root = fileURLToPath(new URL('..', import.meta.url));

/** `chromium`: where it is. Status 1: what the program throws ends the output. */
export async function runInChromium(file: string, chromium: string): Promise<Ended> {
  const server = await createServer({
    root,
    configFile: false,
    logLevel: 'silent',
    appType: 'custom',
    server: { host: 'localhost', port: 0, headers: { ...isolationHeaders }, hmr: false, fs: { strict: false } },
    // A dependency that is found later would load the page again.
    optimizeDeps: { noDiscovery: true },
    plugins: [
      {
        name: 'empty-page',
        configureServer: ({ middlewares }) => {
          middlewares.use('/empty', (_, response) => {
            response.setHeader('Content-Type', 'text/html').end('<!doctype html><link rel="icon" href="data:,">');
          });
        },
      },
    ],
  });
  await server.listen();
  const browser = await launchChromium(chromium);
  try {
    const address = server.resolvedUrls!.local[0]!;
    const page = await browser.newPage();
    let output = '';
    page.on('console', (message) => {
      output += `${message.text()}\n`;
    });
    await page.goto(`${address}empty`);
    // As text: a test runner replaces `import` in functions.
    const module = JSON.stringify(`/${relative(root, file)}`);
    const error = await page.evaluate<string | undefined>(
      `import(${module}).then(() => undefined, (error) => String(error?.stack ?? error))`,
    );
    return error === undefined ? { status: 0, output } : { status: 1, output: output + error };
  } finally {
    await browser.close();
    await server.close();
  }
}
