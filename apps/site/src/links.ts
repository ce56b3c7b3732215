// Links of the Markdown files are relative paths in the repository, which its host follows. On the site they lead to the
// pages that these files are; and to the repository, where a file is no page.
import { posix, relative } from 'node:path';
import type { MarkdownEnv, MarkdownRenderer } from 'vitepress';
import { pageOf, repository, root, targetOf } from './contents.js';

/** Where `link` of `file` leads on the site: `/page.md#anchor`, or an address of the repository's host. */
export function resolveLink(link: string, file: string): string {
  if (/^([a-z]+:|#|\/)/.test(link)) return link;
  const [, path, anchor] = /^([^#]*)(.*)$/.exec(link)!;
  const target = targetOf(posix.join(posix.dirname(file), decodeURI(path!)));
  if (target === undefined) throw new Error(`${file} links to ${link}, and nothing is there.`);
  const page = pageOf(target.path);
  if (page !== undefined) return `/${page}${anchor}`;
  return `${repository}/${target.isFolder ? 'tree' : 'blob'}/main/${target.path}${anchor}`;
}

/** A plugin of markdown-it. */
export function useRepositoryLinks(md: MarkdownRenderer): void {
  md.core.ruler.push('repository-links', ({ tokens, env }) => {
    const { path, realPath = path } = env as Partial<MarkdownEnv>;
    if (realPath === undefined) return; // VitePress parses a heading by itself, for the title.
    const file = relative(root, realPath);
    for (const token of tokens.flatMap((token) => [token, ...(token.children ?? [])])) {
      if (token.type === 'link_open') token.attrSet('href', resolveLink(token.attrGet('href')!, file));
      if (token.type.startsWith('html_')) token.content = resolveHtml(token.content, file);
    }
  });
}

/** Images keep their paths, which Vite resolves where they begin with a dot. */
function resolveHtml(html: string, file: string): string {
  return html
    .replaceAll(/(?<=\shref=")[^"]+/g, (link) => resolveLink(link, file))
    .replaceAll(/(?<=\ssrc(?:set)?=")(?![a-z]+:|[./])/g, './');
}
