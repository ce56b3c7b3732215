// The command: what batch norms a file has, the same file in another format, and layers folded.
import { Command, InvalidArgumentError } from 'commander';
import { type Inspection, inspect } from '../inspect.js';
import type { FileTensor, TensorFile } from '../tensor-file.js';
import { aligned, printable, wrapped } from './aligned.js';
import { foldPair } from './fold-pair.js';
import { withFile } from './open-path.js';
import { writeTensors } from './write-tensors.js';

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
      withFile(from, (file) => writeTensors(to, file, file.tensors, (name) => file.read(name), progress)),
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
          const folded = await foldPair(file, layer, batchNorm, { layout, groups, epsilon });
          for (const [name, tensor] of folded.tensors) tensors.set(name, tensor);
          for (const name of folded.gone) gone.add(name);
        }
        const kept = [...file.tensors].filter(([name]) => !gone.has(name) && !tensors.has(name));
        const read = async (name: string) => tensors.get(name) ?? file.read(name);
        await writeTensors(to, file, new Map([...kept, ...tensors]), read, progress);
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
  if (pairs.some((pair) => pair.includes(layer) || pair.includes(batchNorm)))
    throw new InvalidArgumentError('each name once');
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
  const rows = found.map(({ name, convention, channels, smallestVariance }) => [
    ...[printable(name) || '(the file)', `${channels}`, convention, smallestVariance?.toPrecision(3) ?? '?'],
  ]);
  const [head, ...lines] = aligned([['name', 'channels', 'convention', 'smallest variance'], ...rows]).split('\n');
  const withWarnings = lines.flatMap((line, k) => [line, ...found[k]!.warnings.map(warningText)]);
  return `${[head, ...withWarnings].join('\n')}\n`;
}

/** In the lines below its batch norm. */
function warningText(warning: string): string {
  return wrapped(printable(warning), 76)
    .map((line, k) => (k === 0 ? `  ! ${line}` : `    ${line}`))
    .join('\n');
}
