// Calls on one layer take effect in call order, also when nobody awaited the one before.

export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `call` after every call before it has settled. One that fails does not hold up the next. */
  run<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
