// `pnpm build:gl`: compiles gl, with which gpu.js reaches a GPU from Node (mode 'headlessgl'). About 2 minutes; see
// CONTRIBUTING.md.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { glFolder as folder } from './gl-folder.mjs';

/** In a process of its own: a module compiled for another Node can take it down. */
const loads = () => spawnSync(process.execPath, ['-e', `require(${JSON.stringify(folder)})`]).status === 0;

if (loads()) {
  console.log(`gl is compiled for this Node: ${folder}`);
} else {
  // Node's own headers, where they were installed with it; else node-gyp downloads them.
  const prefix = join(dirname(process.execPath), '..');
  const headers = existsSync(join(prefix, 'include/node/node.h')) ? [`--nodedir=${prefix}`] : [];
  const nodeGyp = createRequire(join(folder, 'package.json')).resolve('node-gyp/bin/node-gyp.js');
  execFileSync(process.execPath, [nodeGyp, 'rebuild', '--jobs=max', ...headers], { cwd: folder, stdio: 'inherit' });
  if (!loads()) throw new Error(`gl was compiled, but does not load: ${folder}`);
}
