// The site for language models: /llms.txt lists its pages (https://llmstxt.org), /llms-full.txt has the text of all, and
// each page is there as Markdown.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { contents, pageOf, textOf, titleOf } from './contents.js';
import { resolveLink } from './links.js';

/** Writes them into the folder `out`, which is served at `base`. */
export async function writeLlmsFiles(out: string, base: string, description: string): Promise<void> {
  const lines = ['# batchnorm', '', `> ${description}`];
  const texts: string[] = [];
  for (const { title, files } of contents) {
    lines.push('', `## ${title}`, '');
    for (const file of files) {
      const page = pageOf(file)!;
      const text = withSiteLinks(textOf(file), file, base);
      lines.push(`- [${titleOf(file)}](${base}${page}): ${summaryOf(text)}`);
      texts.push(text);
      await mkdir(dirname(join(out, page)), { recursive: true });
      await writeFile(join(out, page), text);
    }
  }
  lines.push('', '## API reference', '', `- [API reference](${base}api/index.html): every exported name, by package`);
  await writeFile(join(out, 'llms.txt'), `${lines.join('\n')}\n`);
  await writeFile(join(out, 'llms-full.txt'), texts.join('\n'));
}

/** Inline links alone: the docs have no others. */
function withSiteLinks(markdown: string, file: string, base: string): string {
  return markdown.replaceAll(/\]\(([^)\s]+)\)/g, (whole, link: string) =>
    /\.(png|svg)$/.test(link) ? whole : `](${resolveLink(link, file).replace(/^\//, base)})`,
  );
}

/** The first sentence below the first heading. */
function summaryOf(markdown: string): string {
  const [, paragraph] = /^# .*\n+([\s\S]*?)\n\n/m.exec(markdown)!;
  const [sentence] = /^.*?[.:](?=\s|$)/s.exec(paragraph!) ?? [paragraph!];
  return sentence
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/\s+/g, ' ')
    .replace(/:$/, '.');
}
