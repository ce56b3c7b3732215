// A collective on a communicator of MPI: gathers one after the other, and is dead after one that did not end.
import { types } from 'node:util';
import { type Collective, describe, refuse } from '@batchnorm/core-api';
import type { Communicator } from './communicator.js';
import { completed } from './completion.js';
import {
  assertAgreement,
  frameLength,
  haveAllLeft,
  rankThatLeft,
  type Status,
  valuesOf,
  valuesPerFrame,
  writeFrame,
} from './frame.js';

const noValues = new Float64Array(0);

/**
 * Each gather is one exchange of frames, and, where all ranks agree to have more values than a frame has room for,
 * another of the rest. So ranks that don't give as many values never get as far as an exchange of different lengths.
 */
export class MpiCollective implements Collective {
  readonly rank: number;
  readonly size: number;
  readonly #communicator: Communicator;
  readonly #timeoutMs: number;
  readonly #onLeft: () => void;
  readonly #frame: Float64Array = new Float64Array(frameLength);
  readonly #frames: Float64Array;
  /** What does not fit into frames: of this rank, and of all. */
  #rest: Float64Array = noValues;
  #rests: Float64Array = noValues;
  /** How many gathers have begun. */
  #sequence = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** Whether MPI may be using the buffers. */
  #isUnderWay = false;
  #hasLeft = false;
  /** Why there are no more gathers. */
  #dead: string | undefined;

  /** `onLeft` is called when this rank is no longer part of it. */
  constructor(communicator: Communicator, timeoutMs: number, onLeft: () => void) {
    this.rank = communicator.rank;
    this.size = communicator.size;
    this.#communicator = communicator;
    this.#timeoutMs = timeoutMs;
    this.#onLeft = onLeft;
    this.#frames = new Float64Array(frameLength * this.size);
  }

  /**
   * Every rank's values, in rank order. Takes a copy of `values` at once; calls take effect in call order.
   *
   * Errors: `COLLECTIVE_FAILED` on every rank where one gives another number of values, fails or leaves, and where not
   * all have answered in time: then every later call fails, too. `INVALID_OPTION` for what is no `Float64Array`: the
   * others hear of it. `DISPOSED`.
   */
  allGather(values: Float64Array): Promise<readonly Float64Array[]> {
    return this.gatherWithin(this.#timeoutMs, values);
  }

  /** The same with a time of its own. */
  gatherWithin(timeoutMs: number, values: Float64Array): Promise<readonly Float64Array[]> {
    if (!types.isFloat64Array(values)) {
      return this.fail().then(() => refuse('INVALID_OPTION', `values ${describe(values)}`, 'a Float64Array'));
    }
    const own = values.slice();
    return this.#inTurn(() => this.#gather('values', own, timeoutMs));
  }

  /** In place of a gather by a rank that can't: the others hear of it. This one has an error of its own. */
  fail(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#gather('failed', noValues).catch(() => undefined);
    });
  }

  /**
   * Leaves, when the calls before are done: others that gather fail with `COLLECTIVE_FAILED`, at once. Waits for them to
   * gather or to leave, too. Errors: `COLLECTIVE_FAILED` where they do neither in time.
   */
  dispose(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#hasLeft || this.#dead !== undefined) return;
      await this.#exchangeFrames('left', noValues);
      this.#hasLeft = true;
      this.#onLeft();
    }, true);
  }

  /** Whether ranks have something under way together, which has to end before this one may end. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** In a process that exits: begins to leave. False where others can't be told any more. */
  beginLeaving(): boolean {
    if (this.#isUnderWay) return false;
    if (this.#dead !== undefined) return true;
    writeFrame(this.#frame, this.#sequence++, 'left', noValues);
    this.#begin(this.#frame, this.#frames, frameLength);
    return true;
  }

  /** Whether all ranks have heard that. */
  hasLeft(): boolean {
    if (this.#isUnderWay) this.#isUnderWay = !this.#communicator.isDone();
    return !this.#isUnderWay;
  }

  #inTurn<T>(work: () => Promise<T>, isAllowedAfterwards = false): Promise<T> {
    const result = this.#turn.then(() => {
      if (this.#hasLeft && !isAllowedAfterwards) refuse('DISPOSED', 'a call after dispose()', 'none');
      return work();
    });
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #gather(
    status: Status,
    values: Float64Array,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<readonly Float64Array[]> {
    const frames = await this.#exchangeFrames(status, values, timeoutMs);
    assertAgreement(frames);
    const { length } = values;
    const rest = Math.max(0, length - valuesPerFrame);
    if (rest > 0) {
      if (this.#rest.length < rest) {
        [this.#rest, this.#rests] = [new Float64Array(rest), new Float64Array(rest * this.size)];
      }
      this.#rest.set(values.subarray(valuesPerFrame));
      await this.#exchange(this.#rest, this.#rests, rest, timeoutMs);
    }
    return frames.map((frame, rank) => {
      const gathered = new Float64Array(length);
      gathered.set(valuesOf(frame, length));
      if (rest > 0) gathered.set(this.#rests.subarray(rank * rest, (rank + 1) * rest), valuesPerFrame);
      return gathered;
    });
  }

  async #exchangeFrames(
    status: Status,
    values: Float64Array,
    timeoutMs: number = this.#timeoutMs,
  ): Promise<readonly Float64Array[]> {
    // Before anything is written: MPI may still be reading what a gather without an end has given it.
    if (this.#dead !== undefined) {
      refuse('COLLECTIVE_FAILED', `a call of a collective that is dead: ${this.#dead}`, 'none: begin a new job');
    }
    writeFrame(this.#frame, this.#sequence++, status, values);
    await this.#exchange(this.#frame, this.#frames, frameLength, timeoutMs);
    const frames = Array.from({ length: this.size }, (_, rank) =>
      this.#frames.subarray(rank * frameLength, (rank + 1) * frameLength),
    );
    if (haveAllLeft(frames)) this.#communicator.free();
    const left = rankThatLeft(frames);
    if (left !== undefined && left !== this.rank) this.#dead ??= `rank ${left} has left`;
    return frames;
  }

  async #exchange(send: Float64Array, receive: Float64Array, length: number, timeoutMs: number): Promise<void> {
    let isDone: boolean;
    try {
      this.#begin(send, receive, length);
      isDone = await completed(() => this.#communicator.isDone(), timeoutMs);
    } catch (error) {
      this.#dead = String(Object(error).message);
      throw error;
    }
    if (!isDone) {
      this.#dead = `some rank gave no answer within ${timeoutMs} ms`;
      const received = `no answer of at least one of ${this.size} ranks within ${timeoutMs} ms`;
      refuse('COLLECTIVE_FAILED', received, 'one of each: this collective is dead, begin a new job');
    }
    this.#isUnderWay = false;
  }

  #begin(send: Float64Array, receive: Float64Array, length: number): void {
    this.#isUnderWay = true;
    this.#communicator.begin(send, receive, length);
  }
}
