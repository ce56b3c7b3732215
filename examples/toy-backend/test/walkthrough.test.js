// docs/writing-a-backend.md walks from an empty file to this backend: its pieces, one after the other, are the file.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';

const read = (path) => readFile(new URL(path, import.meta.url), 'utf8');

it('docs/writing-a-backend.md leads to this backend, to the letter', async () => {
  const guide = await read('../../../docs/writing-a-backend.md');
  const pieces = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code]) => code);
  const withoutBlankLines = (code) => code.replaceAll(/^\n/gm, '');
  assert.ok(pieces.length > 1);
  assert.equal(withoutBlankLines(pieces.join('')), withoutBlankLines(await read('../src/toy-backend.js')));
});
