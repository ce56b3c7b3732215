// The page: every chart there, nothing asked for, names escaped.
import { describe, expect, it } from 'vitest';
import { operations } from '../src/cases/case.js';
import { reportPage } from '../src/report/page.js';
import { recordOf } from './records.js';

/** An attribute that makes a browser ask for something. */
const requested = /\s(src|srcset|href|xlink:href)\s*=\s*["'](?!data:|#)/i;

const contenders = ['js', 'wasm-1', 'gpujs-cpu'];
const of = (run: string) =>
  operations.flatMap((operation) => contenders.map((contender) => recordOf({ operation, contender, run })));
const first = of('2026-01-01T00:00:00.000Z');
const second = of('2026-01-02T00:00:00.000Z');

describe('the page', () => {
  const page = reportPage([...first, ...second], undefined);

  it('asks nobody for anything', () => {
    expect(requested.exec(page)).toBeNull();
    expect(/@import|url\((?!#)|<script/i.exec(page)).toBeNull();
  });

  it('has bars, a roofline, accuracy and a history for each operation, and all numbers', () => {
    expect(page.match(/<svg/g)).toHaveLength(4 * operations.length);
    for (const heading of ['How fast', 'How far from the limit', 'How accurate', 'Over commits', 'All numbers']) {
      expect(page).toContain(`<h2>${heading}</h2>`);
    }
    expect(page.match(/<td class="name">wasm-1<\/td>/g)).toHaveLength(operations.length);
    expect(page).toContain('20.0 µs');
  });

  it('draws nothing that is no number', () => {
    expect(/NaN|Infinity|undefined/.exec(page)).toBeNull();
  });

  it('shows the run that is asked for, with what came before it', () => {
    const earlier = reportPage([...first, ...second], '2026-01-01T00:00:00.000Z');
    expect(earlier).toContain('2026-01-01 00:00');
    expect(earlier).toContain('the only run of this machine');
    expect(() => reportPage(first, '1999')).toThrow('there is no run 1999');
    expect(() => reportPage([], undefined)).toThrow('there is no run');
  });

  it('keeps machines apart', () => {
    const machine = { ...recordOf().machine, fingerprint: 'another' };
    const other = first.map((record) => ({ ...record, machine }));
    expect(reportPage([...other, ...second], undefined)).toContain('the only run of this machine');
  });

  it('escapes what it is given', () => {
    const evil = reportPage([recordOf({ contender: '<script>alert(1)</script>' })], undefined);
    expect(/<script/.exec(evil)).toBeNull();
    expect(/&lt;script/.exec(evil)).not.toBeNull();
  });
});
