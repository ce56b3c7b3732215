// Work that makes several things, of which none may stay when one fails.

interface Disposable {
  dispose(): void;
}

interface Link {
  readonly one: Disposable;
  readonly before: Link | undefined;
}

/** Things that have been made so far: a list of links, because an array has room for many where a call makes three. */
export class Made {
  #latest: Link | undefined;

  /** Has `one` disposed with the others. */
  keep<T extends Disposable>(one: T): T {
    this.#latest = { one, before: this.#latest };
    return one;
  }

  /** Disposes all of it, the latest first. */
  dispose(): void {
    for (let link = this.#latest; link !== undefined; link = link.before) link.one.dispose();
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
