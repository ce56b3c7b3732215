// The built page on a static file server, in a folder of it, with the isolation headers or without.
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isolationHeaders } from '@batchnorm/browser';

const built = fileURLToPath(new URL('../dist', import.meta.url));
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
};

export interface Site {
  /** Where the page is. */
  readonly address: string;
  close(): Promise<void>;
}

export interface SiteOptions {
  readonly isolated?: boolean;
  /** Runs in each worker before anything of the page does: a test's stand-in for a device that misbehaves. */
  readonly inWorker?: () => void;
}

export async function serveSite({ isolated = true, inWorker }: SiteOptions = {}): Promise<Site> {
  const root = await mkdtemp(join(tmpdir(), 'page-'));
  await cp(built, join(root, 'any/folder'), { recursive: true });
  if (inWorker) await prepend(join(root, 'any/folder/assets'), `(${inWorker})();\n`);
  const server = createServer(async ({ url = '/' }, response) => {
    const path = normalize(decodeURIComponent(new URL(url, 'http://localhost').pathname));
    const file = join(root, path.endsWith('/') ? `${path}index.html` : path);
    try {
      const content = await readFile(file);
      const headers = {
        'Content-Type': types[extname(file)] ?? 'application/octet-stream',
        ...(isolated && isolationHeaders),
      };
      response.writeHead(200, headers).end(content);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
  return {
    address: `http://localhost:${(server.address() as AddressInfo).port}/any/folder/`,
    close: async () => {
      await closed(server);
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function prepend(folder: string, code: string): Promise<void> {
  const file = (await readdir(folder)).find((name) => /^worker-.*\.js$/.test(name));
  const path = join(folder, file!);
  await writeFile(path, code + (await readFile(path, 'utf8')));
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}
