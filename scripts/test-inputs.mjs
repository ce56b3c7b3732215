// Before tests: writes down what decides which of them can run here, as an input of turbo's cache, which can't look for
// a browser, nor for MPI.
import { mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromiumPath } from '@batchnorm/browser';
import { glFolder } from './gl-folder.mjs';

/** A file as it is now: another version, compiled or installed later, has another time. */
function file(path) {
  const stat = path && statSync(path, { throwIfNoEntry: false });
  return stat ? { path: realpathSync(path), modified: stat.mtime } : null;
}

/** A program, where PATH has it. */
function program(name) {
  const folders = process.env.PATH?.split(delimiter) ?? [];
  return folders.map((folder) => file(join(folder, name))).find(Boolean) ?? null;
}

const onnxruntime = fileURLToPath(
  new URL('../examples/webgpu-interop/onnxruntime/node_modules/onnxruntime-web/package.json', import.meta.url),
);
const machine = {
  node: process.version,
  chromium: file(chromiumPath()),
  gl: file(join(glFolder, 'build/Release/webgl.node')),
  mpirun: program('mpirun'),
  onnxruntime: file(onnxruntime),
};
const folder = new URL('../.turbo/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('test-inputs.json', folder), `${JSON.stringify(machine, undefined, 2)}\n`);
