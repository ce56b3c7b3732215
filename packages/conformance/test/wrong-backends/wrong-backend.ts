// What a wrong backend is: a right one, one of whose functions is wrapped by something that is wrong at times.
import type { Backend } from '@batchnorm/core-api';
import type { RightBackend } from './right-backend.js';

export interface WrongBackend {
  readonly name: string;
  /** What it does wrong, and when. */
  readonly why: string;
  /** The name of a case of the kit that catches it; of one that is not caught, `beyond`. */
  readonly caughtBy?: string;
  /** Why the kit does not catch it. */
  readonly beyond?: string;
  /** Another right backend than the usual one. */
  readonly right?: () => RightBackend;
  /** Makes a right backend wrong. */
  readonly spoil: (right: RightBackend) => Backend;
  /** What a user could do, and what they see then: the same on every right backend, something else on this one. */
  readonly program: (backend: Backend) => Promise<unknown>;
  /** Numbers that differ by less, relative to 1 + their size, are the same to the user. Default 1e-4. */
  readonly tolerance?: number;
}
