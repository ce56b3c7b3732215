// Calls of one layer take effect in call order, also if nobody awaits the one before.
export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `call` when every call before it has settled, whether fulfilled or rejected. */
  run<T>(call: () => Promise<T>): Promise<T> {
    const result = this.#last.then(call);
    // Not `catch`: its promise would hold the call's value, and a pass that nobody else has, until the next call.
    this.#last = result.then(nothing, nothing);
    return result;
  }
}

function nothing(): void {}
