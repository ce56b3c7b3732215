// What the site has, in the order of its sidebar: Markdown files of the repository, by their paths in it.
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the repository. */
export const root: string = fileURLToPath(new URL('../../..', import.meta.url));

/** Where the repository is for those who read the site. */
export const repository = 'https://github.com/batchnorm/batchnorm';

export interface Section {
  readonly title: string;
  readonly files: readonly string[];
}

const readmesOf = (folder: string, ...names: string[]) => names.map((name) => `${folder}/${name}/README.md`);

export const contents: readonly Section[] = [
  {
    title: 'Guide',
    files: [
      'README.md',
      'docs/platforms.md',
      'docs/semantics.md',
      'docs/weights.md',
      'docs/scaling.md',
      'docs/writing-a-backend.md',
    ],
  },
  { title: 'Background', files: ['docs/architecture.md', 'docs/numerics.md', 'docs/performance.md'] },
  {
    title: 'Packages',
    files: readmesOf(
      'packages',
      'batchnorm',
      'core-api',
      'select',
      'backend-js',
      'backend-wasm',
      'backend-webgpu',
      'backend-gpujs',
      'collective-mpi',
      'weights',
      'tfjs',
      'conformance',
      'reporting',
    ),
  },
  {
    title: 'Examples',
    files: readmesOf(
      'examples',
      'train-digits',
      'pytorch-digits',
      'tfjs-digits',
      'onnxruntime-digits',
      'jax-digits',
      'data-parallel',
      'parquet-moments',
    ),
  },
  { title: 'Project', files: ['CONTRIBUTING.md', ...readmesOf('apps', 'page', 'site')] },
];

/** The page of the site that a file of the repository is, such as `packages/select.md`; undefined for any other file. */
export function pageOf(file: string): string | undefined {
  if (isListed(file)) {
    if (file === 'README.md') return 'index.md';
    return file.toLowerCase().replace(/^docs\/|\/readme(?=\.md$)/g, '');
  }
  // What is written or generated for the site alone.
  return /^apps\/site\/((api\/.+|[\w-]+)\.md)$/.exec(file)?.[1];
}

const listed = new Set(contents.flatMap(({ files }) => files));
const isListed = (file: string) => listed.has(file);

export function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** The first heading of a page. */
export function titleOf(file: string): string {
  return /^# (.*)$/m.exec(textOf(file))![1]!.replaceAll('`', '');
}

/** What the path of a link stands for: the README of a folder that has one. Undefined where nothing is. */
export function targetOf(path: string): { readonly path: string; readonly isFolder: boolean } | undefined {
  const whole = join(root, path);
  if (!existsSync(whole)) return undefined;
  if (!statSync(whole).isDirectory()) return { path, isFolder: false };
  const readme = path === '.' ? 'README.md' : `${path.replace(/\/$/, '')}/README.md`;
  return pageOf(readme) === undefined ? { path, isFolder: true } : { path: readme, isFolder: false };
}
