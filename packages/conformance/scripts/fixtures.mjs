// `pnpm conformance:fixtures`: makes fixtures/oracle.json again, and fails if it is not what it was: a change of the
// oracle, of a problem or of the generator must be seen.
import { readFile, writeFile } from 'node:fs/promises';
import { generateFixtures } from '../dist/generated-fixtures.js';

const file = new URL('../fixtures/oracle.json', import.meta.url);
const before = await readFile(file, 'utf8').catch(() => '');
const now = generateFixtures();
await writeFile(file, now);
if (now === before) {
  console.log('fixtures/oracle.json is as it was');
} else {
  console.error('fixtures/oracle.json has changed: look at the difference, and commit it if it is meant');
  process.exitCode = 1;
}
