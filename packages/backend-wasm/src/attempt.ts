// Work that makes one thing after the other, of which none may stay when a later one fails.

interface Disposable {
  dispose(): void;
}

/** What has been made so far. */
export class Made {
  readonly #made: Disposable[] = [];

  /** Takes note of it. */
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
