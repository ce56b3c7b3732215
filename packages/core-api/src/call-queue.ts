// Calls of one layer take effect in call order, also if nobody awaits the one before.
import { refuse } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';

export class CallQueue {
  #last: Promise<unknown> = Promise.resolve();
  /** How many calls have not ended. */
  #pending = 0;

  /** Runs `call` when every call before it has settled, whether fulfilled or rejected. */
  run<T>(call: () => MaybePromise<T>): Promise<T> {
    this.#pending++;
    const result = this.#last.then(call);
    // Not `finally`: its promise would hold the call's value, and a pass that nobody else has, until the next call.
    const end = () => {
      this.#pending--;
    };
    this.#last = result.then(end, end);
    return result;
  }

  /** Runs `call` now. Errors: `CALL_PENDING` while another call has not ended. */
  runNow<T>(call: () => T): T {
    if (this.#pending > 0) {
      refuse(
        'CALL_PENDING',
        `a call of layer.sync while ${this.#pending} other${this.#pending > 1 ? 's' : ''} of this layer had not ended`,
        'none: `await` what was called before, also a dispose() of a pass',
      );
    }
    this.#pending++;
    try {
      return call();
    } finally {
      this.#pending--;
    }
  }
}
