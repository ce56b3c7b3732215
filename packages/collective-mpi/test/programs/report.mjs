// How the ranks of a test's job tell the test what they saw: lines of JSON in a file, because what they print may be lost.
import { appendFileSync } from 'node:fs';

export const rank = Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK ?? 0);

/** Written at once: the next thing that happens may be the end of the process. */
export function report(fields) {
  appendFileSync(process.env.BATCHNORM_TEST_REPORTS, `${JSON.stringify({ rank, ...fields })}\n`);
}

/** What a promise came to: its value, or the code and the message of its error. */
export async function outcome(promise) {
  try {
    return { value: await promise };
  } catch ({ code, message }) {
    return { code, message };
  }
}
