// What Markdown leaves to the renderer, so that everybody can use the pages.
import type { MarkdownRenderer } from 'vitepress';

/** A plugin of markdown-it. */
export function makeAccessible(md: MarkdownRenderer): void {
  md.core.ruler.push('accessible', ({ tokens }) => {
    tokens.forEach((token, index) => {
      // Indented code scrolls and has the focus as fenced code does.
      if (token.type === 'code_block') Object.assign(token, { type: 'fence', info: 'text' });
      // A column without a title has no header that could be announced.
      if (token.type === 'th_open' && tokens[index + 1]!.content === '') {
        token.tag = 'td';
        tokens[index + 2]!.tag = 'td';
      }
    });
  });
}
