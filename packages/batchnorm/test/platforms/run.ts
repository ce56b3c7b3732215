// Runs the probe: in a page, a worker or a service worker of Chromium, under the headers that a server sends, and in
// runtimes.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { launchChromium } from '@batchnorm/browser';
import { build } from 'vite';
import type { Findings } from './probe.js';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export type Browser = Awaited<ReturnType<typeof launchChromium>>;

export type Headers = Readonly<Record<string, string>>;

/** Where in Chromium. */
export type Place = 'page' | 'worker' | 'service worker';

/** The probe's programs as files, one for each entry, without chunks: a service worker can't load any. */
export async function bundle(): Promise<{ readonly folder: string; [Symbol.dispose](): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'batchnorm-platforms-'));
  for (const [entry, isForNode] of Object.entries({ 'in-page': 0, 'in-worker': 0, threads: 0, 'in-runtime': 1 })) {
    await build({
      configFile: false,
      logLevel: 'error',
      ...(isForNode && { ssr: { noExternal: true, external: ['gl', 'webgpu'] } }),
      build: {
        ...{ outDir: folder, emptyOutDir: false, target: 'es2022', minify: false, ssr: Boolean(isForNode) },
        rollupOptions: {
          input: here(`${entry}.ts`),
          output: { entryFileNames: `${entry}.js`, codeSplitting: false },
        },
      },
    });
  }
  return { folder, [Symbol.dispose]: () => rmSync(folder, { recursive: true }) };
}

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' };
const pages: Readonly<Record<string, string>> = {
  '/page.html': '<!doctype html><script type="module" src="/in-page.js"></script>',
  '/empty.html': '<!doctype html>',
};

/** What the probe finds in `place`, where every response has these headers. */
export async function inChromium(browser: Browser, folder: string, place: Place, headers: Headers): Promise<Findings> {
  const server = createServer(({ url }, response) => {
    const path = url ?? '/';
    const type = types[extname(path)];
    if (type === undefined) response.writeHead(404).end();
    else
      response
        .writeHead(200, { 'Content-Type': type, ...headers })
        .end(pages[path] ?? readFileSync(join(folder, path)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const page = await browser.newPage();
  try {
    // Localhost is a secure context, which service workers and WebGPU need.
    await page.goto(`http://localhost:${port}/${place === 'page' ? 'page' : 'empty'}.html`);
    if (place === 'page') {
      await page.waitForFunction('globalThis.findings');
      return (await page.evaluate('globalThis.findings')) as Findings;
    }
    return await page.evaluate(async (isService: boolean) => {
      const options = { type: 'module' } as const;
      const url = '/in-worker.js';
      const start = async () => {
        if (!isService) return new Worker(url, options);
        await navigator.serviceWorker.register(url, options);
        return (await navigator.serviceWorker.ready).active!;
      };
      const { port1, port2 } = new MessageChannel();
      const answer = new Promise<Findings>((resolve) => {
        port1.onmessage = ({ data }) => resolve(data);
      });
      (await start()).postMessage('probe', [port2]);
      return answer;
    }, place === 'service worker');
  } finally {
    await page.close();
    server.closeAllConnections();
    server.close();
  }
}

/** What the probe finds in a runtime. Errors: what the process printed, where it ended with an error. */
export async function inRuntime(command: string, args: readonly string[], cwd: string): Promise<Findings> {
  const output = await new Promise<string>((resolve, reject) => {
    const options = { cwd, timeout: 100_000, env: { ...process.env, NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1' } };
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
      else resolve(stdout);
    });
  });
  return JSON.parse(output.trimEnd().split('\n').at(-1)!) as Findings;
}
