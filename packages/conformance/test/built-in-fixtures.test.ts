// The golden files of this package: suites know their cases before they are read, and they are read when a case needs
// them.
import fs from 'node:fs/promises';
import * as core from '@batchnorm/core-api';
import { expect, it, vi } from 'vitest';
import { builtInNames } from '../src/built-in-names.js';
import { createPlainBackend } from './plain-backend.js';

it('suites list every case of the files, and no other', async () => {
  const { builtInFixtures } = await import('../src/index.js');
  const files = (await builtInFixtures()).map(({ name, cases }) => [
    name,
    Object.fromEntries(cases.map((one) => [one.name, one.why])),
  ]);
  expect(Object.fromEntries(files)).toEqual(builtInNames);
});

it('files are read by the first case that needs them, once, and not by an import', async () => {
  vi.resetModules();
  const readFile = vi.spyOn(fs, 'readFile');
  const { suite } = await import('../src/index.js');
  const { runCase } = await import('../src/conformance.js');
  const golden = suite.filter(({ group }) => group === 'golden');
  expect(golden.length).toBeGreaterThan(10);
  expect(readFile).not.toHaveBeenCalled();
  const create = () => createPlainBackend(core);
  for (const one of golden) {
    expect(await runCase(one, { backend: create(), dtype: 'float64', create })).toMatchObject({ status: 'passed' });
  }
  expect(readFile).toHaveBeenCalledTimes(Object.keys(builtInNames).length);
});
