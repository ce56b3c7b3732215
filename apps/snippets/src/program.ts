// The ts and js blocks of a page as one program, each on the lines that it has in the page: so whatever a compiler or a
// stack says of a line is true of the Markdown file.
import type { Code, Part } from './snippets.js';

/**
 * Each block is in the scope of those before it, in a scope of its own: it sees their names, and may declare them again.
 * Pieces of a file are left out. Undefined where no reader sees anything of it.
 */
export function programOf(parts: readonly Part[]): string | undefined {
  const blocks = parts.filter((part): part is Code => part.kind === 'code' && !isPiece(part, parts));
  const scripts = blocks.filter(({ language }) => ['ts', 'js'].includes(language));
  if (scripts.every(({ hidden }) => hidden)) return undefined;
  const imports = new Set<string>();
  const lines: string[] = [];
  let depth = 0;
  for (const block of blocks) {
    const { line, text, constant } = block;
    if (constant !== undefined) {
      put(lines, line, `{ const ${constant} = ${JSON.stringify(text)};`);
      depth++;
    } else if (scripts.includes(block)) {
      put(lines, line, '{');
      withoutImports(text, imports)
        .split('\n')
        .forEach((code, index) => {
          put(lines, line + 1 + index, code);
        });
      depth++;
    }
  }
  put(lines, lines.length, '}'.repeat(depth));
  put(lines, 0, `export {}; ${[...imports].join(' ')}`);
  return `${Array.from(lines, (line) => line ?? '').join('\n')}\n`;
}

/** Whether other blocks show more of its file, which then runs where it is tested. */
function isPiece({ file }: Code, parts: readonly Part[]): boolean {
  return file !== undefined && parts.filter((part) => part.kind === 'code' && part.file === file).length > 1;
}

function put(lines: string[], index: number, text: string): void {
  lines[index] = lines[index] ? `${text} ${lines[index]}` : text;
}

const importStatement = /^import\s+(?:(type\s+)?(?:\*\s+as\s+(\w+)|\{([^}]*)\}|(\w+))\s+from\s+)?('[^']+');?/gm;

/** Takes them out of `code`, as a scope has no imports, and adds one for each name to `imports`. */
function withoutImports(code: string, imports: Set<string>): string {
  return code.replaceAll(importStatement, (whole, type = '', all, names, byDefault, from) => {
    if (!all && !byDefault && names === undefined) imports.add(`import ${from};`);
    if (all) imports.add(`import ${type}* as ${all} from ${from};`);
    if (byDefault) imports.add(`import ${type}${byDefault} from ${from};`);
    for (const name of (names ?? '').split(',')) {
      if (name.trim() !== '') imports.add(`import ${type}{ ${name.trim()} } from ${from};`);
    }
    return whole.replaceAll(/[^\n]/g, '');
  });
}
