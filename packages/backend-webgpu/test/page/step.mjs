// A page's script: a training step on WebGPU, then whether the page's policy holds. Its result is an attribute of the body.
import { createWebGpuBackend } from '@batchnorm/backend-webgpu';
import { BatchNorm } from '@batchnorm/core-api';

const violations = [];
document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective));

async function result() {
  const { x, dy, shape } = await (await fetch('/batch.json')).json();
  const tensor = (values) => ({ data: Float32Array.from(values), shape });
  const backend = await createWebGpuBackend();
  const layer = new BatchNorm({ backend, numFeatures: shape[1] });
  const y = await layer.forward(tensor(x));
  const { dx } = await layer.backward(tensor(dy));
  await layer.dispose();
  await backend.dispose();
  const ofStep = [...violations];
  let evaluated;
  try {
    evaluated = new Function('return true')();
  } catch (error) {
    evaluated = error.name;
  }
  return { y: [...y.data], dx: [...dx.data], ofStep, evaluated };
}

const outcome = await result().catch(({ code, message }) => ({ code, message }));
document.body.dataset.outcome = JSON.stringify(outcome);
