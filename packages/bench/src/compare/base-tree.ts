// Another commit, checked out and built in a temporary git worktree with dependencies of its own.
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { repository } from '../repository.js';

const run = promisify(execFile);

/** A reference that git does not know, or a commit that can't be built. */
export class BaseError extends Error {}

export interface Tree {
  readonly root: string;
  readonly commit: string;
  remove(): Promise<void>;
}

/** Errors: `BaseError`. */
export async function resolveCommit(reference: string): Promise<string> {
  const { stdout } = await run('git', ['rev-parse', '--verify', '--quiet', `${reference}^{commit}`], {
    cwd: repository,
  }).catch(() => {
    throw new BaseError(`'${reference}' is no commit that git knows here`);
  });
  return stdout.trim();
}

/**
 * The backends of `commit`, and what they need. Its own bench is not used, so it need not have one. Errors:
 * `BaseError`.
 */
export async function buildTree(commit: string, onStep: (text: string) => void): Promise<Tree> {
  const root = join(await mkdtemp(join(tmpdir(), 'batchnorm-base-')), 'tree');
  const git = (...args: string[]) => run('git', args, { cwd: repository });
  const remove = async () => {
    await git('worktree', 'remove', '--force', root).catch(() => {});
    await rm(join(root, '..'), { recursive: true, force: true });
  };
  const environment = { ...process.env, CI: 'true', TURBO_TELEMETRY_DISABLED: '1', REQUIRE_BACKENDS: '' };
  const pnpm = (...args: string[]) =>
    run('npx', ['--yes', 'pnpm@12', ...args], { cwd: root, env: environment, maxBuffer: 2 ** 26 });
  try {
    onStep('checking out');
    await git('worktree', 'add', '--detach', root, commit);
    onStep('installing');
    await pnpm('install', '--frozen-lockfile', '--prefer-offline');
    onStep('building');
    await pnpm('exec', 'turbo', 'run', 'build', '--filter=./packages/backend-*', '--filter=@batchnorm/core-api');
  } catch (error) {
    await remove();
    const { message, stdout = '', stderr = '' } = error as Error & { stdout?: string; stderr?: string };
    const lines = `${stdout}\n${stderr}`.trim().split('\n').slice(-15).join('\n');
    throw new BaseError(`${commit.slice(0, 10)} can't be built: ${message.split('\n')[0]}\n${lines}`);
  }
  return { root, commit, remove };
}
