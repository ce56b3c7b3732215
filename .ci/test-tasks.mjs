// Of the last `turbo run … --summarize`: prints a row for each package's tests, with its seconds, the longest first; and
// writes what they printed as unit.log and browser.log into the folder that it is given.
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

const names = { test: 'unit', 'test:browser': 'browser' };
const [folder] = process.argv.slice(2);
const runs = readdirSync('.turbo/runs').map((name) => join('.turbo/runs', name));
const [latest] = runs.sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
const { tasks } = JSON.parse(readFileSync(latest, 'utf8'));

const ran = tasks
  .filter(({ task, execution }) => task in names && execution)
  .map(({ task, package: name, logFile, execution: { startTime, endTime, exitCode } }) => ({
    ...{ name, logFile, kind: names[task], seconds: (endTime - startTime) / 1000, ok: exitCode === 0 },
  }))
  .sort((a, b) => b.seconds - a.seconds);

for (const kind of Object.values(names)) rmSync(join(folder, `${kind}.log`), { force: true });
for (const { name, kind, logFile, seconds, ok } of ran) {
  if (existsSync(logFile))
    appendFileSync(join(folder, `${kind}.log`), `=== ${name}\n${readFileSync(logFile, 'utf8')}\n`);
  const outcome = ok ? 'passed' : 'FAILED';
  console.log(`  ${kind.padEnd(10)} ${seconds.toFixed(0).padStart(6)} s  ${outcome}  ${name}`);
}
