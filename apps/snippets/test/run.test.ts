// A program that fails is noticed, wherever it runs, with the line that it has in its page.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import { describe, expect, it } from 'vitest';
import { compile } from '../src/compiled.js';
import { programOf } from '../src/program.js';
import { run } from '../src/run.js';
import { runInChromium } from '../src/run-in-chromium.js';
import { partsOf } from '../src/snippets.js';

const page = (code: string) =>
  `# Title\n\n\`\`\`ts\nimport { BatchNorm } from '@batchnorm/core-api';\n\n${code}\n\`\`\`\n`;
const programs = {
  'right.md': page("console.log(BatchNorm.name, 'document' in globalThis);"),
  'wrong.md': page("throw new Error('wrong');"),
  'mistyped.md': page('const layer: number = BatchNorm;'),
};
const compiled = compile(
  'tests',
  new Map(Object.entries(programs).map(([name, text]) => [name, programOf(partsOf(text))!])),
);
const fileOf = (name: keyof typeof programs) => compiled.get(name)!.file;

it('a wrong type has the line of the page', () => {
  expect(compiled.get('right.md')!.errors).toEqual([]);
  expect(compiled.get('mistyped.md')!.errors).toMatchObject([
    expect.stringMatching(/^mistyped\.md\(6,\d+\): error TS/),
  ]);
});

describe('in Node', () => {
  it('what a program prints is known', async () => {
    expect(await run(fileOf('right.md'))).toEqual({ status: 0, output: 'BatchNorm false\n' });
  });

  it('an error ends it, with the line of the page', async () => {
    const { status, output } = await run(fileOf('wrong.md'));
    expect(status).toBe(1);
    expect(output).toMatch(/wrong\.ts:6:/);
  });
});

describe('in Chromium', () => {
  const path = chromiumPath();
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  it('what a program prints is known', async () => {
    expect(await runInChromium(fileOf('right.md'), path)).toEqual({ status: 0, output: 'BatchNorm true\n' });
  });

  it('an error ends it', async () => {
    expect(await runInChromium(fileOf('wrong.md'), path)).toMatchObject({
      status: 1,
      output: expect.stringContaining('wrong'),
    });
  });
});
