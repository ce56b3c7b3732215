// The page: it starts and stops the worker and shows what it says, and never waits for the training itself.
import type { Progress } from './training.worker.ts';

const start = document.querySelector<HTMLButtonElement>('#start')!;
const stop = document.querySelector<HTMLButtonElement>('#stop')!;
const bar = document.querySelector<HTMLProgressElement>('#progress')!;
const status = document.querySelector<HTMLOutputElement>('#status')!;

start.onclick = () => {
  const worker = new Worker(new URL('./training.worker.ts', import.meta.url), { type: 'module' });
  let latest: Progress | undefined;
  setRunning(true);
  status.value = 'Measuring which backend is fastest here …';

  worker.onmessage = ({ data: progress }: MessageEvent<Progress>) => {
    latest = progress;
    const { backend, step, steps, accuracy } = progress;
    bar.value = step / steps;
    status.value = `Step ${step} of ${steps} on ${backend}: ${(100 * accuracy).toFixed(1)} % right`;
    if (step === steps) end(`Done after ${steps} steps on ${backend}: ${(100 * accuracy).toFixed(1)} % right`);
  };
  worker.onerror = ({ message }) => end(`Failed: ${message}`);
  stop.onclick = () => end(latest ? `Stopped at step ${latest.step} of ${latest.steps}` : 'Stopped before it began');

  function end(text: string): void {
    worker.terminate(); // frees the layer and its backend, too
    setRunning(false);
    status.value = text;
  }
};

function setRunning(running: boolean): void {
  start.disabled = running;
  stop.disabled = !running;
}
