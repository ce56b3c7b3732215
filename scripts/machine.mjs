// `pnpm machine`: what this machine can run and what not, and why: every backend on every platform, and what commands
// and examples need beside them, each with the line that installs what is missing (on Debian).
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { ConformanceBrowser } from '../apps/conformance/dist/browser.js';
import { chromiumMissing, chromiumPath } from '../packages/browser/dist/chromium.js';
import { backends, createBackend } from '../packages/catalogue/dist/backends.js';
import { parseFixtureFile, runBackend } from '../packages/conformance/dist/index.js';
import { executionText } from '../packages/reporting/dist/index.js';
import { textTable } from '../packages/reporting/dist/terminal.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Whether it runs is whether it computes this: x = ±1 has mean 0 and variance 1, and epsilon 3 makes xHat = ±1/2. */
const oneCase = {
  dtypes: ['float32'],
  fixtures: [
    parseFixtureFile('one.json', {
      format: 2,
      cases: [
        {
          name: 'one',
          options: { numFeatures: 1, epsilon: 3 },
          steps: [
            {
              training: true,
              x: { shape: [2, 1], data: [-1, 1] },
              y: { shape: [2, 1], data: [-0.5, 0.5] },
            },
          ],
        },
      ],
    }),
  ],
};

const install = {
  chromium: 'apt-get install chromium, or CHROMIUM_PATH=…',
  vulkan:
    'a driver of your GPU, or by software: apt-get install chromium libvulkan1; ' +
    'VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json pnpm …',
  gl:
    'apt-get install python3 make g++ pkg-config libxi-dev libxext-dev libx11-dev libgl1-mesa-dev libgl1-mesa-dri ' +
    'xvfb xauth; pnpm build:gl; xvfb-run -a -s "-ac -screen 0 1280x1024x24" pnpm …',
  mpi: 'apt-get install --no-install-recommends openmpi-bin',
  pytorch: 'apt-get install python3-torch',
  numpy: 'apt-get install python3-numpy',
  onnxruntime: 'pnpm --filter @batchnorm/example-webgpu-interop install:onnxruntime',
  peers: 'pnpm bench:peers',
  modules: 'pnpm install',
};

/** What a backend lacks where it does not run: { name: line }. Of the others nothing can be missing but a browser. */
const inNode = { webgpu: install.vulkan, 'gpujs-headlessgl': install.gl };

console.log(
  `${process.platform} ${process.arch}, ${cpus().length} × ${cpus()[0]?.model.trim()}, ` +
    `${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.versions.node}\n${gpus()}\n`,
);
print('backend', [...(await backendsInNode()), ...(await backendsInChromium())]);
print('beside them', [
  program('MPI', 'mpirun', ['--version'], install.mpi, 'collective-mpi, data-parallel, parquet-moments'),
  program(
    'PyTorch',
    'python3',
    ['-c', 'import torch; print("PyTorch", torch.__version__)'],
    install.pytorch,
    'bench --peers',
  ),
  program(
    'NumPy',
    'python3',
    ['-c', 'import numpy; print("NumPy", numpy.__version__)'],
    install.numpy,
    'bench --peers',
  ),
  program(
    'Deno',
    here('../packages/backend-webgpu/node_modules/.bin/deno'),
    ['--version'],
    install.modules,
    'the kit on webgpu in Deno',
  ),
  folder(
    'ONNX Runtime Web',
    '../examples/webgpu-interop/onnxruntime/node_modules',
    install.onnxruntime,
    'webgpu-interop',
  ),
  folder('tfjs, ONNX Runtime', '../packages/bench/peers/node_modules', install.peers, 'bench --peers'),
]);

/** A row: [what, whether it is there, on what it runs or why it does not, how to get it]. */
function row(what, found, missing) {
  return found.ok
    ? [what, styleText('green', 'yes'), found.text, '']
    : [what, styleText('yellow', 'no'), found.text, missing ?? ''];
}

function print(head, rows) {
  console.log(
    `${textTable([head, 'runs', { head: 'on what, or why not', width: 60 }, { head: 'to get it', width: 50 }], rows)}\n`,
  );
}

function outcome({ execution, unavailable, error, results }) {
  if (unavailable !== null) return { ok: false, text: unavailable };
  if (error !== null) return { ok: false, text: error.split('\n')[0] };
  const wrong = results.find(({ status }) => status === 'failed');
  if (wrong) return { ok: false, text: `computes wrong: ${wrong.messages[0]}` };
  const { fallbackReason } = execution;
  return {
    ok: true,
    text: `${executionText(execution)}${fallbackReason === null ? '' : `; fell back: ${fallbackReason}`}`,
  };
}

async function backendsInNode() {
  const rows = [];
  for (const [name, { platforms }] of Object.entries(backends)) {
    if (!platforms.includes('node')) continue;
    rows.push(row(name, outcome(await runBackend(name, 'node', () => createBackend(name), oneCase)), inNode[name]));
  }
  return rows;
}

async function backendsInChromium() {
  const names = Object.keys(backends).filter((name) => backends[name].platforms.includes('chromium'));
  const none = (text) => names.map((name) => row(`${name}@chromium`, { ok: false, text }, install.chromium));
  const path = chromiumPath();
  if (path === undefined) return none(chromiumMissing);
  let browser;
  try {
    browser = await ConformanceBrowser.start(path);
  } catch (error) {
    return none(`${path} does not start: ${error.message.split('\n')[0]}`);
  }
  try {
    const rows = [];
    for (const backend of names) {
      const report = await browser.run({ backend, quick: true, ...oneCase }, () => {});
      rows.push(row(`${backend}@chromium`, outcome(report), 'a GPU driver, or a Chromium that draws by software'));
    }
    return rows;
  } finally {
    await browser.close();
  }
}

/** A program that answers; its first line says which version. */
function program(what, command, args, missing, purpose) {
  const { status, stdout, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 30_000 });
  const ok = status === 0;
  const why = error?.code === 'ENOENT' ? `there is no ${command}` : `${command} does not have it`;
  return row(what, { ok, text: `${ok ? stdout.split('\n')[0] : why}; for ${purpose}` }, missing);
}

function folder(what, path, missing, purpose) {
  const ok = existsSync(here(path));
  return row(what, { ok, text: `${ok ? 'installed' : 'not installed'}; for ${purpose}` }, missing);
}

/** What draws: devices of the kernel's, Vulkan's drivers, a screen. */
function gpus() {
  const list = (path, pattern) => (existsSync(path) ? readdirSync(path).filter((name) => pattern.test(name)) : []);
  const devices = [...list('/dev/dri', /^render/), ...list('/dev', /^nvidia\d/)];
  const drivers = [
    process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES ?? '',
    ...list('/usr/share/vulkan/icd.d', /\.json$/),
  ];
  const shown = (names, none) => names.filter(Boolean).join(', ') || none;
  return [
    `GPUs: ${shown(devices, 'none; WebGPU and OpenGL draw by software, if at all')}`,
    `Vulkan drivers: ${shown(drivers, 'none')}`,
    `screen: ${process.env.DISPLAY ?? 'none'}`,
  ].join('\n');
}
