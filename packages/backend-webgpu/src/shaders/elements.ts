// The elements of an activation in a shader: their types, and how masks and gates of ReLU lie beside them.
import { group, type LayoutClass } from './layout.js';

/** The type of what is computed with: a number, or four of them. */
export function computedType({ width }: LayoutClass): 'f32' | 'vec4f' {
  return width === 4 ? 'vec4f' : 'f32';
}

/** A gate is a bit per number, those of `group` rows in a word: this many words. */
export function gateWords({ rows, columns }: { readonly rows: number; readonly columns: number }): number {
  return Math.ceil(rows / group) * columns;
}

/** `gateOf(bits, k)`: which numbers ReLU let pass, of row k of its group; `gateBits(z, least)`: those bits of one row. */
export function gateText({ width }: LayoutClass): string {
  return width === 4
    ? `
fn gateOf(bits: u32, k: u32) -> vec4<bool> {
  return (vec4u(bits >> (4u * k)) & vec4u(1u, 2u, 4u, 8u)) != vec4u();
}
fn gateBits(z: vec4f, least: u32) -> u32 {
  return u32(passes(z.x, least)) | (u32(passes(z.y, least)) << 1u) | (u32(passes(z.z, least)) << 2u) | (u32(passes(z.w, least)) << 3u);
}`
    : `
fn gateOf(bits: u32, k: u32) -> bool { return ((bits >> k) & 1u) != 0u; }
fn gateBits(z: f32, least: u32) -> u32 { return u32(passes(z, least)); }`;
}

/** `counts(row, column)`: which numbers have a part in the statistics. A mask has a byte for each position. */
export function maskText({ arrangement, width }: LayoutClass): string {
  if (arrangement === 'runs' && width === 4) {
    return `
fn counts(row: u32, column: u32) -> vec4<bool> {
  let word = mask[(row / P.channels) * P.columns + column];
  return (vec4u(word) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u)) != vec4u();
}`;
  }
  const position = arrangement === 'rows' ? 'row' : '(row / P.channels) * P.columns + column';
  const byte = `((mask[position / 4u] >> (8u * (position % 4u))) & 0xffu) != 0u`;
  return `
fn counts(row: u32, column: u32) -> ${width === 4 ? 'vec4<bool>' : 'bool'} {
  let position = ${position};
  return ${width === 4 ? `vec4<bool>(${byte})` : byte};
}`;
}
