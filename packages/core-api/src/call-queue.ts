// Calls of one layer take effect in call order, also if nobody awaits the one before; those of all layers of a collective
// talk to other ranks in call order.
import { refuse } from './errors.js';
import type { MaybePromise } from './maybe-promise.js';

/** A place in a queue. */
export interface Place {
  /** When every call before it has settled. */
  readonly reached: Promise<void>;
  leave(): void;
}

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

  /** Takes a place now, for what is done later: calls behind it wait until `leave` is called. */
  takePlace(): Place {
    let leave!: () => void;
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const reached = new Promise<void>((resolve) => {
      this.run(() => {
        resolve();
        return left;
      });
    });
    return { reached, leave };
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
