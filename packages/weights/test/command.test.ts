// The command, on files.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expectCode } from '@batchnorm/testing/expect-code';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newProgram } from '../src/command/program.js';
import { fold, fromPyTorch, openNpz, openSafetensors, writeSafetensors } from '../src/index.js';
import { fixture, fixturePath } from './fixtures.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'batchnorm-weights-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function run(...args: readonly string[]): Promise<{ out: string; progress: string }> {
  const written = { out: '', progress: '' };
  const program = newProgram({
    out: (text) => {
      written.out += text;
    },
    progress: (text) => {
      written.progress += text;
    },
  });
  await program.parseAsync(args, { from: 'user' });
  return written;
}

describe('what a terminal gets', () => {
  it('is no command of it: names in files are escaped', async () => {
    const vector = { dtype: 'F32', shape: [1], data: Float32Array.of(1) } as const;
    const name = 'a\x1b[2J\x07\n\u202e';
    const path = join(folder, 'odd.safetensors');
    await writeFile(path, writeSafetensors({ [`${name}.running_mean`]: vector, [`${name}.running_var`]: vector }));
    const { out } = await run('inspect', path);
    expect(out).toContain('a\\u{1b}[2J\\u{7}\\u{a}\\u{202e}');
    expect(out.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe('inspect', () => {
  it.each(['model.safetensors', 'state-dict.pt', 'model.onnx'])('lists the batch norms of %s', async (name) => {
    const { out } = await run('inspect', fixturePath(name));
    const rows = out.trim().split('\n');
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatch(/^name +channels +convention +smallest variance$/);
    expect(rows[1]).toMatch(name === 'model.onnx' ? / 3 +ONNX +\d/ : /^bn1 +3 +PyTorch +\d/);
  });

  it('warns of what will be wrong', async () => {
    const vector = (...data: number[]) => ({ dtype: 'F32', shape: [3], data: Float32Array.from(data) }) as const;
    const path = join(folder, 'sick.safetensors');
    const sick = {
      'a.weight': vector(0, 1, 1),
      'a.running_mean': vector(0, Number.NaN, 0),
      'a.running_var': vector(1, 1e-9, -1),
      'b.running_mean': vector(0, 0, 0),
      'b.running_var': vector(1, 1, 1),
    };
    await writeFile(path, writeSafetensors(sick));
    const [a, b] = JSON.parse((await run('inspect', path, '--json')).out);
    expect(a.smallestVariance).toBe(-1);
    expect(a.warnings).toEqual([
      'running_mean is not finite in 1 of 3 channels, the first is 1',
      'variance is negative in 1 of 3 channels, the first is 2',
      'variance is below 0.00001: epsilon decides in 1 of 3 channels, the first is 1',
      'gamma is 0 in 1 of 3 channels, the first is 0',
    ]);
    expect(b.warnings).toEqual(['running statistics are those of a new layer']);

    // Warnings are below their batch norm; a long one goes on in another line.
    const { out } = await run('inspect', path);
    const lines = out.trimEnd().split('\n');
    const [, ofA, ofB] = out.replaceAll(/\n {4}/g, ' ').split(/\n(?=\w)/);
    expect(ofA!.split('\n  ! ').slice(1)).toEqual(a.warnings);
    expect(ofB!.trimEnd().split('\n  ! ').slice(1)).toEqual(b.warnings);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it('says why there is none', async () => {
    const path = join(folder, 'none.safetensors');
    await writeFile(path, writeSafetensors({ 'a.weight': { dtype: 'F32', shape: [1], data: Float32Array.of(1) } }));
    expect((await run('inspect', path)).out).toMatch(/^No batch norm in 1 tensors: no running_mean/);
  });

  it('refuses what it does not know', async () => {
    await expectCode('UNSUPPORTED', () => run('inspect', fixturePath('make.py')), /'make\.py'/);
  });
});

describe('convert', () => {
  it('writes what a .pt has as .safetensors and .npz', async () => {
    const expected = await openSafetensors(await fixture('model.safetensors'));
    for (const [name, open] of [
      ['a.safetensors', openSafetensors],
      ['a.npz', openNpz],
    ] as const) {
      const path = join(folder, name);
      const { progress } = await run('convert', fixturePath('state-dict.pt'), path);
      expect(progress).toMatch(/^13 of 13 tensors$/m);
      const file = await open(new Uint8Array(await readFile(path)));
      expect(file.tensors.size).toBe(expected.tensors.size);
      if ('metadata' in file) expect(file.metadata).toEqual(expected.metadata);
      for (const key of expected.tensors.keys()) expect(await file.read(key)).toEqual(await expected.read(key));
    }
  });

  it('leaves nothing where it fails', async () => {
    const path = join(folder, 'bf16.npz');
    await expectCode('UNSUPPORTED', () => run('convert', fixturePath('types.safetensors'), path), /'BF16'/);
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('fold', () => {
  it('writes the layer with its batch norm in it, and the rest as it was', async () => {
    const path = join(folder, 'folded.safetensors');
    const from = fixturePath('model.safetensors');
    await run('fold', from, path, '--pair', 'conv1:bn1', '--layout', 'OIHW', '--epsilon', '0.001');
    const [file, model] = [
      await openSafetensors(new Uint8Array(await readFile(path))),
      await openSafetensors(await fixture('model.safetensors')),
    ];
    expect([...file.tensors.keys()].filter((name) => name.startsWith('bn1'))).toEqual([]);
    const read = async (name: string) => (await model.read(name)) as never;
    const norm = fromPyTorch(
      {
        weight: await read('bn1.weight'),
        bias: await read('bn1.bias'),
        running_mean: await read('bn1.running_mean'),
        running_var: await read('bn1.running_var'),
      },
      { eps: 1e-3, momentum: 0.2 },
    );
    const { weight, bias } = fold({ weight: await read('conv1.weight'), layout: 'OIHW' }, norm);
    expect((await file.read('conv1.weight')).data).toEqual(weight.data);
    expect((await file.read('conv1.bias')).data).toEqual(bias.data);
    for (const name of ['fc.weight', 'bn2.running_var']) expect(await file.read(name)).toEqual(await read(name));
  });

  it('rounds float16 once', async () => {
    const [from, to] = [join(folder, 'half.safetensors'), join(folder, 'folded.safetensors')];
    const vector = (value: number) => ({ dtype: 'F32', shape: [1], data: Float32Array.of(value) }) as const;
    // Just above the middle of 1 and the next float16.
    const scale = 1 + 2 ** -11 + 2 ** -22;
    const tensors = {
      'fc.weight': { dtype: 'F16', shape: [1, 1], data: Float32Array.of(1) } as const,
      'bn.weight': vector(scale),
      'bn.running_mean': vector(0),
      'bn.running_var': vector(1),
    };
    await writeFile(from, writeSafetensors(tensors));
    await run('fold', from, to, '--pair', 'fc:bn', '--layout', 'OI', '--epsilon', '0');
    const file = await openSafetensors(new Uint8Array(await readFile(to)));
    expect(await file.read('fc.weight')).toEqual({ dtype: 'F16', shape: [1, 1], data: Float32Array.of(1 + 2 ** -10) });
    await writeFile(from, writeSafetensors({ ...tensors, 'bn.weight': vector(1e5) }));
    await expectCode('NON_FINITE_STATISTICS', () =>
      run('fold', from, to, '--pair', 'fc:bn', '--layout', 'OI', '--epsilon', '0'),
    );
  });

  it('rounds bfloat16 once', async () => {
    const [from, to] = [join(folder, 'bfloat.safetensors'), join(folder, 'folded.safetensors')];
    const vector = (value: number) => ({ dtype: 'F64', shape: [1], data: Float64Array.of(value) }) as const;
    const tensors = {
      'fc.weight': { dtype: 'BF16', shape: [1, 1], data: Float32Array.of(1) } as const,
      // Just above the middle of 1 and the next bfloat16: in float32 the middle itself.
      'bn.weight': vector(1 + 2 ** -8 + 2 ** -40),
      'bn.running_mean': vector(0),
      'bn.running_var': vector(1),
    };
    const args = ['fold', from, to, '--pair', 'fc:bn', '--layout', 'OI', '--epsilon', '0'];
    await writeFile(from, writeSafetensors(tensors));
    await run(...args);
    const file = await openSafetensors(new Uint8Array(await readFile(to)));
    expect(await file.read('fc.weight')).toEqual({ dtype: 'BF16', shape: [1, 1], data: Float32Array.of(1 + 2 ** -7) });
    await writeFile(from, writeSafetensors({ ...tensors, 'bn.weight': vector(3.4e38) }));
    await expectCode('NON_FINITE_STATISTICS', () => run(...args), /bfloat16/);
  });

  it('guesses no epsilon, and knows its names', async () => {
    const args = ['fold', fixturePath('model.safetensors'), join(folder, 'a.safetensors'), '--layout', 'OIHW'];
    await expectCode('INVALID_OPTION', () => run(...args, '--pair', 'conv1:bn1'), /--epsilon/);
    await expectCode('INVALID_OPTION', () => run(...args, '--pair', 'conv1:bn9', '--epsilon', '1'), /'bn9'/);
    await expectCode('INVALID_OPTION', () => run(...args, '--pair', 'conv9:bn1', '--epsilon', '1'), /'conv9'/);
    await expect(run(...args, '--pair', 'conv1')).rejects.toThrow(/colon/);
    await expect(run(...args, '--pair', 'conv1:bn1', '--pair', 'conv1:bn2')).rejects.toThrow(/each name once/);
  });
});

describe('a file that is written', () => {
  it('leaves what lies beside it alone, and nothing behind where it fails', async () => {
    const to = join(folder, 'to.safetensors');
    await writeFile(`${to}.unfinished`, 'mine');
    await run('convert', fixturePath('model.safetensors'), to);
    expect(await readFile(`${to}.unfinished`, 'utf8')).toBe('mine');
    const taken = join(folder, 'folder.safetensors');
    await mkdir(taken);
    await expect(run('convert', fixturePath('model.safetensors'), taken)).rejects.toThrow(/EISDIR|ENOTEMPTY|EPERM/);
    expect((await readdir(folder)).sort()).toEqual([
      'folder.safetensors',
      'to.safetensors',
      'to.safetensors.unfinished',
    ]);
  });
});

describe('fold', () => {
  it('takes no epsilon where the file has one', async () => {
    const args = [
      'fold',
      fixturePath('model.onnx'),
      join(folder, 'to.safetensors'),
      '--pair',
      'a:b',
      '--layout',
      'OIHW',
    ];
    const name = (JSON.parse((await run('inspect', fixturePath('model.onnx'), '--json')).out) as { name: string }[])[0]!
      .name;
    args[args.indexOf('a:b')] = `conv1:${name}`;
    await expectCode('INVALID_OPTION', () => run(...args, '--epsilon', '0.5'), /--epsilon 0.5, expected none/);
  });
});
