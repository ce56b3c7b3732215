// Blocks that show a file of the repository, whole or in pieces.
import type { Part } from './snippets.js';

/** The text of each file that blocks of a page show, by its path: their pieces, one after the other. */
export function shownFiles(parts: readonly Part[]): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const part of parts) {
    if (part.kind === 'code' && part.file !== undefined) files.set(part.file, (files.get(part.file) ?? '') + part.text);
  }
  return files;
}

/** What of a file must be in the page: all but blank lines and the comment that it opens with. */
export function comparable(code: string): string {
  return code.replace(/^(\/\/.*\n)+/, '').replaceAll(/^\n/gm, '');
}
