// Finding Chromium: the variable first, then PATH.
import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { chromiumPath } from '../src/chromium.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'chromium-'));
  vi.stubEnv('CHROMIUM_PATH', undefined);
  vi.stubEnv('PATH', ['absent', folder].join(delimiter));
});
afterEach(() => vi.unstubAllEnvs());

async function install(name: string, mode = 0o755): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, '');
  await chmod(path, mode);
  return path;
}

it('finds none where there is none', () => {
  expect(chromiumPath()).toBeUndefined();
});

it('finds the first of its names on PATH', async () => {
  const chrome = await install('google-chrome');
  expect(chromiumPath()).toBe(chrome);
  const chromium = await install('chromium');
  expect(chromiumPath()).toBe(chromium);
});

it('takes no file that cannot be executed', async () => {
  await install('chromium', 0o644);
  expect(chromiumPath()).toBeUndefined();
});

it('prefers CHROMIUM_PATH', async () => {
  await install('chromium');
  vi.stubEnv('CHROMIUM_PATH', '/elsewhere/chromium');
  expect(chromiumPath()).toBe('/elsewhere/chromium');
});
