// A program as source text, for a test.
import type { Program } from './program.js';

/** A statement that runs the program on `backend`, an expression, with a line for each layer and step. */
export function printProgram({ layers, steps }: Program, backend = 'backend'): string {
  const lines = (values: readonly unknown[]) => values.map((value) => `    ${literal(value)},`);
  return [
    `expect(await runProgram(${backend}, {`,
    '  layers: [',
    ...lines(layers),
    '  ],',
    '  steps: [',
    ...lines(steps),
    '  ],',
    '})).toEqual([]);',
  ].join('\n');
}

/** As JSON, with names as JavaScript writes them. */
function literal(value: unknown): string {
  return JSON.stringify(value)
    .replace(/"(\w+)":/g, ' $1: ')
    .replaceAll('"', "'")
    .replaceAll(',', ', ')
    .replaceAll(/ +/g, ' ');
}
