// How many mutants were noticed, of those that anybody could notice.
import type { Equivalents } from './equivalents.js';
import type { Mutant } from './mutant.js';

/** The fraction that must be caught of the mutants that are not equivalent. */
export const required = 0.95;

export interface Score {
  /** Mutants for which a test failed or did not end; the latter are counted as `endless`, too. */
  readonly caught: number;
  readonly endless: number;
  readonly survived: number;
  /** Survived, and is listed. */
  readonly equivalent: number;
}

/** caught ÷ (caught + survived); 1 where there is nothing to catch. */
export function fractionOf({ caught, survived }: Pick<Score, 'caught' | 'survived'>): number {
  return caught + survived === 0 ? 1 : caught / (caught + survived);
}

export function total(scores: Iterable<Score>): Score {
  const all = { caught: 0, endless: 0, survived: 0, equivalent: 0 };
  for (const score of scores) {
    all.caught += score.caught;
    all.endless += score.endless;
    all.survived += score.survived;
    all.equivalent += score.equivalent;
  }
  return all;
}

export interface Verdict {
  readonly scores: ReadonlyMap<string, Score>;
  /** Neither caught nor listed. */
  readonly survivors: readonly Mutant[];
  /** Listed, but caught. */
  readonly notEquivalent: readonly Mutant[];
}

/** Judges mutants, file by file. Those that could not run are left out. */
export function judge(mutants: readonly Mutant[], list: readonly Equivalents[]): Verdict {
  const listed = (mutant: Mutant) => list.some((one) => one.mutants.some((change) => isChange(mutant, one, change)));
  const caught = mutants.filter(({ status }) => status === 'Killed' || status === 'Timeout');
  const survived = mutants.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  const [equivalent, survivors] = [survived.filter(listed), survived.filter((mutant) => !listed(mutant))];
  const scoreOf = (name: string): Score => {
    const count = (some: readonly Mutant[]) => some.filter(({ file }) => file === name).length;
    return {
      caught: count(caught),
      endless: count(caught.filter(({ status }) => status === 'Timeout')),
      survived: count(survivors),
      equivalent: count(equivalent),
    };
  };
  const files = new Set(mutants.map(({ file }) => file));
  return {
    scores: new Map([...files].map((file) => [file, scoreOf(file)])),
    survivors,
    notEquivalent: caught.filter(listed),
  };
}

/** What is listed for a file of these mutants and is none of them: one line for each. */
export function unknownChanges(mutants: readonly Mutant[], list: readonly Equivalents[]): string[] {
  const present = new Set(mutants.map(({ file }) => file));
  return list.flatMap((one) =>
    one.files
      .filter((file) => present.has(file))
      .flatMap((file) => {
        const here = mutants.filter((mutant) => mutant.file === file);
        return one.mutants
          .filter((change) => !here.some((mutant) => isChange(mutant, one, change)))
          .map(([from, to]) => `${file}: ${from} → ${to}`);
      }),
  );
}

function isChange(mutant: Mutant, { files, within }: Equivalents, [from, to]: Equivalents['mutants'][number]): boolean {
  const isThere = files.includes(mutant.file) && (within?.includes(mutant.within) ?? true);
  return isThere && mutant.from === from && mutant.to === to;
}
