// What a visit measures, as the visitor chose it. The page's address says the same, so that a choice can be shared.
import { product } from '@batchnorm/core-api';
import { type BackendName, backendNames } from '../backends.js';
import type { Shape } from '../shape.js';

/**
 * Which backends the conformance kit runs on: those that are `fast` enough to be recommended for something, or `all`,
 * which are then timed on every shape, too; `off`: none. What is timed is verified in any case.
 */
export const kitChoices = ['fast', 'all', 'off'] as const;
export type KitChoice = (typeof kitChoices)[number];

export interface Settings {
  readonly backends: readonly BackendName[];
  readonly kit: KitChoice;
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
  kit: 'fast',
  shapes: presetShapes.slice(1, 4),
  rounds: 7,
  patience: 60,
};

/** The largest values of what is counted. */
export const most = { rounds: 100, patience: 1000 } as const;

/** Most elements of a shape: some activations of it must fit a phone's memory, for each backend. */
export const mostElements = 2 ** 22;

/** '256×64, 8x64x28x28' as shapes. Errors: an `Error` that says what was received and what was expected. */
export function parseShapes(text: string): Shape[] {
  return itemsOf(text, /[,;]/).map((part) => {
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

/** A whole number from 1 to `most[name]`. Errors: an `Error` that says what was received and what was expected. */
export function parseCount(name: keyof typeof most, text: string): number {
  const count = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isSafeInteger(count) && count > 0 && count <= most[name]) return count;
  throw new Error(`received ${name} '${text}', expected a whole number from 1 to ${most[name]}`);
}

/** What an address asks for, and what it says that the page does not know. */
export interface Asked {
  readonly settings: Settings;
  /** One sentence for each value that was not understood: the default is in its place. */
  readonly problems: readonly string[];
}

const parsers: { readonly [Name in keyof Settings]: (text: string) => Settings[Name] } = {
  backends: (text) => {
    const names = text === none ? [] : itemsOf(text, /[\s,;]/);
    const unknown = names.filter((name) => !(backendNames as readonly string[]).includes(name));
    if (unknown.length > 0 || (names.length === 0 && text !== none)) {
      throw new Error(`received backends '${unknown.join(', ')}', expected some of ${backendNames.join(', ')}`);
    }
    return backendNames.filter((name) => names.includes(name));
  },
  kit: (text) => {
    const choice = kitChoices.find((one) => one === text);
    if (choice === undefined) throw new Error(`received kit '${text}', expected ${kitChoices.join(', ')}`);
    return choice;
  },
  shapes: (text) => (text === none ? [] : parseShapes(text)),
  rounds: (text) => parseCount('rounds', text),
  patience: (text) => parseCount('patience', text),
};

/** What a list without items says. */
const none = 'none';

/** What the address does not say is the default, and what it says wrong is, too. Of backends the known ones are taken. */
export function readSettings(query: URLSearchParams): Asked {
  const settings: Record<string, unknown> = { ...defaultSettings };
  const problems: string[] = [];
  for (const [name, text] of query) {
    if (!Object.hasOwn(parsers, name)) {
      problems.push(`received a parameter '${name}', expected ${Object.keys(parsers).join(', ')}`);
      continue;
    }
    try {
      settings[name] = parsers[name as keyof Settings](text);
    } catch (error) {
      problems.push((error as Error).message);
      const known = name === 'backends' ? backendNames.filter((one) => itemsOf(text, /[\s,;]/).includes(one)) : [];
      if (known.length > 0) settings[name] = known;
    }
  }
  return { settings: settings as unknown as Settings, problems };
}

function itemsOf(text: string, separator: RegExp): string[] {
  return text
    .split(separator)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The query that `readSettings` reads as these settings: only what differs from the defaults. */
export function writeSettings(settings: Settings): string {
  const texts = (of: Settings): Readonly<Record<keyof Settings, string>> => ({
    backends: of.backends.join(',') || none,
    kit: of.kit,
    shapes: of.shapes.map((shape) => shape.join('x')).join(',') || none,
    rounds: String(of.rounds),
    patience: String(of.patience),
  });
  const defaults = texts(defaultSettings);
  const parts = Object.entries(texts(settings)).filter(([name, text]) => text !== defaults[name as keyof Settings]);
  return parts.length === 0 ? '' : `?${parts.map((part) => part.join('=')).join('&')}`;
}
