// The page: one training step on each backend. `?mode=webgl2` asks gpu.js for a mode; the form sends that.
import { createGpuJsBackend, type GpuJsMode } from '@batchnorm/backend-gpujs';
import { createJsBackend } from '@batchnorm/backend-js';
import type { Backend, MaybePromise } from '@batchnorm/core-api';
import { show, showError } from './show.js';
import { trainingStep } from './training-step.js';

const select = document.querySelector('select')!;
const mode = new URLSearchParams(location.search).get('mode') ?? 'auto';
select.value = mode;
select.addEventListener('change', () => select.form!.submit());

await run('JavaScript', createJsBackend);
await run('gpu.js', () => createGpuJsBackend({ mode: mode as GpuJsMode }));

/** A section of the page, which says when it is done. */
async function run(title: string, create: () => MaybePromise<Backend>): Promise<void> {
  const section = document.createElement('section');
  const heading = document.createElement('h2');
  heading.textContent = title;
  section.append(heading);
  section.ariaBusy = 'true';
  document.querySelector('main')!.append(section);
  try {
    const backend = await create();
    show(section, backend.execution, await trainingStep(backend));
    await backend.dispose();
  } catch (error) {
    showError(section, error);
  }
  section.ariaBusy = 'false';
}
