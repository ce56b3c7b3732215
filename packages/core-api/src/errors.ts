// The one error class. Its codes are part of the contract and never change; messages may.

/**
 * Every way in which BatchNorm refuses.
 *
 * | code | when |
 * |---|---|
 * | `INVALID_OPTION` | an option of a layer, of a call or of a factory is not what its documentation allows |
 * | `INVALID_TENSOR` | not a tensor: no typed array, a shape that does not fit its data, or overlapping buffers |
 * | `SHAPE_MISMATCH` | a tensor, but of another rank, channel count or shape than this call needs |
 * | `DTYPE_MISMATCH` | a tensor or layer of a dtype that the layer or the backend does not have |
 * | `EMPTY_BATCH` | no value per channel |
 * | `SINGLE_VALUE` | one value per channel where batch statistics need more |
 * | `FORWARD_REQUIRED` | backward without a forward to differentiate |
 * | `INPUT_CHANGED` | backward when x is not what its forward saw |
 * | `NON_FINITE_STATISTICS` | a batch mean or variance that would poison the running statistics, or can't be computed |
 * | `CALL_PENDING` | a call of `layer.sync` while an asynchronous call of the layer has not ended: await it first |
 * | `UNSETTLED` | running statistics are asked for while batches wait on the device for them: `await settle()` first |
 * | `INVALID_STATE` | parameters, running statistics or moments that can't be, wherever they come from |
 * | `OPTIONS_MISMATCH` | a state of a layer that computes something else, loaded without `otherOptions: 'allow'` |
 * | `INVALID_FILE` | a file of weights that is malformed, truncated, or not what its format allows |
 * | `FOREIGN_TENSOR` | a device tensor of another backend |
 * | `DISPOSED` | use after `dispose()`, or of what never will have been computed |
 * | `UNSUPPORTED` | a capability that a backend lacks, what can't be read yet, what a framework or its file can't hold |
 * | `LIMIT_EXCEEDED` | more elements or memory than the backend can hold, or a reader will take |
 * | `BACKEND_UNAVAILABLE` | the backend can't run on this platform |
 * | `BACKEND_FELL_BACK` | the backend would run on something slower than was asked for |
 * | `DEVICE_LOST` | the device went away; a new backend can carry on from the layer's state |
 * | `COLLECTIVE_FAILED` | another rank of the collective failed, is lost, or makes another call |
 */
export type ErrorCode =
  | 'INVALID_OPTION'
  | 'INVALID_TENSOR'
  | 'SHAPE_MISMATCH'
  | 'DTYPE_MISMATCH'
  | 'EMPTY_BATCH'
  | 'SINGLE_VALUE'
  | 'FORWARD_REQUIRED'
  | 'INPUT_CHANGED'
  | 'NON_FINITE_STATISTICS'
  | 'CALL_PENDING'
  | 'UNSETTLED'
  | 'INVALID_STATE'
  | 'OPTIONS_MISMATCH'
  | 'INVALID_FILE'
  | 'FOREIGN_TENSOR'
  | 'DISPOSED'
  | 'UNSUPPORTED'
  | 'LIMIT_EXCEEDED'
  | 'BACKEND_UNAVAILABLE'
  | 'BACKEND_FELL_BACK'
  | 'DEVICE_LOST'
  | 'COLLECTIVE_FAILED';

/** Shared by every copy of this package in a program; a class is not. */
const marker: unique symbol = Symbol.for('@batchnorm/BatchNormError');

/**
 * An error with a stable `code`; the message says what was received and what was expected. `instanceof` also recognises
 * the errors of another copy of this package.
 */
export class BatchNormError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'BatchNormError';
    this.code = code;
    Object.defineProperty(this, marker, { value: true });
  }

  /** By a marker, so that errors of another copy of this package are recognised, too. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === 'object' && value !== null && marker in value;
  }
}

/** Throws a `BatchNormError` whose message says what was received and what was expected. */
export function refuse(code: ErrorCode, received: string, expected: string, options?: ErrorOptions): never {
  throw new BatchNormError(code, `received ${received}, expected ${expected}`, options);
}
