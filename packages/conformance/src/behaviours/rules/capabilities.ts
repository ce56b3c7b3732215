// What a backend says it can't: refused with its code before anything runs, by every backend, also by one that says it
// can more.
import {
  allocate,
  type Backend,
  BatchNorm,
  type Capabilities,
  type Dtype,
  product,
  type Tensor,
} from '@batchnorm/core-api';
import { describeAccumulation } from '../../arithmetic.js';
import { type Check, identical, outcome } from '../../compare.js';
import { refuses } from '../../expect-refusal.js';
import { notLarge, type Rule } from '../rule.js';
import { type Scene, same } from '../scene.js';

/** A backend's own limit is tried where a tensor beyond it takes no more than 256 MiB. */
const mostElementsToTry = 2 ** 25;
/** A tensor of exactly as many elements as the backend's limit is computed where they are no more than this. */
const largestToCompute = 2 ** 22;
const exempt = notLarge('capabilities are the same at every size');

export const capabilityRules: readonly Rule[] = [
  {
    name: 'limits.elements',
    why: 'one more is LIMIT_EXCEEDED before anything is prepared, exactly as many are computed, and the next call works',
    exempt,
    run: async (scene) => {
      const { backend, shape } = scene;
      const { x } = scene.batch(1);
      const { elements } = backend.capabilities.limits;
      let prepared = 0;
      const limited = (limit: number) => withCapabilities(backend, { limits: { elements: limit } }, () => prepared++);
      const tooMany = scene.layer({ backend: limited(product(shape) - 1) });
      const justEnough = scene.layer({ backend: limited(product(shape)) });
      const want = await scene.layer().forward({ data: x, shape });
      const checks = [
        outcome(
          'a whole number',
          Number.isSafeInteger(elements) && elements > 0,
          `: received ${elements}, expected a whole number above 0`,
        ),
        await refuses('one element too many', 'LIMIT_EXCEEDED', () => tooMany.forward({ data: x, shape })),
        outcome('one element too many', prepared === 0, `: received ${prepared} calls of prepare(), expected 0`),
        identical('as many as there may be', (await justEnough.forward({ data: x, shape })).data, want.data),
      ];
      return elements < mostElementsToTry ? [...checks, ...(await ownLimit(scene, elements))] : checks;
    },
  },
  {
    name: 'it describes itself',
    why: 'reports and choices rely on what a backend says that it is',
    exempt,
    run: async ({ backend }) => {
      const { contractVersion, name, capabilities, execution } = backend;
      const { dtypes, deviceTensors, deterministic, synchronous = false } = capabilities;
      const { engine, device, threads, accumulation, fallbackReason } = execution;
      const isText = (value: unknown) => typeof value === 'string' && value.trim() !== '';
      const isFlag = (value: unknown) => typeof value === 'boolean';
      const says = (what: string, received: unknown, holds: boolean, expected: string) =>
        outcome(what, holds, `: received ${JSON.stringify(received)}, expected ${expected}`);
      return [
        says(
          'capabilities, asked again',
          backend.capabilities,
          sameText(backend.capabilities, capabilities),
          'the same',
        ),
        says('contractVersion', contractVersion, contractVersion === 2, '2'),
        says('name', name, isText(name), 'a name'),
        says('dtypes', dtypes, new Set(dtypes).size === dtypes.length, 'each once'),
        says('deviceTensors', deviceTensors, isFlag(deviceTensors), 'true or false'),
        says('deterministic', deterministic, isFlag(deterministic), 'true or false'),
        says('synchronous', synchronous, isFlag(synchronous), 'true or false'),
        says('engine', engine, isText(engine), 'a name'),
        says('device', device, isText(device), 'a name'),
        says('threads', threads, Number.isSafeInteger(threads) && threads > 0, 'a whole number above 0'),
        says('accumulation', accumulation, isText(describeAccumulation(accumulation)), 'an arithmetic for each dtype'),
        says('fallbackReason', fallbackReason, fallbackReason === null || isText(fallbackReason), 'null or a reason'),
      ];
    },
  },
  {
    name: 'dtypes that it lacks',
    why: 'a layer of them is DTYPE_MISMATCH',
    exempt,
    run: async ({ backend, channels: numFeatures }) => {
      const all: readonly Dtype[] = ['float16', 'float32', 'float64'];
      const { dtypes } = backend.capabilities;
      const lacking = all.filter((dtype) => !dtypes.includes(dtype));
      const layerOf = (dtype: Dtype, of: Backend) => () => new BatchNorm({ backend: of, dtype, numFeatures });
      const checks: Check[] = [
        outcome(
          'at least one',
          dtypes.length > 0 && dtypes.every((one) => all.includes(one)),
          `: received [${dtypes}], expected some of ${all}`,
        ),
      ];
      for (const dtype of lacking) {
        checks.push(await refuses(`a layer of ${dtype}`, 'DTYPE_MISMATCH', layerOf(dtype, backend)));
        if (!backend.capabilities.deviceTensors) continue;
        const tensor = { data: allocate(dtype, numFeatures), shape: [1, numFeatures] };
        checks.push(await refuses(`upload of ${dtype}`, 'DTYPE_MISMATCH', () => backend.upload(tensor)));
      }
      // A dtype that the backend has, while its capabilities deny it.
      const denied = withCapabilities(backend, { dtypes: all.filter((one) => one !== dtypes[0]) });
      checks.push(await refuses(`a layer of ${dtypes[0]}, denied`, 'DTYPE_MISMATCH', layerOf(dtypes[0]!, denied)));
      return checks;
    },
  },
];

const sameText = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** How the backend itself treats tensors at its limit and beyond. */
async function ownLimit(scene: Scene, elements: number): Promise<Check[]> {
  const { backend, dtype, channels } = scene;
  const { x, dy } = scene.batch(1);
  const rows = Math.floor(elements / channels) + 1;
  const tooLarge: Tensor = { data: allocate(dtype, rows * channels), shape: [rows, channels] };
  const layer = scene.layer();
  const want = await scene.step(layer, { x, dy });
  const checks: Check[] = [];
  if (elements <= largestToCompute) {
    const full = { data: allocate(dtype, elements), shape: [elements, 1] };
    const y = await scene.layer({ numFeatures: 1 }).forward(full, { training: false });
    checks.push(outcome('as many as it says', y.data.length === elements, `: received ${y.data.length} elements`));
  }
  return [
    ...checks,
    await refuses('forward beyond it', 'LIMIT_EXCEEDED', () => layer.forward(tooLarge)),
    ...(backend.capabilities.deviceTensors
      ? [await refuses('upload beyond it', 'LIMIT_EXCEEDED', () => backend.upload(tooLarge))]
      : []),
    ...same('the next step', await scene.step(layer, { x, dy }), want),
  ];
}

/** The same backend with other capabilities. */
function withCapabilities(backend: Backend, changed: Partial<Capabilities>, onPrepare = () => {}): Backend {
  const { contractVersion, name, capabilities, execution } = backend;
  return {
    contractVersion,
    name,
    capabilities: { ...capabilities, ...changed },
    execution,
    prepare: (plan) => {
      onPrepare();
      return backend.prepare(plan);
    },
    upload: (tensor) => backend.upload(tensor),
    empty: (shape, dtype) => backend.empty(shape, dtype),
    from: (tensor) => backend.from(tensor),
    dispose() {},
  };
}
