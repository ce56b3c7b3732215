// A lost device, as a case of the kit meets it: it says nothing about the backend, and so is no failed case.
import type { CaseResult } from '@batchnorm/conformance';
import { BatchNormError } from '@batchnorm/core-api';

/** The error to end with, where a case met that: none expects it. */
export function lostDevice({ status, code, dtype, name }: CaseResult): BatchNormError | undefined {
  if (status !== 'failed' || code !== 'DEVICE_LOST') return undefined;
  return new BatchNormError(code, `the device was lost in case '${name}' (${dtype})`);
}
