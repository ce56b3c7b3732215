// What counts as caught, and what the list of equivalents may say.
import { describe, expect, it } from 'vitest';
import type { Equivalents } from '../src/equivalents.js';
import type { Mutant } from '../src/mutant.js';
import { fractionOf, judge, total, unknownChanges } from '../src/score.js';

const location = { start: { line: 1, column: 1 }, end: { line: 1, column: 2 } };
const mutant = (file: string, to: string, status: Mutant['status']): Mutant => ({
  file,
  within: 'f',
  location,
  from: 'a < b',
  to,
  status,
});
const listed = (files: string[], ...changes: string[]): Equivalents => ({
  because: 'of this test',
  files,
  mutants: changes.map((to) => ['a < b', to]),
});

const mutants = [
  mutant('a.ts', 'a <= b', 'Killed'),
  mutant('a.ts', 'a >= b', 'Timeout'),
  mutant('a.ts', 'true', 'Survived'),
  mutant('a.ts', 'false', 'NoCoverage'),
  mutant('a.ts', 'a <', 'CompileError'),
  mutant('a.ts', '""', 'Ignored'),
  mutant('b.ts', 'true', 'Survived'),
];

describe('a mutant', () => {
  it('is caught by a test that fails or does not end, and survives where no test reaches it', () => {
    const { scores, survivors } = judge(mutants, []);
    expect(scores).toEqual(
      new Map([
        ['a.ts', { caught: 2, endless: 1, survived: 2, equivalent: 0 }],
        ['b.ts', { caught: 0, endless: 0, survived: 1, equivalent: 0 }],
      ]),
    );
    expect(survivors.map(({ file, to }) => [file, to])).toEqual([
      ['a.ts', 'true'],
      ['a.ts', 'false'],
      ['b.ts', 'true'],
    ]);
  });

  it('is left out of the score where it is listed, in the files that are listed with it', () => {
    const { scores, survivors } = judge(mutants, [listed(['a.ts'], 'true')]);
    expect(scores.get('a.ts')).toEqual({ caught: 2, endless: 1, survived: 1, equivalent: 1 });
    expect(survivors.map(({ file, to }) => [file, to])).toEqual([
      ['a.ts', 'false'],
      ['b.ts', 'true'],
    ]);
  });
});

describe('the list of equivalents', () => {
  it('may speak of some functions alone', () => {
    const inFunction = (name: string) => ({ ...listed(['a.ts'], 'true'), within: [name] });
    expect(judge(mutants, [inFunction('f')]).scores.get('a.ts')).toMatchObject({ equivalent: 1 });
    expect(judge(mutants, [inFunction('g')]).scores.get('a.ts')).toMatchObject({ equivalent: 0 });
  });

  it('may not name a mutant that is caught', () => {
    const { notEquivalent } = judge(mutants, [listed(['a.ts'], 'a <= b', 'true')]);
    expect(notEquivalent).toEqual([mutants[0]]);
  });

  it('may not name what is no mutant of a file that was mutated', () => {
    expect(unknownChanges(mutants, [listed(['a.ts', 'b.ts', 'c.ts'], 'true', 'false')])).toEqual([
      'b.ts: a < b → false',
    ]);
  });
});

describe('a score', () => {
  it('is what was caught of all that are not equivalent', () => {
    const { scores } = judge(mutants, [listed(['b.ts'], 'true')]);
    expect(fractionOf(total(scores.values()))).toBe(0.5);
  });

  it('is 1 where there is nothing to catch', () => {
    expect(fractionOf(total([]))).toBe(1);
  });
});
