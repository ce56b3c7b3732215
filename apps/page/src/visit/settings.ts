// What a visit measures, as the visitor chose it. The page's address says the same, so that a choice can be shared.
import { product } from '@batchnorm/core-api';
import { shapeText } from '@batchnorm/reporting';
import { type BackendName, backendNames } from '../backends.js';
import type { Shape } from '../shape.js';

export interface Settings {
  readonly backends: readonly BackendName[];
  /** Whether the conformance kit runs. */
  readonly kit: boolean;
  /** What is timed; none: nothing is. */
  readonly shapes: readonly Shape[];
  /** Interleaved rounds of timing. */
  readonly rounds: number;
  /** Seconds without a sign of life after which a worker counts as hung. */
  readonly patience: number;
}

export const presetShapes: readonly Shape[] = [
  [32, 10],
  [256, 64],
  [1024, 256],
  [8, 64, 28, 28],
  [4096, 512],
];

export const defaultSettings: Settings = {
  backends: backendNames,
  kit: true,
  shapes: presetShapes.slice(1, 4),
  rounds: 7,
  patience: 60,
};

/** Most elements of a shape: some activations of it must fit a phone's memory, for each backend. */
export const mostElements = 2 ** 22;

/** '256×64, 8x64x28x28' as shapes. Errors: an `Error` that says what was received and what was expected. */
export function parseShapes(text: string): Shape[] {
  return text
    .split(/[,;]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const shape = part.split(/\s*[x×*]\s*/i).map(Number);
      if (shape.length < 2 || !shape.every((size) => Number.isSafeInteger(size) && size > 0)) {
        throw new Error(`received shape '${part}', expected two or more sizes such as 256×64`);
      }
      const elements = product(shape);
      if (elements > mostElements) {
        throw new Error(`received shape '${part}' of ${elements} elements, expected at most ${mostElements}`);
      }
      return shape;
    });
}

/** What an address asks for. What it does not say is the default, and what it says wrong is, too. */
export function readSettings(query: URLSearchParams): Settings {
  const list = (name: string) => query.get(name)?.split(/[\s,]+/);
  const count = (name: 'rounds' | 'patience') => {
    const value = Number(query.get(name));
    return Number.isSafeInteger(value) && value > 0 && value <= 1000 ? value : defaultSettings[name];
  };
  const asked = list('backends');
  return {
    backends: asked ? backendNames.filter((name) => asked.includes(name)) : defaultSettings.backends,
    kit: query.get('kit') !== 'off',
    shapes: shapesOf(query.get('shapes')),
    rounds: count('rounds'),
    patience: count('patience'),
  };
}

function shapesOf(text: string | null): readonly Shape[] {
  if (text === null) return defaultSettings.shapes;
  try {
    return text === 'none' ? [] : parseShapes(text);
  } catch {
    return defaultSettings.shapes;
  }
}

/** The query that `readSettings` reads as these settings: only what differs from the defaults. */
export function writeSettings(settings: Settings): string {
  const { backends, kit, shapes, rounds, patience } = settings;
  const shapesIn = ({ shapes }: Settings) => shapes.map(shapeText).join(',').replaceAll('×', 'x') || 'none';
  const parts = [
    backends.length !== backendNames.length && `backends=${backends.join(',')}`,
    !kit && 'kit=off',
    shapesIn(settings) !== shapesIn(defaultSettings) && `shapes=${shapesIn({ ...settings, shapes })}`,
    rounds !== defaultSettings.rounds && `rounds=${rounds}`,
    patience !== defaultSettings.patience && `patience=${patience}`,
  ].filter((part) => part !== false);
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
