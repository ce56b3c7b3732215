// The data: the digits of train-digits, split as there, as images of one channel.
import { loadDigits, type Digits as Rows, split } from '@batchnorm/example-train-digits/digits';
import type { Images } from './images.js';

export interface Digits {
  /** [N, 1, 8, 8] */
  readonly images: Images;
  readonly labels: Uint8Array;
}

export function digits(): { training: Digits; test: Digits } {
  const { training, test } = split(loadDigits(), 360, 2015);
  return { training: asImages(training), test: asImages(test) };
}

function asImages({ images: { data }, labels }: Rows): Digits {
  return { images: { data: Float64Array.from(data), shape: [labels.length, 1, 8, 8] }, labels };
}
