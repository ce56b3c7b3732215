// Markdown of whatever text there is.
import { type Column, formatOf } from './table.js';

/** The lines of a table. Cells are Markdown already: plain texts go through `escapeMarkdown`. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const formats = columns.map(formatOf);
  return [
    row(formats.map(({ head }) => head)),
    row(formats.map(({ right = false }) => (right ? '---:' : '---'))),
    ...rows.map(row),
  ];
}

/** Plain text within one line: nothing in it is Markdown or HTML, and no address becomes a link. */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/[\\`*_~[\]<>|#&]/g, '\\$&')
    .replace(/:\/\//g, ': //')
    .replace(/\s+/g, ' ');
}
