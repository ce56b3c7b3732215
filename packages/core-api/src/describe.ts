// How error messages show what was received.

/** A short text for any value: `NaN`, `'abc'`, `Int32Array(6)`, `array of 3`, `undefined`. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `array of ${value.length}`;
  if (ArrayBuffer.isView(value)) return `${value.constructor.name}(${(value as Float32Array).length})`;
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'object';
  if (typeof value === 'function') return `function ${value.name}`;
  return String(value);
}

/** `[32, 10]` */
export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(', ')}]`;
}
