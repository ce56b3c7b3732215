// A value that views show: changed as often as messages come, shown a few times a second, so that showing takes no time
// from what is measured.
import { useEffect, useState } from 'preact/hooks';

/** Milliseconds from a change until it is shown, with all that have come by then. */
const delay = 120;

export class Store<T> {
  #value: T;
  readonly #listeners = new Set<() => void>();
  #scheduled: ReturnType<typeof setTimeout> | undefined;

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  update(change: (value: T) => T): void {
    this.#value = change(this.#value);
    this.#scheduled ??= setTimeout(() => this.show(), delay);
  }

  /** At once: what a visitor has done must not wait. */
  show(): void {
    clearTimeout(this.#scheduled);
    this.#scheduled = undefined;
    for (const listener of this.#listeners) listener();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.value);
  useEffect(() => store.subscribe(() => setValue(store.value)), [store]);
  return value;
}
