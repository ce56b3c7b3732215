// Keys that an object of a JSON text has more than once: of these JSON.parse keeps the last, and hides the others.
import { type JSONPath, visit } from 'jsonc-parser';

/** Their paths, such as 'cases[0].steps[1].x', in the order of the text. */
export function repeatedKeys(text: string): string[] {
  const repeated: string[] = [];
  const keysOfObjects: Set<string>[] = [];
  visit(text, {
    onObjectBegin: () => {
      keysOfObjects.push(new Set());
    },
    onObjectProperty: (key, _offset, _length, _line, _character, pathOfObject) => {
      const keys = keysOfObjects.at(-1)!;
      if (keys.has(key)) repeated.push(textOf([...pathOfObject(), key]));
      keys.add(key);
    },
    onObjectEnd: () => {
      keysOfObjects.pop();
    },
  });
  return repeated;
}

function textOf(path: JSONPath): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .slice(1);
}
