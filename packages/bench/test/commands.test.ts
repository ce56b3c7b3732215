// The commands as their users run them: good flags work, bad ones are clear errors.
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { runCommand } from './command.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bench-commands-'));
});

const small = ['--quick', '--shape', '32x4', '--history', 'history.ndjson'];

describe('pnpm bench', () => {
  it('times what the flags name, and writes it down', async () => {
    const flags = ['--backend', 'js,gpujs-cpu', '--op', 'forward-inference,backward', '--json', 'out.json'];
    const { code, output } = await runCommand('bench', folder, [...small, ...flags]);
    expect(output).toContain('32×4, float32');
    expect(code).toBe(0);
    const { records, untimed } = JSON.parse(await readFile(join(folder, 'out.json'), 'utf8'));
    expect(new Set(records.map((record: { contender: string }) => record.contender))).toEqual(
      new Set(['js', 'gpujs-cpu']),
    );
    expect(new Set(records.map((record: { operation: string }) => record.operation))).toEqual(
      new Set(['forward-inference', 'backward']),
    );
    expect(untimed).toEqual([]);
    const lines = (await readFile(join(folder, 'history.ndjson'), 'utf8')).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(records);
  });

  it('compares with the straightforward version', async () => {
    const flags = ['--backend', 'js', '--op', 'training-step', '--against', 'straightforward'];
    const { code, output } = await runCommand('bench', folder, [...small, ...flags]);
    expect(output).toMatch(/row-by-row/);
    expect(output).toMatch(/js, host: × straightforward \S+ in the geometric mean/);
    expect(code).toBe(0);
  });

  it('takes families, both dtypes and memory on the device', async () => {
    const flags = ['--backend', 'gpujs', '--dtype', 'float32,float64', '--memory', 'device', '--op', 'backward'];
    const { code, output } = await runCommand('bench', folder, [...small, ...flags]);
    expect(output).toMatch(/gpujs-cpu +│ device/);
    expect(output).toMatch(/gpujs-cpu skipped: 'gpujs' has no float64/);
    expect(output).toMatch(/gpujs-webgpu skipped: needs Chromium: --browser/);
    expect(code).toBe(0);
  });

  it('takes a name for itself, though others begin with it, and says who has nothing to do', async () => {
    const flags = ['--backend', 'js,layer-js-sync', '--op', 'backward,add-relu-step', '--against', 'layer-js'];
    const { code, output } = await runCommand('bench', folder, [...small, ...flags]);
    expect(output).toMatch(/js, host: × layer-js \S+ in the geometric mean/);
    expect(output).not.toMatch(/layer-js-plain/);
    expect(code).toBe(0);
    const nothing = ['--backend', 'js,layer-js-sync', '--op', 'add-relu-step'];
    expect((await runCommand('bench', folder, [...small, ...nothing])).output).toMatch(
      /layer-js-sync skipped: it has none of add-relu-step in /,
    );
  });

  it('skips a Python and a Chromium that are not there, visibly', async () => {
    const flags = [
      '--backend',
      'js,numpy',
      '--python',
      'no-such-python',
      '--browser',
      '--chromium',
      'no-such-chromium',
    ];
    const { code, output } = await runCommand('bench', folder, [...small, ...flags]);
    expect(output).toMatch(/numpy skipped: no-such-python: .*ENOENT/);
    expect(output).toMatch(/js@chromium skipped: .*no-such-chromium/);
    expect(code).toBe(0);
  });
});

describe.each(['bench', 'compare', 'report'] as const)('a bad flag of %s', (name) => {
  it('is a clear error with exit code 2', async () => {
    const { code, output } = await runCommand(name, folder, [
      ...(name === 'compare' ? ['--base', 'HEAD'] : []),
      '--no-such-flag',
    ]);
    expect(output).toMatch(/error: unknown option '--no-such-flag'/);
    expect(code).toBe(2);
  });
});

describe('a bad value', () => {
  it.each([
    ['bench', '--backend', 'jss', /'jss' is none of js, /],
    ['bench', '--op', 'forwards', /'forwards' is none of forward-training, /],
    ['bench', '--shape', '10', /'10' is no shape, such as 1024x256/],
    ['bench', '--shape', '10x0', /'10x0' is no shape/],
    ['bench', '--shape', '1000000x1000000', /more than 2\^28 elements/],
    ['bench', '--dtype', 'bfloat16', /'bfloat16' is none of float16, float32, float64/],
    ['bench', '--memory', 'disk', /'disk' is none of host, allocated, device, readback/],
    ['bench', '--against', 'nobody', /'nobody' is none of/],
    ['compare', '--base', 'no-such-commit', /'no-such-commit' is no commit/],
    ['compare', '--threshold', '-1', /'-1' is no number above 0/],
    ['report', '--history', 'absent.ndjson', /absent.ndjson/],
  ] as const)('of %s: %s %s is a clear error with exit code 2', async (name, flag, value, message) => {
    const { code, output } = await runCommand(name, folder, [flag, value]);
    expect(output).toMatch(message);
    expect(code).toBe(2);
  });

  it('is a base that is not named', async () => {
    const { code, output } = await runCommand('compare', folder, []);
    expect(output).toMatch(/required option '--base <ref>' not specified/);
    expect(code).toBe(2);
  });
});
