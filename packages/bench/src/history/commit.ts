// Which commit is measured.
import { execFileSync } from 'node:child_process';
import { repository } from '../repository.js';

/** The first digits of a hash, and the `+` of `thisCommit`. */
export function shortCommit(commit: string): string {
  return commit.slice(0, 10) + (commit.endsWith('+') ? '+' : '');
}

/** The hash of HEAD, with a `+` when there are changes on top of it; 'unknown' outside of git. */
export function thisCommit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, { cwd: repository, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return git('rev-parse', 'HEAD') + (git('status', '--porcelain', '--untracked-files=no') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}
