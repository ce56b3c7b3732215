// What logits say: how many digits they get right, and how far they are from others.
import { readFileSync } from 'node:fs';
import { openSafetensors } from '@batchnorm/weights';
import { floats } from './network.js';

type Numbers = Float32Array | Float64Array;

/** What PyTorch gave and reported for the test digits, when it had trained the model. */
export async function byPyTorch(): Promise<{ logits: Float32Array; correct: number }> {
  const file = await openSafetensors(readFileSync(new URL('../model/logits.safetensors', import.meta.url)));
  return { logits: (await floats(file, 'logits')).data, correct: Number(file.metadata.get('correct')) };
}

/** How many of the digits have their largest logit at their label. */
export function countCorrect(logits: Numbers, labels: Uint8Array): number {
  const classes = logits.length / labels.length;
  return labels.filter((label, n) => {
    const own = logits.subarray(n * classes, (n + 1) * classes);
    return own.indexOf(Math.max(...own)) === label;
  }).length;
}

export function largestDifference(a: Numbers, b: Numbers): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
}
