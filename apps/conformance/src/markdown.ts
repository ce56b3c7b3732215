// Markdown of whatever text there is.

export const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** Plain text within one line: nothing in it is Markdown or HTML. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_~[\]<>|#&]/g, '\\$&').replace(/\s+/g, ' ');
}
