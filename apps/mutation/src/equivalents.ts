// Mutants that are right, too: the score leaves them out. Each is looked up in every run, and must still survive.

export interface Equivalents {
  readonly because: string;
  /** Paths in the repository. */
  readonly files: readonly string[];
  /** A line as it is and as it is in the mutant, as `pnpm mutation` prints them; wherever it stands in one of the files. */
  readonly mutants: readonly (readonly [from: string, to: string])[];
}

export const equivalents: readonly Equivalents[] = [];
