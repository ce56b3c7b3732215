// Keys that an object of a JSON text has more than once: of these JSON.parse keeps the last, and hides the others.
import { type JSONPath, visit } from 'jsonc-parser';

/**
 * Their paths, such as 'cases[0].steps[1].x', in the order of the text; a case with its name: `case 'a'
 * (cases[0]).steps[1].x`.
 */
export function repeatedKeys(text: string): string[] {
  const repeated: JSONPath[] = [];
  const names = new Map<number, unknown>();
  const keysOfObjects: Set<string>[] = [];
  visit(text, {
    onObjectBegin: () => {
      keysOfObjects.push(new Set());
    },
    onObjectProperty: (key, _offset, _length, _line, _character, pathOfObject) => {
      const keys = keysOfObjects.at(-1)!;
      if (keys.has(key)) repeated.push([...pathOfObject(), key]);
      keys.add(key);
    },
    onObjectEnd: () => {
      keysOfObjects.pop();
    },
    onLiteralValue: (value, _offset, _length, _line, _character, pathOfValue) => {
      const [cases, index, key, ...deeper] = pathOfValue();
      const isName = cases === 'cases' && key === 'name' && deeper.length === 0;
      if (isName && typeof index === 'number' && !names.has(index)) names.set(index, value);
    },
  });
  return repeated.map((path) => {
    const name = path[0] === 'cases' ? names.get(path[1] as number) : undefined;
    const place = textOf(path.slice(0, 2)).slice(1);
    return name === undefined ? textOf(path).slice(1) : `case '${name}' (${place})${textOf(path.slice(2))}`;
  });
}

function textOf(path: JSONPath): string {
  return path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`)).join('');
}
