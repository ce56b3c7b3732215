// Which commit is measured.
import { execFileSync } from 'node:child_process';
import { repository } from '../repository.js';

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
