// What was recorded into an encoder of the caller, and how to tell whether he has submitted it: the encoder's last command
// leaves a number.
import { refuse } from '@batchnorm/core-api';

/** How many encoders may be recorded, one after the other, before a number's place is used again. */
const places = 1024;
const numberBytes = 4;

/** COPY_SRC | COPY_DST */
const copyable = 0x04 | 0x08;

/** Where numbers are left. Those of later encoders are larger. */
export class Marks {
  readonly #device: GPUDevice;
  readonly #from: GPUBuffer;
  /** 0 at first. */
  readonly buffer: GPUBuffer;
  #latest = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const size = places * numberBytes;
    this.#from = device.createBuffer({ size, usage: copyable });
    this.buffer = device.createBuffer({ size, usage: copyable });
  }

  next(): Encoding {
    const number = ++this.#latest;
    const offset = (number % places) * numberBytes;
    this.#device.queue.writeBuffer(this.#from, offset, Uint32Array.of(number));
    return new Encoding(number, offset);
  }

  /** The last command of an encoder. */
  leave({ offset }: Encoding, encoder: GPUCommandEncoder): void {
    encoder.copyBufferToBuffer(this.#from, offset, this.buffer, offset, numberBytes);
  }

  destroy(): void {
    for (const buffer of [this.#from, this.buffer]) buffer.destroy();
  }
}

/** One `encode`. */
export class Encoding {
  readonly #number: number;
  /** Of its number, in bytes. */
  readonly offset: number;
  #state: 'open' | 'recorded' | 'failed' | 'submitted' = 'open';

  constructor(number: number, offset: number) {
    this.#number = number;
    this.offset = offset;
  }

  /** Whether it is known that its commands have been submitted. */
  get isSubmitted(): boolean {
    return this.#state === 'submitted';
  }

  end(succeeded: boolean): void {
    this.#state = succeeded ? 'recorded' : 'failed';
  }

  /** Errors: `UNSUPPORTED` while it is recorded; `DISPOSED` when that failed. */
  assertReadable(): void {
    if (this.#state === 'open') {
      refuse('UNSUPPORTED', 'a read of what encode() records', 'one after the encoder was submitted');
    }
    if (this.#state === 'failed') refuse('DISPOSED', 'a read of what an encode() that failed recorded', 'none');
  }

  /** Takes the number that was found in its place. Errors: `UNSUPPORTED` while its commands have not been submitted. */
  assertSubmitted(found: number): void {
    if (found < this.#number) {
      refuse('UNSUPPORTED', 'a read of what an encoder computes that was not submitted', 'one after queue.submit()');
    }
    this.#state = 'submitted';
  }
}
