// Links of the built site: pages, anchors, images, scripts; and what the site has.
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LinkChecker } from 'linkinator';
import { globSync } from 'tinyglobby';
import { describe, expect, it } from 'vitest';
import { contents, pageOf, root } from '../src/contents.js';
import { resolveLink } from '../src/links.js';

const dist = fileURLToPath(new URL('../dist', import.meta.url));

async function linksOf(folder: string) {
  const { links } = await new LinkChecker().check({
    path: folder,
    recurse: true,
    checkFragments: true,
    // A busy machine drops a connection now and then.
    retryErrors: true,
    concurrency: 20,
    // Other hosts: no test depends on them.
    linksToSkip: ['^https?://(?!localhost)'],
  });
  return links;
}

it('a page or an anchor that is missing would be noticed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'links-'));
  await writeFile(
    join(folder, 'index.html'),
    '<a href="b.html#here">1</a> <a href="b.html#gone">2</a> <a href="c.html">3</a>',
  );
  await writeFile(join(folder, 'b.html'), '<h1 id="here">b</h1>');
  const broken = (await linksOf(folder)).filter(({ state }) => state === 'BROKEN');
  const urls = new Set(broken.map(({ url }) => url.slice(folder.length + 1)));
  expect([...urls].sort()).toEqual(['b.html#gone', 'c.html']);
  await rm(folder, { recursive: true });
});

it('every link, anchor, image and script of every page is there', async () => {
  const links = await linksOf(dist);
  const broken = links.filter(({ state }) => state === 'BROKEN');
  expect(broken.map(({ url, parent, status }) => `${parent} links to ${url}: ${status}`)).toEqual([]);
  // Paths in dist/, after `dist/` or the like.
  const reached = new Set(links.filter(({ state }) => state === 'OK').map(({ url }) => url.replace(/^.*?dist\/?/, '')));
  const pages = globSync('**/*.html', { cwd: dist, ignore: ['404.html'] });
  expect(pages.length).toBeGreaterThan(100);
  const unreached = pages.filter((page) => !reached.has(page) && !reached.has(page.replace(/index\.html$/, '')));
  expect(unreached).toEqual([]);
});

it('every link to the repository names a file or a folder of it', () => {
  const named = globSync('**/*.html', { cwd: dist }).flatMap((page) => {
    const html = readFileSync(`${dist}/${page}`, 'utf8');
    return [...html.matchAll(/href="https:\/\/github\.com\/batchnorm\/batchnorm\/(?:blob|tree)\/main\/([^"#]+)/g)].map(
      ([, path]) => path!,
    );
  });
  expect(named.length).toBeGreaterThan(1000);
  expect([...new Set(named)].filter((path) => !existsSync(`${root}/${path}`))).toEqual([]);
});

it('has every file of docs/, every README of what is published, and CONTRIBUTING.md', () => {
  const published = globSync('packages/*/package.json', { cwd: root })
    .filter((manifest) => !JSON.parse(readFileSync(`${root}/${manifest}`, 'utf8')).private)
    .map((manifest) => manifest.replace('package.json', 'README.md'));
  const others = globSync(['*.md', 'docs/*.md', '{examples,apps}/*/README.md'], { cwd: root });
  expect(contents.flatMap(({ files }) => files).sort()).toEqual([...published, ...others].sort());
});

it('has the API of every published entry point', () => {
  const published = globSync('packages/*/package.json', { cwd: root })
    .map((manifest) => JSON.parse(readFileSync(`${root}/${manifest}`, 'utf8')))
    .filter((manifest) => !manifest.private);
  const entryPoints = published.flatMap(({ name, exports }) =>
    Object.entries<{ readonly types?: string }>(exports)
      .filter(([, { types }]) => types !== undefined)
      .map(([path]) => `api/${name}${path.slice(1)}/index.html`),
  );
  expect(globSync('api/**/index.html', { cwd: dist, ignore: '**/namespaces/**' }).sort()).toEqual(
    [...entryPoints, 'api/index.html'].sort(),
  );
});

describe('a link of a Markdown file', () => {
  it.for([
    ['numerics.md#bounds', 'docs/weights.md', '/numerics.md#bounds'],
    ['../packages/select', 'docs/weights.md', '/packages/select.md'],
    ['../../docs/numerics.md', 'apps/page/README.md', '/numerics.md'],
    ['../package.json', 'docs/weights.md', 'https://github.com/batchnorm/batchnorm/blob/main/package.json'],
    ['../packages/bench', 'docs/weights.md', 'https://github.com/batchnorm/batchnorm/tree/main/packages/bench'],
    ['https://example.org/a', 'docs/weights.md', 'https://example.org/a'],
    ['#here', 'docs/weights.md', '#here'],
  ] as const)('%s of %s is %s', ([link, file, expected]) => expect(resolveLink(link, file)).toBe(expected));

  it('to nothing fails the build', () => {
    expect(() => resolveLink('nothing.md', 'docs/weights.md')).toThrow('docs/weights.md links to nothing.md');
  });
});

it('lists each page for language models, and has it as Markdown', () => {
  const list = readFileSync(`${dist}/llms.txt`, 'utf8');
  for (const file of contents.flatMap(({ files }) => files)) {
    expect(list).toContain(`](/${pageOf(file)}): `);
    expect(readFileSync(`${dist}/${pageOf(file)}`, 'utf8')).toContain('# ');
  }
  expect(readFileSync(`${dist}/llms-full.txt`, 'utf8').length).toBeGreaterThan(200_000);
});
