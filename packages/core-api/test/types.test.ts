// What the compiler says of a tensor that is none: it has to name what is wrong with it, whatever overloads there are.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const source = fileURLToPath(new URL('../src/index.ts', import.meta.url));
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

/** Lines of a program, each by itself: what is right has no message. */
const lines: readonly (readonly [code: string, message: RegExp | undefined])[] = [
  ['layer.forward({ data: Float32Array.of(1, 2), shape: [2, 1] }).then(({ dispose }) => dispose)', undefined],
  ['layer.forward({ data: Float32Array.of(1, 2), shape: [2, 1] }, { out: host }).then(({ data }) => data)', undefined],
  ['layer.forward(device).then(({ read }) => read)', undefined],
  ['layer.forward(half).then(({ data }) => data[Symbol.toStringTag] satisfies "Float16Array")', undefined],
  ['layer.backward(device, { out: { dx: device } }).then(({ dgamma }) => dgamma.read())', undefined],
  ['layer.backward(host).then(({ dx }) => dx.dispose())', undefined],
];

const wrongCalls = [
  'layer.forward',
  'layer.backward',
  'layer.forwardPass',
  'layer.sync.forward',
  'layer.sync.backward',
];
const wrong: readonly (readonly [code: string, message: RegExp])[] = wrongCalls.flatMap((call) => [
  [`${call}({ data: [1, 2, 3], shape: [3, 1] })`, /Type 'number\[\]' is not assignable to type 'FloatArray'/] as const,
  [`${call}({ data: new Int8Array(3), shape: [3, 1] })`, /Type 'Int8Array<.*>' is not assignable to type 'FloatArray'/],
  [`${call}({ data: new Float32Array(3), shape: 3 })`, /Type 'number' is not assignable to type 'readonly number\[\]'/],
  [`${call}([1, 2, 3])`, /Type 'number\[\]' is missing the following properties from type 'Tensor': data, shape/],
  [`${call}(host, { trainin: false })`, /'trainin' does not exist in type '(Forward|Backward)Options/],
]);

describe('of a call the compiler', () => {
  const folder = mkdtempSync(join(tmpdir(), 'batchnorm-types-'));
  const program = [...lines, ...wrong];
  /** By line, from 0 on. */
  const messages = new Map<number, string>();

  beforeAll(async () => {
    const head = [
      `import type { BatchNorm, DeviceTensor, Float16Tensor, Tensor } from ${JSON.stringify(source)};`,
      'declare const layer: BatchNorm; declare const host: Tensor;',
      'declare const device: DeviceTensor; declare const half: Float16Tensor;',
    ];
    const file = join(folder, 'calls.ts');
    writeFileSync(file, [...head, ...program.map(([code]) => `${code};`)].join('\n'));
    const options = ['--noEmit', '--strict', '--target', 'es2023', '--module', 'nodenext', '--lib', 'es2023,dom'];
    const args = [compiler, ...options, '--types', '', '--skipLibCheck', '--allowImportingTsExtensions', file];
    const output = await new Promise<string>((settle) => {
      execFile(process.execPath, args, { cwd: folder }, (_error, stdout, stderr) => settle(`${stdout}${stderr}`));
    });
    for (const [, line, text] of output.matchAll(/calls\.ts\((\d+),\d+\): ((?:.|\n )+)/g)) {
      const index = Number(line) - 1 - head.length;
      messages.set(index, `${messages.get(index) ?? ''}${text}`);
    }
  }, 60_000);

  afterAll(() => rmSync(folder, { recursive: true }));

  it.each(program.map(([code, message], index) => [code, message, index] as const))(
    '%s says %s',
    (_code, message, index) => {
      if (message === undefined) expect(messages.get(index)).toBeUndefined();
      else expect(messages.get(index)).toMatch(message);
    },
  );
});
