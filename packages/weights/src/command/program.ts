// The command: what batch norms a file has, the same file in another format, and layers folded.
import { open, rename, rm } from 'node:fs/promises';
import { elementsFrom, type FloatArray, numbersOf, refuse } from '@batchnorm/core-api';
import { Command, InvalidArgumentError } from 'commander';
import { findBatchNorms, type Hyperparameters } from '../find-batch-norms.js';
import { fold } from '../fold.js';
import { type Inspection, inspect } from '../inspect.js';
import { writeNpz } from '../npz.js';
import { safetensorsParts } from '../safetensors.js';
import type { FileTensor, TensorFile } from '../tensor-file.js';
import { aligned } from './aligned.js';
import { withFile } from './open-path.js';

/** Where the command writes: results, and how far it is. */
export interface Output {
  out(text: string): void;
  progress(text: string): void;
}

export function newProgram({ out, progress }: Output): Command {
  const program = new Command('batchnorm-weights')
    .description('Batch norms in files of safetensors, PyTorch, ONNX, NumPy, Keras and TensorFlow.js.')
    .exitOverride()
    .configureOutput({ writeOut: out, writeErr: progress });

  program
    .command('inspect')
    .description('lists the batch norms of a file: channels, convention, smallest running variance, warnings')
    .argument('<file>')
    .option('--json', 'as JSON')
    .action((path: string, { json }: { json?: true }) =>
      withFile(path, async (file) => {
        const found: Inspection[] = [];
        for await (const one of inspect(file)) found.push(one);
        out(json ? `${JSON.stringify(found, null, 2)}\n` : tableOf(file, found));
      }),
    );

  program
    .command('convert')
    .description('writes the tensors of a file as .safetensors or .npz')
    .argument('<from>')
    .argument('<to>')
    .action((from: string, to: string) =>
      withFile(from, (file) => write(to, file.tensors, (name) => file.read(name), progress)),
    );

  program
    .command('fold')
    .description('folds batch norms into the layers before them, and writes what is left')
    .argument('<from>')
    .argument('<to>')
    .requiredOption('--pair <layer:batchNorm>', 'such as conv1:bn1; may be repeated', collected)
    .requiredOption('--layout <letters>', "axes of the layers' weights: OIHW, IOHW, HWIO, OI, …")
    .option('--groups <n>', 'of the convolutions', number, 1)
    .option('--epsilon <value>', "the batch norms' epsilon, where the file does not hold it", number)
    .action((from: string, to: string, { pair, layout, groups, epsilon }: FoldArguments) =>
      withFile(from, async (file) => {
        const tensors = new Map<string, FileTensor>();
        const gone = new Set<string>();
        for (const [layer, batchNorm] of pair) {
          for (const [name, tensor] of await foldPair(file, layer, batchNorm, layout, groups, epsilon, gone)) {
            tensors.set(name, tensor);
          }
        }
        const kept = [...file.tensors].filter(([name]) => !gone.has(name) && !tensors.has(name));
        const read = async (name: string) => tensors.get(name) ?? file.read(name);
        await write(to, new Map([...kept, ...tensors]), read, progress);
      }),
    );
  return program;
}

interface FoldArguments {
  readonly pair: readonly (readonly [layer: string, batchNorm: string])[];
  readonly layout: string;
  readonly groups: number;
  readonly epsilon?: number;
}

function collected(value: string, pairs: FoldArguments['pair'] = []): FoldArguments['pair'] {
  const [layer, batchNorm, ...others] = value.split(':');
  if (!layer || !batchNorm || others.length > 0) throw new InvalidArgumentError('two names with a colon between them');
  return [...pairs, [layer, batchNorm]];
}

function number(value: string): number {
  const given = Number(value);
  if (value.trim() === '' || !Number.isFinite(given)) throw new InvalidArgumentError('a number');
  return given;
}

function tableOf(file: TensorFile, found: readonly Inspection[]): string {
  if (found.length === 0) {
    const onnx = 'an export for inference has its batch norms folded into the convolutions before them';
    const why = file.format === 'ONNX' ? onnx : 'no running_mean and no moving_mean among its names';
    return `No batch norm in ${file.tensors.size} tensors: ${why}.\n`;
  }
  const rows = found.map(({ name, convention, channels, smallestVariance, warnings }) => [
    ...[name || '(the file)', `${channels}`, convention, smallestVariance?.toPrecision(3) ?? '?'],
    warnings.join('; '),
  ]);
  return `${aligned([['name', 'channels', 'convention', 'smallest variance', 'warnings'], ...rows])}\n`;
}

/** The folded tensors of a layer, by their names; those of the batch norm are `gone`. */
async function foldPair(
  file: TensorFile,
  layer: string,
  batchNorm: string,
  layout: string,
  groups: number,
  epsilon: number | undefined,
  gone: Set<string>,
): Promise<[string, FileTensor][]> {
  const found = findBatchNorms(file).find(({ name }) => name === batchNorm);
  if (found === undefined) refuse('INVALID_OPTION', `a batch norm '${batchNorm}'`, 'one that `inspect` lists');
  if (epsilon === undefined && found.hyperparameters === undefined) {
    refuse('INVALID_OPTION', 'no --epsilon', 'it: the file does not hold it');
  }
  // Of the hyperparameters inference reads epsilon alone.
  const forInference = { momentum: 0.9, axis: 1, ...found.hyperparameters };
  const given = epsilon === undefined ? {} : { [found.convention === 'PyTorch' ? 'eps' : 'epsilon']: epsilon };
  const { state } = await found.load({ ...forInference, ...given } as Hyperparameters);
  const [weightName, biasName] = namesOf(file, layer);
  const weight = await file.read(weightName);
  const bias = file.tensors.has(biasName) ? await file.read(biasName) : undefined;
  const folded = fold({ weight: forFold(weight), bias: bias && forFold(bias), layout, groups }, state);
  for (const name of Object.values(found.tensors)) gone.add(name);
  const narrow = ({ data, shape }: ForFold) => ({ dtype: weight.dtype, shape, data: numbersOf(data) });
  return [
    [weightName, narrow(folded.weight)],
    [biasName, narrow(folded.bias)],
  ];
}

/** 'conv1' is 'conv1.weight' and 'conv1.bias' in PyTorch, 'conv1/kernel' and 'conv1/bias' in Keras. */
function namesOf(file: TensorFile, layer: string): [weight: string, bias: string] {
  for (const [weight, bias] of [
    [`${layer}.weight`, `${layer}.bias`],
    [`${layer}/kernel`, `${layer}/bias`],
  ] as const) {
    if (file.tensors.has(weight)) return [weight, bias];
  }
  refuse('INVALID_OPTION', `a layer '${layer}'`, 'one whose weight is in the file');
}

interface ForFold {
  readonly data: FloatArray;
  readonly shape: readonly number[];
}

/** Floats in the array of their type, to which `fold` rounds: float16 as bits. */
function forFold({ dtype, data, shape }: FileTensor): ForFold {
  if (dtype === 'F16') return { data: elementsFrom('float16', data as Float32Array), shape };
  if (data instanceof Float32Array || data instanceof Float64Array) return { data, shape };
  refuse('UNSUPPORTED', `a weight of ${dtype}`, 'floats');
}

/** Under another name first: a file that is there is complete. */
async function write(
  to: string,
  tensors: ReadonlyMap<string, { readonly dtype: string; readonly shape: readonly number[] }>,
  read: (name: string) => Promise<FileTensor>,
  progress: (text: string) => void,
): Promise<void> {
  let done = 0;
  const counted = async (name: string) => {
    const tensor = await read(name);
    done++;
    if (done % 100 === 0 || done === tensors.size) progress(`${done} of ${tensors.size} tensors\n`);
    return tensor;
  };
  const parts = partsOf(to, tensors, counted);
  const unfinished = `${to}.unfinished`;
  const file = await open(unfinished, 'w');
  try {
    for await (const part of parts) await file.writeFile(part);
  } catch (error) {
    await file.close();
    await rm(unfinished);
    throw error;
  }
  await file.close();
  await rename(unfinished, to);
}

function partsOf(
  to: string,
  tensors: ReadonlyMap<string, { readonly dtype: string; readonly shape: readonly number[] }>,
  read: (name: string) => Promise<FileTensor>,
): AsyncIterable<Uint8Array> {
  if (to.endsWith('.safetensors')) return safetensorsParts(tensors, read);
  if (to.endsWith('.npz')) return npz(tensors, read);
  refuse('UNSUPPORTED', `'${to}'`, '.safetensors or .npz');
}

async function* npz(
  tensors: ReadonlyMap<string, unknown>,
  read: (name: string) => Promise<FileTensor>,
): AsyncGenerator<Uint8Array> {
  const all = new Map<string, FileTensor>();
  for (const name of tensors.keys()) all.set(name, await read(name));
  yield writeNpz(all);
}
