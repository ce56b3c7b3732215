// What was recorded into encoders of the caller, and how to tell whether he has submitted them, and in which order: the last
// command of an encoder leaves a number, and one that needs what another computes takes along what that has left.
import { refuse } from '@batchnorm/core-api';

/** How many numbers there is room for, before a place is used again. */
const places = 1024;
const numberBytes = 4;
const allBytes = places * numberBytes;

/** COPY_SRC | COPY_DST */
const copyable = 0x04 | 0x08;

export class Encodings {
  readonly #device: GPUDevice;
  /** The numbers; what encoders have left of them; what they had left when another one needed it. 0 at first. */
  readonly #numbers: GPUBuffer;
  readonly left: GPUBuffer;
  readonly seen: GPUBuffer;
  /** Those of which it is not known whether they were submitted, the earliest first. */
  readonly #pending = new Set<Encoding>();
  #latest = 0;
  #latestWitness = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const buffer = () => device.createBuffer({ size: allBytes, usage: copyable });
    [this.#numbers, this.left, this.seen] = [buffer(), buffer(), buffer()];
  }

  /** One that is open. */
  begin(): Encoding {
    const number = ++this.#latest;
    const encoding = new Encoding(number, number % places);
    this.#pending.add(encoding);
    this.#device.queue.writeBuffer(this.#numbers, encoding.place * numberBytes, Uint32Array.of(number));
    return encoding;
  }

  /** Leaves its number, as the last command of `encoder`. */
  leaveNumber({ place }: Encoding, encoder: GPUCommandEncoder): void {
    const offset = place * numberBytes;
    encoder.copyBufferToBuffer(this.#numbers, offset, this.left, offset, numberBytes);
  }

  /** Nothing of one that failed will have been computed: of its recording, or of an encoder that is not submitted. */
  fail(encoding: Encoding): void {
    if (this.#pending.delete(encoding)) encoding.fail();
  }

  /** Takes along, in the `encoder` of `encoding`, whether `needed` has been executed. */
  follow(encoding: Encoding, needed: Encoding, encoder: GPUCommandEncoder): void {
    const place = ++this.#latestWitness % places;
    encoder.copyBufferToBuffer(this.left, needed.place * numberBytes, this.seen, place * numberBytes, numberBytes);
    encoding.needed.set(needed, place);
  }

  /** Whether there is none of which it is not known whether it was submitted. */
  get areKnown(): boolean {
    return this.#pending.size === 0;
  }

  /** One whose commands use `buffer`, and may still be executed. */
  userOf(buffer: GPUBuffer): Encoding | undefined {
    for (const encoding of this.#pending) if (encoding.buffers.has(buffer)) return encoding;
    return undefined;
  }

  /** Takes the contents of `left` and `seen`. */
  learn(left: Uint32Array, seen: Uint32Array): void {
    for (const encoding of this.#pending) {
      if (left[encoding.place] !== encoding.number) continue;
      this.#pending.delete(encoding);
      encoding.executed(seen);
    }
  }

  destroy(): void {
    for (const buffer of [this.#numbers, this.left, this.seen]) buffer.destroy();
  }
}

/** The commands of one `encode`, or of a call that needs what another one computes. */
export class Encoding {
  readonly number: number;
  readonly place: number;
  /** What its commands use. */
  readonly buffers: Set<GPUBuffer> = new Set();
  /** What must have been executed before it, and where that is seen. */
  readonly needed: Map<Encoding, number> = new Map();
  #state: 'open' | 'recorded' | 'failed' | 'executed' | 'early' = 'open';
  #settled: ((failed: boolean) => void)[] = [];

  constructor(number: number, place: number) {
    this.number = number;
    this.place = place;
  }

  /** Whether its commands may still be executed, or it is not known that they were. */
  get isPending(): boolean {
    return this.#state === 'open' || this.#state === 'recorded';
  }

  /** Whether it is being recorded. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** Calls `settle` when its commands have been executed, or never will be. */
  whenSettled(settle: (failed: boolean) => void): void {
    this.#settled.push(settle);
  }

  end(): void {
    if (this.isOpen) this.#state = 'recorded';
  }

  fail(): void {
    this.#state = 'failed';
    this.#settle(true);
  }

  /** `seen` says of those that it needs what they had left. */
  executed(seen: Uint32Array): void {
    const isInOrder = [...this.needed].every(([one, place]) => seen[place] === one.number && one.#state === 'executed');
    this.#state = isInOrder ? 'executed' : 'early';
    this.needed.clear();
    this.#settle(false);
  }

  /** Errors: `DISPOSED`, for good, when recording it failed, it was abandoned, or executed before what it needs. */
  assertUsable(): void {
    if (this.#state === 'failed') {
      refuse('DISPOSED', 'what an encode() that failed, or was abandoned, recorded', 'none of it');
    }
    if (this.#state === 'early') {
      refuse(
        'DISPOSED',
        'what was computed before the encoder was submitted that it needs',
        'encoders that are submitted in the order in which they were recorded',
      );
    }
  }

  /** Errors: those of `assertUsable`; `UNSUPPORTED` while it is recorded. */
  assertEnded(): void {
    this.assertUsable();
    if (this.isOpen) {
      refuse('UNSUPPORTED', 'a read of what encode() records', 'one after the encoder was submitted');
    }
  }

  /** Errors: those of `assertUsable`; `UNSUPPORTED` unless it is known to have been executed. */
  assertExecuted(): void {
    this.assertUsable();
    if (this.isPending) {
      refuse(
        'UNSUPPORTED',
        'a read of what an encoder computes that was not submitted',
        'one after queue.submit(), or backend.abandon(encoder) if that will not come',
      );
    }
  }

  #settle(failed: boolean): void {
    this.buffers.clear();
    for (const settle of this.#settled.splice(0)) settle(failed);
  }
}
