// The command as its users run it: exit codes, the table, the JSON file.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { beforeEach, describe, expect, it } from 'vitest';

const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

interface Run {
  readonly code: number;
  readonly output: string;
}

function conformance(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  return new Promise((resolve) => {
    const options = { cwd: folder, env: { ...process.env, INIT_CWD: folder, NO_COLOR: '1', ...env } };
    execFile(process.execPath, [main, ...args], options, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

/** One training step whose results are known: x = ±1 has mean 0 and variance 1. */
function golden(y: readonly number[]) {
  const array = (...data: number[]) => ({ shape: [data.length, 1], data });
  const vector = (value: number) => ({ shape: [1], data: [value] });
  const step = { x: array(-1, 1, -1, 1), y: array(...y), runningMean: vector(0), runningVariance: vector(1) };
  const common = { numFeatures: 1, epsilon: 3, momentum: 0.9, gamma: vector(2), beta: vector(5) };
  return { format: 1, cases: [{ name: 'by hand', ...common, steps: [step] }] };
}

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-'));
});
const write = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));

interface Document {
  readonly backends: readonly {
    readonly backend: string;
    readonly platform: string;
    readonly unavailable: string | null;
    readonly results: readonly unknown[];
  }[];
}
const readJson = async (): Promise<Document> => JSON.parse(await readFile(join(folder, 'out.json'), 'utf8'));

describe('pnpm conformance', () => {
  it('passes every built-in case in both dtypes, and writes them as JSON', async () => {
    const { code, output } = await conformance(['--backend', 'js', '--json', 'out.json']);
    expect(output).toContain('30 cases passed, 0 failed, 0 skipped');
    expect(code).toBe(0);
    const report = await readJson();
    expect(report).toMatchObject({ formatVersion: 1, passed: 30, failed: 0, skipped: 0 });
    expect(report.backends[0]).toMatchObject({
      backend: 'js',
      platform: 'node',
      unavailable: null,
      error: null,
      execution: { engine: 'JavaScript', accumulation: 'float64' },
    });
    expect(report.backends[0]!.results[0]).toMatchObject({ name: 'example-32x10', dtype: 'float32', status: 'passed' });
  });

  it('runs one dtype only when asked', async () => {
    const { output } = await conformance(['--backend', 'js', '--dtype', 'float64']);
    expect(output).toContain('15 cases passed');
    expect(output).not.toContain('float32');
  });

  it('has one row for each backend, and says why one does not run in Node', async () => {
    const { output } = await conformance(['--dtype', 'float32', '--json', 'out.json'], { REQUIRE_BACKENDS: '' });
    const { backends } = await readJson();
    expect(backends.map(({ backend, platform }) => `${backend} ${platform}`)).toEqual(
      ['js', 'cpu', 'webasm', 'headlessgl', 'webgl', 'webgl2', 'webgpu'].map(
        (mode) => `${mode === 'js' ? '' : 'gpujs-'}${mode} node`,
      ),
    );
    for (const { backend, unavailable, results } of backends) {
      if (/webg/.test(backend)) expect(unavailable).toMatch(/\S/);
      expect(output).toMatch(new RegExp(`│ ${backend} +│ node +│ ${unavailable === null ? '' : 'skip'}`));
      expect(results).toHaveLength(unavailable === null ? 15 : 0);
    }
  });

  it('exits with 1 when a backend does not run that was asked for by name or by REQUIRE_BACKENDS', async () => {
    const message = 'gpujs-webgl is required, and could not run here';
    expect(await conformance(['--backend', 'gpujs-webgl'])).toMatchObject({
      code: 1,
      output: expect.stringContaining(message),
    });
    const required = await conformance(['--dtype', 'float64'], { REQUIRE_BACKENDS: 'js,gpujs-webgl' });
    expect(required).toMatchObject({ code: 1, output: expect.stringContaining(message) });
  });

  it('shows every case of every backend, and a row for each backend', async () => {
    const { output } = await conformance(['--backend', 'js', 'gpujs-cpu']);
    expect(output).toMatch(/float32 +│ seed-numpy.json +│ large-mean +│ pass 0\.\d{4} +│ pass 0\.\d{4}/);
    expect(output).toMatch(/float64 +│ pytorch.json +│ no-affine +│ pass 0\.\d{4} +│ pass refused/);
    expect(output).toMatch(/gpujs-cpu +│ node +│ 30 pass/);
  });

  it('--fixtures runs the files of a folder', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { code, output } = await conformance(['--backend', 'js', '--fixtures', '.']);
    expect(output).toContain('2 cases passed, 0 failed');
    expect(code).toBe(0);
  });

  it('exits with 1 when a result differs, and says where and by how much', async () => {
    await write('wrong.json', golden([4, 6, 4, 6.001]));
    const { code, output } = await conformance(['--backend', 'js', '--fixtures', '.']);
    expect(output).toMatch(/wrong.json by hand: step 1 y\[3\]: received 6, expected 6.001/);
    expect(output).toContain('0 cases passed, 2 failed');
    expect(code).toBe(1);
  });

  it('skips, visibly, a float32 run of inputs that float32 does not have', async () => {
    const file = golden([4, 6, 4, 6]);
    file.cases[0]!.steps[0]!.x.data = [-1.1, 1.1, -1.1, 1.1];
    await write('fine.json', file);
    const { output } = await conformance(['--backend', 'js', '--fixtures', '.', '--dtype', 'float32']);
    expect(output).toContain('its inputs are not float32 numbers');
    expect(output).toContain('0 cases passed, 0 failed, 1 skipped');
  });

  const malformed: Record<string, () => Promise<unknown>> = {
    'no JSON': () => write('broken.json', '{ "format": 1, '),
    'no cases': () => write('broken.json', { format: 1 }),
    'a shape that its data do not fill': () => write('broken.json', golden([4, 6, 4])),
  };
  for (const [name, make] of Object.entries(malformed)) {
    it(`exits with 2 and names a file of ${name}`, async () => {
      await make();
      const { code, output } = await conformance(['--backend', 'js', '--fixtures', '.']);
      expect(output).toMatch(/malformed fixtures: broken\.json.*: \S+/);
      expect(code).toBe(2);
    });
  }

  it('exits with 2 for a folder that is empty or absent', async () => {
    expect(await conformance(['--backend', 'js', '--fixtures', '.'])).toMatchObject({
      code: 2,
      output: expect.stringMatching(/no \*\.json/),
    });
    expect(await conformance(['--fixtures', 'absent'])).toMatchObject({
      code: 2,
      output: expect.stringMatching(/ENOENT/),
    });
  });

  it.each([['--backend', 'cuda'], ['--dtype', 'float16'], ['--nonsense'], ['stray']])(
    'exits with 2 for a bad flag: %s %s',
    async (...args) => {
      const { code, output } = await conformance(args.filter((arg) => typeof arg === 'string'));
      expect(output).toMatch(/error: /);
      expect(code).toBe(2);
    },
  );
});

describe('pnpm conformance --browser', () => {
  it('fails, and says why, where Chromium does not start', async () => {
    const { code, output } = await conformance(['--backend', 'js', '--browser', '--chromium', 'absent']);
    expect(output).toMatch(/js chromium: \S.*absent/);
    expect(code).toBe(1);
  });

  if (chromiumPath() === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('merges Node and Chromium into one table and one document', { timeout: 120_000 }, async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const args = ['--browser', '--fixtures', '.', '--json', 'out.json'];
    const { code, output } = await conformance(args);
    const { backends } = await readJson();
    expect(backends.map(({ backend, platform }) => `${backend} ${platform}`)).toEqual([
      ...['js', 'gpujs-cpu', 'gpujs-webasm', 'gpujs-headlessgl'].map((name) => `${name} node`),
      ...['js', 'gpujs-cpu', 'gpujs-webasm', 'gpujs-webgl', 'gpujs-webgl2', 'gpujs-webgpu'].map(
        (name) => `${name} chromium`,
      ),
    ]);
    for (const { backend, platform, unavailable, results } of backends) {
      expect(output).toMatch(new RegExp(`│ ${backend} +│ ${platform} `));
      const name = platform === 'node' ? backend : `${backend}@${platform}`;
      if (isRequired(name)) expect({ name, unavailable }).toEqual({ name, unavailable: null });
      if (unavailable === null) expect(results).toMatchObject([{ status: 'passed' }, { status: 'passed' }]);
    }
    expect({ code, output }).toMatchObject({ code: 0 });
  });

  it('reports a wrong result of the page like one of Node', { timeout: 60_000 }, async () => {
    await write('wrong.json', golden([4, 6, 4, 6.001]));
    const { code, output } = await conformance(['--backend', 'js', '--browser', '--fixtures', '.']);
    expect(output).toMatch(/js chromium float32 wrong.json by hand: step 1 y\[3\]: received 6, expected 6.001/);
    expect(code).toBe(1);
  });
});
