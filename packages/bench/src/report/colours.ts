// The colours of contenders, by family: 'gpujs', 'pytorch', 'straightforward', … Observable's ten, which are told apart
// on white and on black. A family keeps its colour from report to report.
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
