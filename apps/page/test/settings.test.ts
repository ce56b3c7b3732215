// Settings and addresses say the same.
import { describe, expect, it } from 'vitest';
import { backendNames } from '../src/backends.js';
import { defaultSettings, parseShapes, readSettings, type Settings, writeSettings } from '../src/visit/settings.js';

const read = (query: string) => readSettings(new URLSearchParams(query));

describe('settings in the address', () => {
  it('are the defaults where it says nothing, and nothing is said of defaults', () => {
    expect(read('')).toEqual(defaultSettings);
    expect(writeSettings(defaultSettings)).toBe('');
  });

  it.for<Partial<Settings>>([
    { backends: ['js'] },
    { backends: [], kit: false },
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

  it('are the defaults where it says something wrong', () => {
    expect(read('?shapes=5&rounds=0&patience=-1&kit=maybe')).toEqual(defaultSettings);
    expect(read('?rounds=1e9&backends=nonsense,js')).toEqual({ ...defaultSettings, backends: ['js'] });
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
