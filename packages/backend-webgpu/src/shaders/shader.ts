// A shader as it is compiled: its text, and which buffers it wants.
import { arithmeticText } from './arithmetic.js';
import { parametersText } from './parameters.js';
import { coefficientsText, gradientsText, momentsText, partialText } from './tables.js';

/** Buffers by name, in the order of their bindings, which begin at 1: binding 0 is the uniform buffer. */
export type Bindings = Readonly<Record<string, Binding>>;

export interface Binding {
  /** The type in the shader. */
  readonly type: string;
  readonly isWritten?: boolean;
}

export interface Shader {
  readonly code: string;
  readonly bindings: Bindings;
}

/** Parameters of an entry point whose workgroups may have two dimensions, because one has 65,535 at most. */
export const workgroupParameters: string = `
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) workgroups: vec3u,`;

/** Declares `id`, the number of the workgroup. */
export const workgroupNumber = 'let id = workgroupId.y * workgroups.x + workgroupId.x;';

/** `body` is of functions, of which `main` is the entry point; `enable` the extensions that it needs. */
export function shader(bindings: Bindings, body: string, enable: readonly string[] = []): Shader {
  const declarations = Object.entries(bindings).map(([name, { type, isWritten }], index) => {
    const access = isWritten ? 'read_write' : 'read';
    return `@group(0) @binding(${index + 1}) var<storage, ${access}> ${name}: array<${type}>;`;
  });
  const code = [
    ...enable.map((extension) => `enable ${extension};`),
    parametersText,
    arithmeticText,
    momentsText,
    coefficientsText,
    gradientsText,
    partialText,
    ...declarations,
    body,
  ].join('\n');
  return { code, bindings };
}
