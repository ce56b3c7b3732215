#!/usr/bin/env node
// `npx @batchnorm/weights`: exits with 0, with 1 where a file is refused, and with 2 where the question was wrong.
import { BatchNormError } from '@batchnorm/core-api';
import { CommanderError } from 'commander';
import { printable } from './aligned.js';
import { newProgram } from './program.js';

const program = newProgram({
  out: (text) => process.stdout.write(text),
  progress: (text) => process.stderr.write(text),
});
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof BatchNormError || (error instanceof Error && 'syscall' in error)) {
    console.error(printable(error instanceof BatchNormError ? `${error.code}: ${error.message}` : error.message));
    process.exitCode = 1;
  } else {
    throw error;
  }
}
