// Random programs as cases: the same seeds for every backend, and the shortest program that goes wrong.
import type { Backend } from '@batchnorm/core-api';
import fc from 'fast-check';
import { type Check, outcome } from '../compare.js';
import type { ConformanceCase, MemoryKind, Subject } from '../conformance-case.js';
import { errorCode } from '../expect-refusal.js';
import { reasonAgainst, refusedMemory } from '../memory/kinds.js';
import { hasFused, unfused } from '../unfused.js';
import { arbitraryProgram } from './arbitrary-program.js';
import { printProgram } from './print-program.js';
import type { Program } from './program.js';
import { judgeProgram, type ProgramFindings } from './run-program.js';

interface Family {
  readonly name: string;
  readonly memories: readonly MemoryKind[];
  readonly overlapping: boolean;
  readonly seed: number;
}

const families: readonly Family[] = [
  { name: 'host arrays, every call awaited', memories: ['host'], overlapping: false, seed: 1 },
  { name: 'host arrays, overlapping calls', memories: ['host'], overlapping: true, seed: 2 },
  { name: 'device tensors, every call awaited', memories: ['device'], overlapping: false, seed: 3 },
  { name: 'device tensors, overlapping calls', memories: ['device'], overlapping: true, seed: 4 },
  { name: 'both kinds of memory', memories: ['host', 'device'], overlapping: true, seed: 5 },
  { name: 'allocated tensors, every call awaited', memories: ['allocated'], overlapping: false, seed: 6 },
  { name: 'every kind of memory', memories: ['allocated', 'host', 'device'], overlapping: true, seed: 7 },
];

const [programsOfFamily, programsOfQuickRun] = [100, 8];
/** Of an activation: see arbitrary-program.ts. */
const mostElements = 6 * 40 * 40;
/** How long a failing program is shrunk, in milliseconds. */
const shrinkingMs = 5000;
/** How many lines of a failure are shown. */
const mostLines = 8;

export const programCases: readonly ConformanceCase[] = families.map(({ name, memories, overlapping, seed }) => ({
  group: 'programs',
  source: 'programs',
  name,
  why: `random programs of several layers, against an oracle that runs them too`,
  inapplicable: (subject) =>
    subject.backend.capabilities.limits.elements < mostElements
      ? `it has activations of up to ${mostElements} elements`
      : memories.map((kind) => reasonAgainst(kind, subject)).find((reason) => reason !== undefined),
  run: async (subject: Subject) => {
    const { backend, dtype } = subject;
    for (const kind of memories) {
      const refusal = await refusedMemory(kind, subject);
      if (refusal) return refusal;
    }
    const count = subject.quick ? programsOfQuickRun : programsOfFamily;
    // float16 has cases of its own, beside float32.
    const others = backend.capabilities.dtypes.filter((other) => other !== dtype && other !== 'float16');
    const programs = arbitraryProgram({ dtypes: [dtype, ...others], memories, overlapping });
    const asItIs = { of: 'backend', backend };
    const inStages = { of: 'unfused(backend)', backend: unfused(backend) };
    const forms = (await hasFused(backend, dtype)) ? [asItIs, inStages] : [asItIs];
    return [await check(name, programs, forms, seed, count)];
  },
}));

/** A backend, and what it is in the statement that is printed. */
interface Form {
  readonly of: string;
  readonly backend: Backend;
}

/** What is wrong with a program in the first form in which something is. */
async function judgeForms(forms: readonly Form[], program: Program): Promise<ProgramFindings & Pick<Form, 'of'>> {
  for (const { of, backend } of forms) {
    const { found, code } = await judgeProgram(backend, program).catch((error: unknown) => ({
      found: [`the program was broken off: ${error}`],
      code: errorCode(error),
    }));
    if (found.length > 0) return { found, code, of };
  }
  return { found: [], code: null, of: '' };
}

/** Whether nothing is wrong with any of the programs; else what is, with the shortest program that shows it. */
async function check(
  name: string,
  programs: fc.Arbitrary<Program>,
  forms: readonly Form[],
  seed: number,
  count: number,
): Promise<Check> {
  let shortest: (ProgramFindings & Pick<Form, 'of'> & { readonly program: Program }) | undefined;
  let deadline = Number.POSITIVE_INFINITY;
  const isRight = async (program: Program) => {
    if (performance.now() > deadline) return true;
    const findings = await judgeForms(forms, program);
    if (findings.found.length === 0) return true;
    shortest = { program, ...findings };
    deadline = Math.min(deadline, performance.now() + shrinkingMs);
    return false;
  };
  await fc.check(fc.asyncProperty(programs, isRight), { seed, numRuns: count });
  if (shortest === undefined) return outcome(name, true, '');
  const { found, program, code, of } = shortest;
  const message = [`, seed ${seed}:`, ...found.slice(0, mostLines), printProgram(program, of)].join('\n');
  return { ...outcome(name, false, message), code };
}
