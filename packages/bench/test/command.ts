// The built commands, run as their users run them.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface CommandResult {
  readonly code: number;
  /** stdout, then stderr. */
  readonly output: string;
}

/** `onOutput` hears of stderr while it runs, and may end it with a signal. */
export function runCommand(
  name: 'bench' | 'compare' | 'report',
  folder: string,
  args: readonly string[],
  onOutput: (text: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<CommandResult> {
  const main = fileURLToPath(new URL(`../dist/commands/${name}.js`, import.meta.url));
  const env = { ...process.env, INIT_CWD: folder, NO_COLOR: '1' };
  const child = spawn(process.execPath, [main, ...args], { cwd: folder, env });
  const texts = { out: '', err: '' };
  child.stdout.on('data', (text: Buffer) => {
    texts.out += text.toString();
    onOutput(texts.out + texts.err, (signal) => child.kill(signal));
  });
  child.stderr.on('data', (text: Buffer) => {
    texts.err += text.toString();
    onOutput(texts.out + texts.err, (signal) => child.kill(signal));
  });
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ code: code ?? -1, output: texts.out + texts.err }));
  });
}
