// Every code block of every page: what it is, whether its types are right, and that it runs.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { isRequired } from '@batchnorm/browser/describe-backend';
import { skipWithoutMpi } from '@batchnorm/testing/mpi';
import { globSync } from 'tinyglobby';
import { describe, expect, it } from 'vitest';
import { compile } from '../src/compiled.js';
import { comparable, shownFiles } from '../src/pieces.js';
import { programOf } from '../src/program.js';
import { run } from '../src/run.js';
import { runInChromium } from '../src/run-in-chromium.js';
import { problemsOf } from '../src/shell.js';
import { type Code, type Part, partsOf } from '../src/snippets.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const files = globSync(['*.md', 'docs/*.md', '{packages,apps,examples}/*/README.md'], { cwd: root }).sort();
const parts = new Map(files.map((file) => [file, partsOf(read(file))]));
const pages = files.filter((file) => parts.get(file)!.length > 0);
const checked = compile(
  'checked',
  programsOf(() => true),
);
const runnable = compile(
  'run',
  programsOf((part) => part.kind === 'need' || part.notRun === undefined),
);

function programsOf(condition: (part: Part) => boolean): ReadonlyMap<string, string> {
  const programs = new Map<string, string>();
  for (const page of pages) {
    const program = programOf(parts.get(page)!.filter(condition));
    if (program !== undefined) programs.set(page, program);
  }
  return programs;
}

describe.for(pages)('%s', (page) => {
  const code = parts.get(page)!.filter((part): part is Code => part.kind === 'code');
  const needs = parts.get(page)!.flatMap((part) => (part.kind === 'need' ? [part.name] : []));

  for (const { line, language, text, notRun } of code) {
    const name = `line ${line + 1}, ${language}`;
    if (notRun !== undefined) it.skip(`${name}: ${notRun}`);
    else if (['ts', 'js'].includes(language))
      continue; // They are a program, below.
    else if (language === 'sh') {
      it(`${name}: what it names is there`, () => expect(problemsOf(text, dirname(page), root)).toEqual([]));
    } else if (language === 'json') {
      it(`${name}: is JSON`, () => expect(JSON.parse(text)).toBeTypeOf('object'));
    } else {
      it(`${name}: is run, or says why not`, () => expect.fail('nobody knows how to check it'));
    }
  }

  for (const [file, text] of shownFiles(code)) {
    it(`shows ${file}, to the letter`, () => {
      expect(existsSync(join(root, file)), file).toBe(true);
      expect(comparable(text)).toBe(comparable(read(file)));
    });
  }

  if (checked.has(page)) it('has the right types', () => expect(checked.get(page)!.errors).toEqual([]));

  const program = runnable.get(page);
  if (program === undefined) return;

  it('runs', async ({ skip }) => {
    /** Skips what a machine lacks, unless REQUIRE_BACKENDS has it. */
    const skipWithout = (name: string, reason: string) => {
      expect(isRequired(name), `REQUIRE_BACKENDS has ${name}, but ${reason}`).toBe(false);
      console.warn(`${page} skipped: ${reason}`); // vitest's default reporter keeps the reason to itself
      skip(reason);
    };
    const chromium = chromiumPath();
    if (needs.includes('mpi')) skipWithoutMpi(page, skip);
    if (needs.includes('chromium') && chromium === undefined) skipWithout('js@chromium', chromiumMissing);
    const { status, output } = needs.includes('chromium')
      ? await runInChromium(program.file, chromium!)
      : await run(program.file, needs.includes('mpi') ? ['mpirun', '-np', '2'] : []);
    if (needs.includes('webgpu') && output.includes('BACKEND_UNAVAILABLE'))
      skipWithout('webgpu', 'WebGPU does not run');
    expect(status, output).toBe(0);
  });
});
