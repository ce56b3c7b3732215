// The page: runs the program of one library, `?library=tfjs`, and shows its results, or the error, as JSON.
import type { Results } from './program.js';

const programs: Readonly<Record<string, () => Promise<{ run(): Promise<Results> }>>> = {
  typegpu: () => import('./typegpu.js'),
  tfjs: () => import('./tfjs.js'),
  onnxruntime: () => import('./onnxruntime.js'),
};

const output = document.querySelector('output')!;
const load = programs[new URLSearchParams(location.search).get('library') ?? ''];
if (load) {
  output.ariaBusy = 'true';
  try {
    const { y, dx } = await (await load()).run();
    output.textContent = JSON.stringify({ y: [...y], dx: [...dx] });
  } catch (error) {
    output.textContent = JSON.stringify({ error: String(error) });
  }
  output.ariaBusy = 'false';
}
