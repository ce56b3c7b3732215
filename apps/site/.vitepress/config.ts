// The site: which files are its pages, how they are linked, and what surrounds them.
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { slug } from 'github-slugger';
import { type DefaultTheme, defineConfig } from 'vitepress';
import modules from '../api/typedoc-sidebar.json' with { type: 'json' };
import { makeAccessible } from '../src/accessible.js';
import { contents, pageOf, repository, root, titleOf } from '../src/contents.js';
import { useRepositoryLinks } from '../src/links.js';
import { writeLlmsFiles } from '../src/llms.js';

const base = process.env.SITE_BASE ?? '/';
const description =
  'Batch normalisation for JavaScript: one contract, many backends, each checked against the same results';
const page = fileURLToPath(new URL('../../page/dist', import.meta.url));

const itemOf = (file: string): DefaultTheme.SidebarItem => ({
  text: file === 'README.md' ? 'Getting started' : titleOf(file),
  link: `/${pageOf(file)}`,
});

/** Beside the API of one package the others are a link each: all names would be most of every page. */
const references = Object.fromEntries(modules.map((module) => [module.link, referenceBeside(module)]));

function referenceBeside(module: (typeof modules)[number]): DefaultTheme.SidebarItem[] {
  // A group without a link would be a button around a button. A module that is only run has none.
  const items = module.items?.map((group) => ({ ...group, link: `${module.link}index.md#${slug(group.text)}` }));
  const linked = modules.map(({ text, link }) =>
    text === module.text && items ? { text, link, items } : { text, link },
  );
  return [{ text: 'API reference', items: linked }];
}

export default defineConfig({
  base,
  title: 'batchnorm',
  description,
  lang: 'en',
  srcDir: root,
  srcExclude: ['{packages,examples}/*/*/**', 'packages/*/CHANGELOG.md', 'packages/bench/**', 'starters/**'],
  // No icon, rather than a request for one.
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  outDir: 'dist',
  rewrites: (file) => pageOf(file) ?? file,
  markdown: {
    // The anchors of headings are those that they have in the repository.
    anchor: { slugify: slug },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    config: (md) => {
      useRepositoryLinks(md);
      makeAccessible(md);
    },
  },
  vite: {
    build: { chunkSizeWarningLimit: 3000 },
    plugins: [
      {
        // Pages lie outside this package, where nobody would find its Vue.
        name: 'vue-of-this-package',
        enforce: 'pre',
        resolveId(id) {
          return /^vue(\/|$)/.test(id) ? this.resolve(id, fileURLToPath(import.meta.url), { skipSelf: true }) : null;
        },
      },
    ],
  },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Guide', link: '/index.md', activeMatch: '^/(?!api|what-runs)' },
      { text: 'API', link: '/api/index.md', activeMatch: '^/api/' },
      { text: 'What runs best here?', link: '/what-runs-best-here.md' },
    ],
    sidebar: {
      ...references,
      '/api/': [{ text: 'API reference', items: modules.map(({ text, link }) => ({ text, link })) }],
      '/': contents.map(({ title, files }) => ({ text: title, items: files.map(itemOf) })),
    },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: repository }],
  },
  buildEnd: async ({ outDir }) => {
    await cp(page, join(outDir, 'page'), { recursive: true });
    await writeLlmsFiles(outDir, base, description);
  },
});
