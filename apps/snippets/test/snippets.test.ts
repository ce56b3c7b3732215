// How a page is taken apart, and what would be noticed.
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { comparable, shownFiles } from '../src/pieces.js';
import { programOf } from '../src/program.js';
import { commandsOf, problemsOf } from '../src/shell.js';
import { partsOf } from '../src/snippets.js';

const block = (language: string, code: string) => `\`\`\`${language}\n${code}\n\`\`\`\n`;
const ts = (code: string) => block('ts', code);

describe('a page', () => {
  it('has blocks, also in lists, and hidden code, each with its line', () => {
    const page = `# Title\n\n<!-- snippet\nconst a = 1;\n-->\n\n${ts('a;')}\n- item\n\n  \`\`\`sh\n  pnpm test\n  \`\`\`\n`;
    expect(partsOf(page)).toMatchObject([
      { kind: 'code', language: 'ts', hidden: true, line: 2, text: 'const a = 1;\n' },
      { kind: 'code', language: 'ts', hidden: false, line: 6, text: 'a;\n' },
      { kind: 'code', language: 'sh', hidden: false, line: 12, text: 'pnpm test\n' },
    ]);
  });

  it('says of the next block why it is not run, which file it shows, what its text is called', () => {
    const page = `<!-- snippet: not run: needs\n  a GPU -->\n\n${ts('a;')}\n<!-- snippet: file src/a.js -->\n\n${block('js', 'b;')}\n<!-- snippet: constant text -->\n\n${block('json', '{}')}\n<!-- snippet: needs mpi -->\n`;
    expect(partsOf(page)).toMatchObject([
      { text: 'a;\n', notRun: 'needs a GPU' },
      { text: 'b;\n', file: 'src/a.js' },
      { text: '{}\n', constant: 'text' },
      { kind: 'need', name: 'mpi' },
    ]);
  });

  it.for([
    ['a comment that nobody knows', `<!-- snippet: skip -->\n\n${ts('a;')}`, 'line 1: '],
    ['a need that nobody knows', '<!-- snippet: needs luck -->\n', 'line 1: '],
    ['a comment without a reason', `<!-- snippet: not run: -->\n\n${ts('a;')}`, 'line 1: '],
    ['a comment with text before its block', `\n<!-- snippet: not run: a GPU -->\n\ntext\n\n${ts('a;')}`, 'line 2: '],
    ['a comment without a block', '<!-- snippet: not run: a GPU -->\n', 'line 1: '],
  ] as const)('is refused for %s', ([, page, message]) => {
    expect(() => partsOf(page)).toThrow(message);
  });

  it('may have other comments', () => expect(partsOf('<!-- a note -->\n\n<!-- snippets are nice -->\n')).toEqual([]));
});

describe('a program', () => {
  it('has each block on its lines, in the scope of those before it', () => {
    const page = `# Title\n\n${ts("import { a, b as c } from 'x';\n\nconst d = a;")}\ntext\n\n${ts("import * as e from 'y';\nconst d = 2;")}`;
    expect(programOf(partsOf(page))!.split('\n')).toEqual([
      "export {}; import { a } from 'x'; import { b as c } from 'x'; import * as e from 'y';",
      '',
      '{',
      '',
      '',
      'const d = a;',
      '',
      '',
      '',
      '',
      '{',
      '',
      'const d = 2;',
      '',
      '}}',
      '',
    ]);
  });

  it('imports a name once, however often blocks do', () => {
    const page = ts("import { a } from 'x';") + ts("import { a } from 'x';");
    expect(programOf(partsOf(page))!.match(/import/g)).toHaveLength(1);
  });

  it('has a file that is shown whole, and none that is shown in pieces', () => {
    const shown = (code: string) => `<!-- snippet: file a.ts -->\n\n${ts(code)}\n`;
    expect(programOf(partsOf(shown('whole();')))).toContain('whole();');
    expect(programOf(partsOf(shown('f(') + shown(');')))).toBeUndefined();
    expect(shownFiles(partsOf(shown('f(') + shown(');')))).toEqual(new Map([['a.ts', 'f(\n);\n']]));
  });

  it('is none where there is nothing but hidden code', () => {
    expect(programOf(partsOf('<!-- snippet\nconst a = 1;\n-->\n'))).toBeUndefined();
  });
});

it('a file differs from a page in blank lines and in its first comment alone', () => {
  expect(comparable('// What it is for.\n// More.\nconst a = 1;\n\nconst b = 2;\n')).toBe(
    'const a = 1;\nconst b = 2;\n',
  );
});

describe('a shell block', () => {
  const root = fileURLToPath(new URL('../../..', import.meta.url));

  it('is commands, without comments and what they set in their environment', () => {
    expect(commandsOf('A=1 pnpm test # all\n(cd x && \\\n  pnpm build)\n')).toEqual([
      ['pnpm', 'test'],
      ['cd', 'x'],
      ['pnpm', 'build'],
    ]);
  });

  it.for([
    'pnpm nothing',
    'pnpm --filter @batchnorm/page nothing',
    'pnpm --filter @batchnorm/nothing test',
    'pnpm exec nothing',
    'npm install batchnorms',
    'npx batchnorm',
    'node nothing.js',
    'mpirun -np 2 node nothing.js',
    'nothing',
  ])('is wrong with %s', (command) => expect(problemsOf(command, '.', root)).toHaveLength(1));

  it.for([
    'pnpm test',
    'npm install batchnorm koffi',
    'npx @batchnorm/weights inspect a',
    'node scripts/compare-bits.mjs ../before .',
    'xvfb-run -a -s "-ac -screen 0" pnpm test',
  ])('is right with %s', (command) => expect(problemsOf(command, '.', root)).toEqual([]));
});
