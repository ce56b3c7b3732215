// `pnpm test:starters`: what people copy and paste, starters/ and the first lines of each README, with the packages from
// a registry. Needs the npm registry for everything else.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { closeBrowser } from './page.mjs';
import { testReadmes } from './readmes.mjs';
import { startRegistry } from './registry.mjs';
import { testStarters } from './starters.mjs';

const folder = mkdtempSync(join(tmpdir(), 'batchnorm-starters-'));
const registry = await startRegistry(folder);

after(async () => {
  await closeBrowser();
  registry.stop();
  rmSync(folder, { recursive: true, force: true });
});

testReadmes(registry.url, folder);
testStarters(registry.url, folder);
