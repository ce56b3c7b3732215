// Where behaviours were tried on one backend: rules down, memory × layout × size across, an entry for each dtype. A
// place that no case covers, and where nothing says why, is a hole.

import type { Dtype } from '@batchnorm/core-api';
import { groupBy } from '@batchnorm/reporting';
import { type CaseResult, dtypes } from '../conformance.js';
import type { Cell, Layout, MemoryKind, SizeClass } from '../conformance-case.js';
import { reasonOf, type Status, signs } from '../counts.js';

export type Column = Omit<Cell, 'rule'>;

/** One cell of the matrix, in one dtype. */
export interface Place extends Cell {
  readonly dtype: Dtype;
}

export type EntryStatus = Status | 'hole';

/** What is to be said of a case that did not simply pass, or of there being none. */
export interface Remark {
  readonly status: EntryStatus;
  /** The message of a failure, the code of a refusal, the reason of a skip or of a hole. */
  readonly note: string;
}

export interface Entry {
  readonly place: Place;
  /** Of several cases: failed if one is, else passed if one is. */
  readonly status: EntryStatus;
  readonly remarks: readonly Remark[];
}

export interface Matrix {
  readonly rules: readonly string[];
  readonly dtypes: readonly Dtype[];
  /** By rule, then dtype, then column. */
  readonly entries: readonly Entry[];
}

/** What the axes say, for legends. */
export const axes: {
  readonly memory: Readonly<Record<MemoryKind, string>>;
  readonly layout: Readonly<Record<Layout, string>>;
  readonly size: Readonly<Record<SizeClass, string>>;
} = {
  memory: { host: 'typed arrays', allocated: 'allocated tensors', device: 'device tensors' },
  layout: { rows: 'rows of channels, inner = 1', runs: 'runs of one channel, inner > 1' },
  size: {
    small: 'a few values',
    blocks: 'on either side of one block',
    elements: 'on either side of 65,536 elements',
    'rows or channels': 'on either side of 65,536 rows, channels or runs',
  },
};

const keysOf = <Key extends string>(record: Readonly<Record<Key, string>>) => Object.keys(record) as Key[];

export const columns: readonly Column[] = keysOf(axes.memory).flatMap((memory) =>
  keysOf(axes.layout).flatMap((layout) => keysOf(axes.size).map((size) => ({ memory, layout, size }))),
);

/**
 * The matrix of one backend's results. Its rules and dtypes are those of `run`, the results of all backends, so that
 * what one of them was not asked is a hole. Undefined where there is nothing to place, such as golden files alone.
 */
export function matrixOf(results: readonly CaseResult[], run: readonly CaseResult[]): Matrix | undefined {
  const rules = [...new Set(run.flatMap(({ cell }) => cell?.rule ?? []))];
  if (results.length === 0 || rules.length === 0) return undefined;
  const tried = dtypes.filter((dtype) => run.some((result) => result.dtype === dtype));
  const placed = results.filter(({ cell }) => cell !== null);
  const found = groupBy(placed, ({ cell, dtype }) => placeText({ ...cell!, dtype }));
  const places = rules.flatMap((rule) =>
    tried.flatMap((dtype) => columns.map((column) => ({ rule, ...column, dtype }))),
  );
  const entries = places.map((place) => entryOf(place, found.get(placeText(place)) ?? []));
  return { rules, dtypes: tried, entries };
}

function entryOf(place: Place, results: readonly CaseResult[]): Entry {
  const status = (['failed', 'passed', 'refused', 'skipped'] as const).find((one) =>
    results.some((result) => result.status === one),
  );
  const remarks = results
    .filter((result) => result.status !== 'passed')
    .map((result) => ({ status: result.status, note: reasonOf(result) }));
  if (status === undefined) return hole(place, 'no case covers it');
  const explained = status === 'passed' || status === 'failed' || remarks.some(({ note }) => note !== '');
  return explained ? { place, status, remarks } : hole(place, `${status} without a reason`);
}

function hole(place: Place, note: string): Entry {
  return { place, status: 'hole', remarks: [{ status: 'hole', note }] };
}

/** The entries of one row, in the order of `columns`. */
export function entriesOf({ entries }: Matrix, rule: string, dtype: Dtype): Entry[] {
  return entries.filter(({ place }) => place.rule === rule && place.dtype === dtype);
}

export function holesOf(matrix: Matrix | undefined): Entry[] {
  return (matrix?.entries ?? []).filter(({ status }) => status === 'hole');
}

/** What a cell shows. */
export const entrySigns: Readonly<Record<EntryStatus, string>> = { ...signs, failed: '✗ FAIL', hole: 'HOLE' };

/** How many there are of each, such as '40 ✓', the most alarming last; without what there is none of. */
export function entryCounts(entries: readonly Entry[]): { readonly status: EntryStatus; readonly text: string }[] {
  return (['passed', 'refused', 'skipped', 'failed', 'hole'] as const)
    .map((status) => ({ status, count: entries.filter((entry) => entry.status === status).length }))
    .filter(({ count }) => count > 0)
    .map(({ status, count }) => ({ status, text: `${count} ${entrySigns[status]}` }));
}

export interface PlacedRemark extends Remark {
  readonly places: readonly Place[];
}

const alarm: readonly EntryStatus[] = ['hole', 'failed', 'refused', 'skipped'];

/** Everything that is to be said, once, with its places; the most alarming first. */
export function remarksOf({ entries }: Matrix): PlacedRemark[] {
  const placed = entries.flatMap(({ place, remarks }) => remarks.map((remark) => ({ remark, place })));
  return [...groupBy(placed, ({ remark }) => remarkKey(remark)).values()]
    .map((same) => ({ ...same[0]!.remark, places: [...new Set(same.map(({ place }) => place))] }))
    .sort((a, b) => alarm.indexOf(a.status) - alarm.indexOf(b.status));
}

/** The same for remarks that say the same. */
function remarkKey({ status, note }: Remark): string {
  return `${status} ${note}`;
}

/** Remarks as footnotes, and of each entry the numbers of its own, from 1 on. */
export function footnotesOf(matrix: Matrix): {
  readonly texts: readonly string[];
  readonly numbersOf: (entry: Entry) => number[];
} {
  const remarks = remarksOf(matrix);
  const numbers = new Map(remarks.map((remark, index) => [remarkKey(remark), index + 1]));
  return {
    texts: remarks.map((remark) => remarkText(remark, matrix)),
    numbersOf: (entry) => [...new Set(entry.remarks.map((remark) => numbers.get(remarkKey(remark))!))],
  };
}

/** Such as '40 refused: UNSUPPORTED (device)'. */
export function remarkText({ status, note, places }: PlacedRemark, matrix: Matrix): string {
  return `${places.length} ${status === 'hole' ? 'HOLE' : status}: ${note} (${placesText(places, matrix)})`;
}

/**
 * Places in few words: by the axes of which they have a part, such as 'device, float64', where that names them and no
 * other; else the first of them.
 */
export function placesText(places: readonly Place[], { rules, dtypes }: Matrix, most = 3): string {
  const named = Object.entries({
    rule: rules,
    memory: keysOf(axes.memory),
    layout: keysOf(axes.layout),
    size: keysOf(axes.size),
    dtype: dtypes,
  }).map(([axis, all]) => ({ all, some: new Set(places.map((place) => place[axis as keyof Place])) }));
  if (named.reduce((count, { some }) => count * some.size, 1) !== places.length) {
    return firstOf(places.map(placeText), most, '; ');
  }
  const parts = named.filter(({ all, some }) => some.size < all.length);
  return parts.length === 0 ? 'everywhere' : parts.map(({ some }) => firstOf([...some], most, ' and ')).join(', ');
}

function firstOf(texts: readonly string[], most: number, separator: string): string {
  const more = texts.length > most ? [`${texts.length - most} more`] : [];
  return [...texts.slice(0, most), ...more].join(separator);
}

/** Such as 'inputs are never written, device runs small, float32'. */
function placeText({ rule, memory, layout, size, dtype }: Place): string {
  return `${rule}, ${memory} ${layout} ${size}, ${dtype}`;
}
