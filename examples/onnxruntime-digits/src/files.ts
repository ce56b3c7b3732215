// The model that PyTorch has trained, and the logits that PyTorch gave for the test digits.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { floats, openSafetensors, type SafetensorsFile } from '@batchnorm/weights';

const { resolve } = createRequire(import.meta.url);

const open = (name: string) => openSafetensors(readFileSync(resolve(`@batchnorm/example-pytorch-digits/${name}`)));

export const model = (): Promise<SafetensorsFile> => open('model.safetensors');

/** [360, 10] */
export async function logitsOfPyTorch(): Promise<Float32Array> {
  const file = await open('logits.safetensors');
  return floats(await file.read('logits')).data as Float32Array;
}
