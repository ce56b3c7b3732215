// Numbers, tables and Markdown as every report has them.
import { describe, expect, it } from 'vitest';
import {
  boundText,
  digitsText,
  escapeMarkdown,
  intervalText,
  markdownTable,
  percentText,
  ratioText,
  right,
  threadsText,
  timeText,
  ulpText,
} from '../src/index.js';
import { textTable } from '../src/terminal.js';

describe('a number', () => {
  it.each([
    [3.14159e-8, '0.031 µs'],
    [0.000346, '346 µs'],
    [0.0012345, '1.23 ms'],
    [0.02, '20.0 ms'],
    [61, '61.0 s'],
  ])('of %d seconds is %s', (seconds, text) => expect(timeText(seconds)).toBe(text));

  it.each([
    [1.234, '123 %'],
    [0.345, '35 %'],
    [0.0345, '3.5 %'],
    [0.05, '5.0 %'],
    [0, '0 %'],
    [1e-9, '< 0.1 %'],
    [Number.NaN, 'unknown'],
  ])('of %d parts is %s', (share, text) => expect(percentText(share)).toBe(text));

  it.each([
    [0, '0.00'],
    [5.2, '5.20'],
    [1234.4, '1234'],
    [0.0421, '0.042'],
    [Number.NaN, '–'],
  ])('of %d in a column is %s', (value, text) => expect(digitsText(value)).toBe(text));

  it('that is an error has a bound, or no end', () => {
    expect([0.25, 12345, Number.POSITIVE_INFINITY].map(boundText)).toEqual(['0.2500', '1.2e+4', '∞']);
    expect([0, 1.5, 1e-9, Number.POSITIVE_INFINITY].map(ulpText)).toEqual(['0', '1.50', '1.0e-9', '∞']);
  });

  it('comes with its interval, its factor, its noun', () => {
    expect(intervalText({ median: 2e-6, low: 1e-6, high: 3e-6 }, 1e6)).toBe('2.00 [1.00, 3.00]');
    expect([ratioText(1.849), threadsText(1), threadsText(2)]).toEqual(['1.8×', '1 thread', '2 threads']);
  });
});

describe('a table', () => {
  const columns = ['name', right('size')];

  it('is Markdown', () => {
    expect(markdownTable(columns, [['a', '1']])).toEqual(['| name | size |', '| --- | ---: |', '| a | 1 |']);
  });

  it('is text, with numbers that end below each other', () => {
    expect(textTable(columns, [['a', '1']]).split('\n')).toContain('│ a    │    1 │');
  });
});

it('escapes what Markdown and HTML would read, and addresses, in one line', () => {
  expect(escapeMarkdown('a|b <i> *c*\nhttps://d')).toBe('a\\|b \\<i\\> \\*c\\* https: //d');
});
