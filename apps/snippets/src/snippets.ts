// What a Markdown file has to run: its code blocks, and the comments that are for them alone. CONTRIBUTING.md says how
// they are written.
import MarkdownIt from 'markdown-it';

/** A place in a Markdown file: `line` counts from 0, and is that of the opening fence, or of `<!--`. */
interface Place {
  readonly line: number;
}

export interface Code extends Place {
  readonly kind: 'code';
  /** Of a hidden part: ts. */
  readonly language: string;
  /** Its first line is the one after `line`. */
  readonly text: string;
  /** Whether it stands in a comment, which readers do not see. */
  readonly hidden: boolean;
  /** Why it is not run, from the comment before it. */
  readonly notRun?: string;
  /** The file that it is, or a piece of. */
  readonly file?: string;
  /** What the programs of this page call its text. */
  readonly constant?: string;
}

/** What the program of the page needs. */
export interface Need extends Place {
  readonly kind: 'need';
  readonly name: (typeof needs)[number];
}

const needs = ['webgpu', 'mpi', 'chromium'] as const;

export type Part = Code | Need;

const markdown = new MarkdownIt({ html: true });

/** In the order of the page. Throws where a comment is none of those that there are, or has no block after it. */
export function partsOf(page: string): Part[] {
  const parts: Part[] = [];
  let about: (Place & Partial<Pick<Code, 'notRun' | 'file' | 'constant'>>) | undefined;
  for (const { type, content, info, map } of markdown.parse(page, {})) {
    const line = map?.[0] ?? 0;
    if (type === 'fence') {
      parts.push({ kind: 'code', hidden: false, language: info, text: content, ...about, line });
      about = undefined;
    } else if (type === 'code_block') {
      // Indented by four columns: output and drawings.
    } else if (type === 'html_block') {
      for (const [whole, text] of content.matchAll(/<!--\s*snippet\b(.*?)-->/gs)) {
        const at = line + newlinesIn(content.slice(0, content.indexOf(whole)));
        const [first, ...rest] = text!.split('\n');
        if (first!.trim() === '' && rest.length > 0) {
          parts.push({ kind: 'code', hidden: true, language: 'ts', text: rest.join('\n'), line: at });
          continue;
        }
        const [, verb, argument] = /^: *(not run:|file|constant|needs)\s+(.+)$/s.exec(text!.trimEnd()) ?? [];
        const name = needs.find((need) => need === argument);
        if (verb === undefined || (verb === 'needs' && name === undefined)) {
          throw new Error(`line ${at + 1}: “snippet${text!.trimEnd()}” is none of the comments in CONTRIBUTING.md.`);
        }
        if (name !== undefined && verb === 'needs') parts.push({ kind: 'need', name, line: at });
        else about = { ...about, line: at, [verb === 'not run:' ? 'notRun' : verb]: argument!.replaceAll(/\s+/g, ' ') };
      }
    } else if (about !== undefined) {
      throw new Error(`line ${about.line + 1}: the next thing after this comment must be its code block.`);
    }
  }
  if (about !== undefined) throw new Error(`line ${about.line + 1}: no code block follows this comment.`);
  return parts;
}

const newlinesIn = (text: string) => text.split('\n').length - 1;
