// Programs as files that Node can run: written, checked and compiled by the workspace's TypeScript, all at once.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../.programs/', import.meta.url));
const compiler = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin/tsc');

export interface Compiled {
  /** The JavaScript file. */
  readonly file: string;
  /** As the compiler prints them, with the page for a file: `README.md(38,5): error TS2304: …`. */
  readonly errors: readonly string[];
}

/** By page. `name`: of the folder that has them. */
export function compile(name: string, programs: ReadonlyMap<string, string>): ReadonlyMap<string, Compiled> {
  const folder = join(root, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [page, text] of programs) writeFileSync(join(folder, `${nameOf(page)}.ts`), text);
  const options = { extends: '../../tsconfig.programs.json', include: ['*.ts'] };
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(options));
  const { stdout, stderr, status } = spawnSync(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {
    encoding: 'utf8',
    cwd: folder,
  });
  const lines = stdout.split('\n');
  if (status !== 0 && !lines.some((line) => line.includes('error TS'))) throw new Error(stdout + stderr);
  return new Map(
    [...programs.keys()].map((page) => {
      const source = `${nameOf(page)}.ts(`;
      const errors = lines.filter((line) => line.startsWith(source)).map((line) => line.replace(source, `${page}(`));
      return [page, { file: join(folder, `${nameOf(page)}.js`), errors }];
    }),
  );
}

const nameOf = (page: string) => page.replace(/\.md$/, '').replaceAll('/', '.');
