// The probe in Node, Deno or Bun: prints what it found as the last line.
import { probe } from './probe.js';

console.log(JSON.stringify(await probe()));
