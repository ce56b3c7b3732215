// The colours of contenders, by family: 'gpujs', 'pytorch', 'straightforward', … Observable's ten, which are told apart
// on white and on black. A family keeps its colour from report to report; its members differ in their dashes.
import type { Family } from '@batchnorm/catalogue';
import type { HistoryRecord } from '../history/record.js';

const ofBackends: Readonly<Record<Family, string>> = {
  js: '#efb118',
  wasm: '#3ca951',
  webgpu: '#9498a0',
  gpujs: '#4269d0',
};

const all: Readonly<Record<string, string>> = {
  ...ofBackends,
  layer: '#ff725c',
  straightforward: '#9c6b4e',
  pytorch: '#a463f2',
  numpy: '#6cc5b0',
  onnxruntime: '#97bbf5',
  tfjs: '#ff8ab7',
};

/** A colour for each family. */
export type Colours = ReadonlyMap<string, string>;

export function familyOf({ contender, kind }: Pick<HistoryRecord, 'contender' | 'kind'>): string {
  return kind === 'straightforward' || kind === 'layer' ? kind : contender.split('-')[0]!;
}

/** The colours of the families that are there. */
export function coloursOf(records: readonly HistoryRecord[]): Colours {
  const families = [...new Set(records.map(familyOf))].sort();
  return new Map(families.map((family) => [family, all[family] ?? '#5f6470']));
}

/** How a line is drawn. */
export interface Look {
  readonly colour: string;
  /** As SVG's stroke-dasharray has it. */
  readonly dash: string;
}

/** The looks of lines, by their labels. */
export type Looks = ReadonlyMap<string, Look>;

/** Dotted lines are limits. */
const dashes = ['none', '7 3', '3 3', '9 3 2 3', '14 4', '6 2 2 2 2 2', '2 6', '18 3 3 3', '5 8', '12 3 6 3'] as const;

/** A look for each label, given its family: no two of one family are alike, up to ten. */
export function looksOf(families: ReadonlyMap<string, string>, colours: Colours): Looks {
  const labels = [...families.keys()].sort();
  return new Map(
    labels.map((label) => {
      const family = families.get(label)!;
      const place = labels.filter((other) => families.get(other) === family).indexOf(label);
      return [label, { colour: colours.get(family)!, dash: dashes[place % dashes.length]! }];
    }),
  );
}
