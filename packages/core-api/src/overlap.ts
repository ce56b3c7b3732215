// Buffers that share memory: an output written over an input, or over another output, destroys what is still needed.
import type { Activation } from './activation.js';
import { refuse } from './errors.js';
import type { OnDevice } from './tensor.js';

/** The memory of an activation or vector. On the device, two regions share memory only if they are one object. */
type Region = Activation | Float64Array | OnDevice<unknown>;

/** Whether two regions begin at the same byte. */
export function sameMemory(a: Region, b: Region): boolean {
  const [viewA, viewB] = [viewOf(a), viewOf(b)];
  if (viewA === undefined || viewB === undefined) return a === b;
  return viewA.buffer === viewB.buffer && viewA.byteOffset === viewB.byteOffset;
}

/** Regions by name. Undefined ones are skipped. */
type Regions = Readonly<Record<string, Region | undefined>>;

/** Errors: `INVALID_TENSOR` where an output shares memory with another output or an input. */
export function assertSeparate(outputs: Regions, inputs: Regions): void {
  // As a rule each has a buffer of its own, and that is seen faster than how two lie in one.
  const written = holdersOf(outputs);
  if (areDistinct(written, holdersOf(inputs))) return;
  for (const name in outputs) {
    for (const other in inputs) assertApart(name, outputs[name], other, inputs[other]);
    for (const other in outputs) {
      if (other === name) break;
      assertApart(other, outputs[other], name, outputs[name]);
    }
  }
}

/** What two regions have in common if they share memory. */
function holdersOf(regions: Regions): unknown[] {
  const holders: unknown[] = [];
  for (const name in regions) {
    const region = regions[name];
    if (region !== undefined) holders.push(viewOf(region)?.buffer ?? region);
  }
  return holders;
}

/** Whether each of `some` is there once, and none of `others` is among them. */
function areDistinct(some: readonly unknown[], others: readonly unknown[]): boolean {
  for (let k = 0; k < some.length; k++) {
    for (let n = 0; n < k; n++) if (some[n] === some[k]) return false;
    for (let n = 0; n < others.length; n++) if (others[n] === some[k]) return false;
  }
  return true;
}

function assertApart(name: string, output: Region | undefined, otherName: string, other: Region | undefined): void {
  if (output !== undefined && other !== undefined && overlap(output, other)) {
    refuse('INVALID_TENSOR', `${name} that shares memory with ${otherName}`, 'separate buffers');
  }
}

function overlap(a: Region, b: Region): boolean {
  const [viewA, viewB] = [viewOf(a), viewOf(b)];
  if (viewA === undefined || viewB === undefined) return a === b;
  return (
    viewA.buffer === viewB.buffer &&
    viewA.byteOffset < viewB.byteOffset + viewB.byteLength &&
    viewB.byteOffset < viewA.byteOffset + viewA.byteLength
  );
}

/** The elements of a region on the host; undefined for one on the device. */
function viewOf(region: Region): ArrayBufferView | undefined {
  if (ArrayBuffer.isView(region)) return region;
  return 'data' in region ? region.data : undefined;
}
