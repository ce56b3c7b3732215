// The matrix of behaviours as data: every place has an entry, and one that nothing explains is a hole.
import { describe, expect, it } from 'vitest';
import { columns, entriesOf, holesOf, matrixOf, placesText, remarksOf } from '../../src/report/matrix.js';
import { resultAt, rules, wholeMatrix } from './made-up-results.js';

const matrixAlone = (results: ReturnType<typeof wholeMatrix>) => matrixOf(results, results)!;

describe('the matrix', () => {
  it('has an entry for each rule, dtype, memory, layout and size', () => {
    const matrix = matrixAlone(wholeMatrix());
    expect(columns).toHaveLength(3 * 2 * 4);
    expect(matrix.entries).toHaveLength(rules.length * 2 * columns.length);
    expect(matrix.entries.every(({ status }) => status === 'passed')).toBe(true);
    expect(entriesOf(matrix, rules[1], 'float64').map(({ place }) => place)).toEqual(
      columns.map((column) => ({ rule: rules[1], ...column, dtype: 'float64' })),
    );
    expect(holesOf(matrix)).toEqual([]);
    expect(remarksOf(matrix)).toEqual([]);
  });

  it('is not there where no result has a place in it, nor for a backend that did not run', () => {
    expect(matrixOf([resultAt(null, 'float32')], [resultAt(null, 'float32')])).toBeUndefined();
    expect(matrixOf([], wholeMatrix())).toBeUndefined();
  });

  it('has the dtypes that ran', () => {
    expect(matrixAlone(wholeMatrix((_, dtype) => (dtype === 'float32' ? {} : null))).dtypes).toEqual(['float32']);
  });

  it('has a hole where no case is', () => {
    const results = wholeMatrix(({ rule, memory, size }, dtype) =>
      rule === rules[0] && memory === 'host' && size === 'blocks' && dtype === 'float32' ? null : {},
    );
    expect(holesOf(matrixAlone(results))).toEqual(
      (['rows', 'runs'] as const).map((layout) => ({
        place: { rule: rules[0], memory: 'host', layout, size: 'blocks', dtype: 'float32' },
        status: 'hole',
        remarks: [{ status: 'hole', note: 'no case covers it' }],
      })),
    );
  });

  it('has holes for a rule that another backend was asked', () => {
    const ofOneRule = wholeMatrix(({ rule }) => (rule === rules[0] ? {} : null));
    expect(holesOf(matrixOf(ofOneRule, wholeMatrix()))).toHaveLength(2 * columns.length);
  });

  it.each(['skipped', 'refused'] as const)('has a hole where a case was %s and does not say why', (status) => {
    const results = wholeMatrix(({ memory, size }) => (memory === 'device' && size === 'small' ? { status } : {}));
    const holes = holesOf(matrixAlone(results));
    expect(holes).toHaveLength(rules.length * 2 * 2);
    expect(holes[0]!.remarks).toEqual([{ status: 'hole', note: `${status} without a reason` }]);
  });

  it('takes a reason and a code for an explanation', () => {
    const results = wholeMatrix(({ memory, layout }) =>
      memory === 'device'
        ? { status: 'refused', code: 'UNSUPPORTED' }
        : layout === 'runs'
          ? { status: 'skipped', messages: ['it has no runs'] }
          : {},
    );
    const matrix = matrixAlone(results);
    expect(holesOf(matrix)).toEqual([]);
    expect(remarksOf(matrix).map(({ status, note, places }) => [status, note, placesText(places, matrix)])).toEqual([
      ['refused', 'UNSUPPORTED', 'device'],
      ['skipped', 'it has no runs', 'host and allocated, runs'],
    ]);
  });

  it('shows the failure of one case beside others that pass, and a pass beside a skip', () => {
    const [first] = wholeMatrix();
    const more = [
      resultAt(first!.cell, 'float32', { status: 'failed', messages: ['x: it does not hold', 'dy: nor this'] }),
      resultAt(first!.cell, 'float64', { status: 'skipped', messages: ['once is enough'] }),
    ];
    const matrix = matrixAlone([...wholeMatrix(), ...more]);
    expect(entriesOf(matrix, rules[0], 'float32')[0]).toMatchObject({
      status: 'failed',
      remarks: [{ status: 'failed', note: 'x: it does not hold' }],
    });
    expect(entriesOf(matrix, rules[0], 'float64')[0]).toMatchObject({
      status: 'passed',
      remarks: [{ status: 'skipped', note: 'once is enough' }],
    });
  });

  it('names places by the axes that they have a part of, or the first of them', () => {
    const matrix = matrixAlone(wholeMatrix());
    const places = matrix.entries.map(({ place }) => place);
    expect(placesText(places, matrix)).toBe('everywhere');
    expect(
      placesText(
        places.filter(({ dtype, size }) => dtype === 'float64' && size !== 'small'),
        matrix,
      ),
    ).toBe('blocks and elements and rows or channels, float64');
    const scattered = places.filter((_, index) => index % 7 === 0);
    expect(placesText(scattered, matrix)).toBe(
      `inputs are never written, host rows small, float32; inputs are never written, host runs rows or channels, float32; \
inputs are never written, allocated runs elements, float32; ${scattered.length - 3} more`,
    );
  });
});
