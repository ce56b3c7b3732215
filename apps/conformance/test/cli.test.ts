// The command as its users run it: exit codes, the tables, the JSON file.
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing, isRequired } from '@batchnorm/browser/describe-backend';
import { backendsNamed, backendsOn, backends as catalogue } from '@batchnorm/catalogue';
import { type CaseResult, countsLine, countsOf, groups, runsOf, suite } from '@batchnorm/conformance';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './command.js';
import { golden } from './golden.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'conformance-'));
});
const conformance = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  runCommand(folder, args, env);
const write = (name: string, content: unknown) =>
  writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));

interface Document {
  readonly backends: readonly {
    readonly backend: string;
    readonly platform: string;
    readonly unavailable: string | null;
    readonly results: readonly CaseResult[];
  }[];
}

const readJson = async (): Promise<Document> => JSON.parse(await readFile(join(folder, 'out.json'), 'utf8'));

describe('pnpm conformance', () => {
  it('runs every case of the kit in its dtypes, counts how they came out, and writes them as JSON', async () => {
    const { code, output } = await conformance(['--backend', 'js', '--quick', '--json', 'out.json']);
    const report = await readJson();
    const { results } = report.backends[0]!;
    const counts = countsOf(results);
    expect(results).toHaveLength(runsOf(suite).length);
    expect(counts.failed).toBe(0);
    expect(output).toMatch(new RegExp(`^js in node .* ${counts.passed} passed, 0 failed, .*, in [\\d.]+ s$`, 'm'));
    expect(output.split('\n')).toContain(countsLine(results));
    const passed = groups
      .map((group) => countsOf(results.filter((result) => result.group === group)).passed)
      .filter((count) => count > 0);
    expect(output).toMatch(new RegExp(['js', 'node', ...passed.map((count) => `${count} pass`)].join(' +│ +')));
    expect(code).toBe(0);
    expect(report).toMatchObject({
      formatVersion: 3,
      platform: { machine: `${process.platform} ${process.arch}`, node: process.versions.node },
      ...counts,
    });
    expect(report.backends[0]).toMatchObject({
      backend: 'js',
      platform: 'node',
      unavailable: null,
      error: null,
      execution: { engine: 'JavaScript', accumulation: { float32: 'float64', float64: 'float64' } },
      ...counts,
      holes: [],
    });
    expect(results[0]).toEqual({
      group: 'golden',
      source: 'seed-numpy.json',
      name: 'example-32x10',
      dtype: 'float32',
      cell: null,
      status: 'passed',
      code: null,
      worst: expect.any(Number),
      ulps: expect.any(Number),
      where: expect.stringMatching(/^(step \d+|inference) /),
      messages: [],
    });
  });

  it('runs one dtype only when asked, and shows ten cases as one sign', async () => {
    const { output } = await conformance(['--backend', 'js', '--quick', '--dtype', 'float64']);
    expect(output).not.toContain('float32');
    const [, signs] = /^js in node (\S+)/m.exec(output)!;
    expect(signs).toMatch(new RegExp(`^[.rs]{${Math.ceil(runsOf(suite, ['float64']).length / 10)}}$`));
  });

  it('has one row for each backend, and says why one does not run in Node', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { output } = await conformance(['--fixtures', '.', '--dtype', 'float32', '--json', 'out.json'], {
      REQUIRE_BACKENDS: '',
    });
    const { backends } = await readJson();
    expect(backends.map(({ backend, platform }) => `${backend} ${platform}`)).toEqual(
      Object.keys(catalogue).map((name) => `${name} node`),
    );
    for (const { backend, unavailable, results } of backends) {
      if (!backendsOn('node').includes(backend)) expect(unavailable).toMatch(/\S/);
      expect(output).toMatch(new RegExp(`│ ${backend} +│ node${unavailable === null ? ' +│ +1 pass' : ' skip'}`));
      expect(results).toHaveLength(unavailable === null ? 1 : 0);
    }
  });

  it('takes a family for all of its backends, whether they run here or not', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { code, output } = await conformance(['--backend', 'js,gpujs', '--fixtures', '.'], { REQUIRE_BACKENDS: '' });
    for (const name of ['js', ...backendsNamed('gpujs')]) expect(output).toContain(`│ ${name} `);
    expect(output).not.toContain('wasm-1');
    expect(code).toBe(0);
  });

  it('exits with 1 when a backend does not run that was asked for by name or by REQUIRE_BACKENDS', async () => {
    const message = 'gpujs-webgl is required, and could not run here';
    expect(await conformance(['--backend', 'gpujs-webgl'])).toMatchObject({
      code: 1,
      output: expect.stringContaining(message),
    });
    await write('right.json', golden([4, 6, 4, 6]));
    const required = await conformance(['--fixtures', '.', '--dtype', 'float64'], {
      REQUIRE_BACKENDS: 'js,gpujs-webgl',
    });
    expect(required).toMatchObject({ code: 1, output: expect.stringContaining(message) });
  });

  it('shows every golden case of every backend', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { output } = await conformance(['--backend', 'js,gpujs-cpu', '--fixtures', '.']);
    expect(output).toMatch(/float32 +│ right.json +│ by hand +│ pass 0\.\d{4} +│ pass 0\.\d{4}/);
    expect(output).toMatch(/float64 +│ right.json +│ by hand +│ pass 0\.\d{4} +│ refused/);
  });

  it('counts what is refused apart, with its code, and not as a failure', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { code, output } = await conformance(['--backend', 'gpujs-cpu', '--fixtures', '.']);
    expect(output).toContain('1 passed, 0 failed, 1 refused (DTYPE_MISMATCH), 0 skipped');
    expect(output).toContain('gpujs-cpu node: 1 refused: DTYPE_MISMATCH (float64 right.json by hand)');
    expect(code).toBe(0);
  });

  it('--fixtures runs the files of a folder', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const { code, output } = await conformance(['--backend', 'js', '--fixtures', '.']);
    expect(output).toContain('2 passed, 0 failed, 0 refused, 0 skipped');
    expect(code).toBe(0);
  });

  it('exits with 1 when a result differs, and says where and by how much', async () => {
    await write('wrong.json', golden([4, 6, 4, 6.001]));
    const { code, output } = await conformance(['--backend', 'js', '--fixtures', '.']);
    expect(output).toMatch(/wrong.json by hand: step 1 y\[3\]: received 6, expected 6.001/);
    expect(output).toContain('0 passed, 2 failed, 0 refused, 0 skipped');
    expect(code).toBe(1);
  });

  it('skips, visibly, a float32 run of inputs that float32 does not have', async () => {
    const file = golden([4, 6, 4, 6]);
    file.cases[0]!.steps[0]!.x.data = [-1.1, 1.1, -1.1, 1.1];
    await write('fine.json', file);
    const { output } = await conformance(['--backend', 'js', '--fixtures', '.', '--dtype', 'float32']);
    expect(output).toContain('its inputs are not float32 numbers');
    expect(output).toContain('0 passed, 0 failed, 0 refused, 1 skipped');
  });
});

describe('pnpm conformance --browser', () => {
  it('fails, and says why, where Chromium does not start', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const args = ['--backend', 'js', '--fixtures', '.', '--browser', '--chromium', 'absent'];
    const { code, output } = await conformance(args);
    expect(output).toMatch(/js chromium: \S.*absent/);
    expect(code).toBe(1);
  });

  if (chromiumPath() === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('merges Node and Chromium into one table and one document', async () => {
    await write('right.json', golden([4, 6, 4, 6]));
    const args = ['--browser', '--fixtures', '.', '--json', 'out.json'];
    const { code, output } = await conformance(args);
    const { backends } = await readJson();
    expect(backends.map(({ backend, platform }) => `${backend} ${platform}`)).toEqual([
      ...backendsOn('node').map((name) => `${name} node`),
      ...backendsOn('chromium').map((name) => `${name} chromium`),
    ]);
    for (const { backend, platform, unavailable, results } of backends) {
      expect(output).toMatch(new RegExp(`│ ${backend} +│ ${platform} `));
      const name = platform === 'node' ? backend : `${backend}@${platform}`;
      if (isRequired(name)) expect({ name, unavailable }).toEqual({ name, unavailable: null });
      if (unavailable === null)
        expect(results).toMatchObject([{ status: 'passed' }, { status: expect.stringMatching(/^(passed|refused)$/) }]);
    }
    expect({ code, output }).toMatchObject({ code: 0 });
  });

  it('reports a wrong result of the page like one of Node', async () => {
    await write('wrong.json', golden([4, 6, 4, 6.001]));
    const { code, output } = await conformance(['--backend', 'js', '--browser', '--fixtures', '.']);
    expect(output).toMatch(/js chromium: float32 wrong.json by hand: step 1 y\[3\]: received 6, expected 6.001/);
    expect(code).toBe(1);
  });
});
