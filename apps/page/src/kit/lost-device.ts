// A lost device, as a case of the kit meets it: it says nothing about the backend, and so is no failed case.
import type { CaseResult } from '@batchnorm/conformance';
import { BatchNormError } from '@batchnorm/core-api';

/** No case expects that code, so where a message has it the device is gone. */
export function lostDevice({ status, messages, dtype, name }: CaseResult): BatchNormError | undefined {
  if (status !== 'failed' || !messages.some((message) => message.includes('DEVICE_LOST'))) return undefined;
  return new BatchNormError('DEVICE_LOST', `the device was lost in case '${name}' (${dtype})`);
}
