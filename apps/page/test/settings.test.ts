// Settings and addresses say the same.
import { describe, expect, it } from 'vitest';
import { backendNames } from '../src/backends.js';
import { defaultSettings, parseShapes, readSettings, type Settings, writeSettings } from '../src/visit/settings.js';

const ask = (query: string) => readSettings(new URLSearchParams(query));
const read = (query: string) => ask(query).settings;

describe('settings in the address', () => {
  it('are the defaults where it says nothing, and nothing is said of defaults', () => {
    expect(read('')).toEqual(defaultSettings);
    expect(writeSettings(defaultSettings)).toBe('');
  });

  it.for<Partial<Settings>>([
    { backends: ['js'] },
    { backends: [], kit: 'off' },
    { kit: 'all' },
    { shapes: [] },
    {
      shapes: [
        [4, 3, 5],
        [2, 2],
      ],
      rounds: 99,
    },
    { patience: 5 },
  ])('%o come back as they went', (changed) => {
    const settings = { ...defaultSettings, ...changed };
    expect(read(writeSettings(settings))).toEqual(settings);
  });

  it('have no problem where everything is known', () => {
    expect(ask('').problems).toEqual([]);
    expect(ask('?backends=wasm, js&kit=all&shapes=4x3,2*2&rounds=3&patience=9').problems).toEqual([]);
  });

  it.for<[query: string, ...problems: string[]]>([
    ['?shapes=5', "received shape '5', expected two or more sizes such as 256×64"],
    ['?rounds=0', "received rounds '0', expected a whole number from 1 to 100"],
    ['?rounds=1e9', "received rounds '1e9', expected a whole number from 1 to 100"],
    ['?patience=', "received patience '', expected a whole number from 1 to 1000"],
    ['?kit=maybe', "received kit 'maybe', expected fast, all, off"],
    ['?backends=foo', `received backends 'foo', expected some of ${backendNames.join(', ')}`],
    ['?backends=', `received backends '', expected some of ${backendNames.join(', ')}`],
    ['?backend=js', "received a parameter 'backend', expected backends, kit, shapes, rounds, patience"],
    [
      '?kit=on&rounds=x',
      "received kit 'on', expected fast, all, off",
      "received rounds 'x', expected a whole number from 1 to 100",
    ],
  ])('are the defaults where it says something wrong, which is named: %s', ([query, ...problems]) => {
    expect(ask(query)).toEqual({ settings: defaultSettings, problems });
  });

  it('are what is right where it says both', () => {
    const { settings, problems } = ask('?backends=nonsense,js&rounds=9&patience=-1');
    expect(settings).toEqual({ ...defaultSettings, backends: ['js'], rounds: 9 });
    expect(problems).toHaveLength(2);
    expect(problems[0]).toContain("received backends 'nonsense', expected some of");
  });

  it('have backends in the order of the table', () => {
    expect(read(`?backends=${backendNames.toReversed().join(',')}`).backends).toEqual(backendNames);
  });
});

describe('parseShapes', () => {
  it('takes ×, x and *, and spaces', () => {
    expect(parseShapes('256×64, 8x64X28 x 28; 2*3,')).toEqual([
      [256, 64],
      [8, 64, 28, 28],
      [2, 3],
    ]);
  });

  it.for([
    ['256', /received shape '256', expected two or more sizes/],
    ['0x4', /received shape '0x4'/],
    ['2.5x4', /received shape '2.5x4'/],
    ['axb', /received shape 'axb'/],
    ['100000x1000', /of 100000000 elements, expected at most 4194304/],
  ] as const)("refuses '%s'", ([text, message]) => {
    expect(() => parseShapes(text)).toThrow(message);
  });
});
