// How error messages show what was received.

/** A short text for any value: `NaN`, `'abc'`, `Int32Array(6)`, `array of 3`, `undefined`. Never throws. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return value.length > 100 ? `'${value.slice(0, 100)}…'` : `'${value}'`;
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `${nameOf(value)}(${(value as Float32Array).length})`;
  if (typeof value === 'object' && value !== null) return nameOf(value);
  if (typeof value === 'function') return `function ${textOf(() => value.name)}`;
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

/** The name of the object's class, or 'object'. */
function nameOf(value: object): string {
  return textOf(() => value.constructor?.name) || 'object';
}

/** The text that `read` gets from a caller's property; '' where the property is no text, or its getter throws. */
function textOf(read: () => unknown): string {
  try {
    const text = read();
    return typeof text === 'string' ? text : '';
  } catch {
    return '';
  }
}

/** `[32, 10]`. Never throws, whatever the elements are. */
export function describeShape(shape: readonly unknown[]): string {
  return `[${Array.from(shape, (size) => (typeof size === 'number' ? size : describe(size))).join(', ')}]`;
}
