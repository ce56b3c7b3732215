// Where Chromium is, and how it is started: one place for tests, commands and examples.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import type { Browser } from 'playwright';

const names = ['chromium', 'chromium-browser', 'google-chrome'];

/** Why nothing runs in Chromium here. */
export const chromiumMissing: string = `no Chromium found: CHROMIUM_PATH is not set, and PATH has no ${names.join(', ')}`;

/** The environment variable CHROMIUM_PATH, else the first Chromium on PATH, else undefined. */
export function chromiumPath(): string | undefined {
  return process.env.CHROMIUM_PATH || onPath();
}

function onPath(): string | undefined {
  const folders = process.env.PATH?.split(delimiter) ?? [];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Chromium sends no requests of its own, and has WebGPU without a GPU, too (SwiftShader). No sandbox: in containers it runs
 * as root.
 */
export const launchArguments: readonly string[] = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-unsafe-swiftshader',
];

/** With these arguments Chromium has neither WebGL nor a WebGPU adapter, whatever the machine has. */
export const withoutGpu: readonly string[] = ['--disable-gpu', '--disable-software-rasterizer'];

/** With these response headers a page is cross-origin isolated, and may share memory with its worker threads. */
export const isolationHeaders: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** Starts Chromium without a window. `more`: arguments after those that it always gets. */
export async function launchChromium(executablePath: string, more: readonly string[] = []): Promise<Browser> {
  const { chromium } = await import('playwright');
  return chromium.launch({ executablePath, args: [...launchArguments, ...more] });
}
