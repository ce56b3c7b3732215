// Work that makes several things, of which none may stay when one fails.

interface Disposable {
  dispose(): void;
}

/** Things that have been made so far. */
export class Made {
  readonly #made: Disposable[] = [];

  /** Has `one` disposed with the others. */
  keep<T extends Disposable>(one: T): T {
    this.#made.push(one);
    return one;
  }

  /** Disposes all of it, the latest first. */
  dispose(): void {
    for (const one of this.#made.reverse()) one.dispose();
  }
}

/** What `work` gives; if it fails, everything that it has made is disposed. */
export function attempt<T>(work: (made: Made) => T): T {
  const made = new Made();
  try {
    return work(made);
  } catch (error) {
    made.dispose();
    throw error;
  }
}
