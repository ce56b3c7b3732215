// The configs of the batch norms in what Keras says of a model, in JSON.
import { fieldsOf } from './json.js';

/** Deeper models, and ones of more parts, are no models. */
const deepest = 200;

/**
 * The configs of all layers of class BatchNormalization in `model`, by the names of the layers, wherever they are in it:
 * models have models within them. Of two layers of one name neither is told apart: their tensors would not be, either.
 */
export function kerasConfigs(model: unknown): ReadonlyMap<string, Readonly<Record<string, unknown>>> {
  const configs = new Map<string, Readonly<Record<string, unknown>>>();
  const twice = new Set<string>();
  const walk = (value: unknown, depth: number) => {
    if (typeof value !== 'object' || value === null || depth > deepest) return;
    if (!Array.isArray(value)) {
      const fields = fieldsOf(value, 'a layer');
      const [className, config] = [fields.get('class_name'), fields.get('config')];
      if (
        /^(Sync)?BatchNormalization(V\d)?$/.test(String(className)) &&
        typeof config === 'object' &&
        config !== null
      ) {
        const name = String((config as Readonly<Record<string, unknown>>).name);
        if (configs.has(name)) twice.add(name);
        configs.set(name, config as Readonly<Record<string, unknown>>);
      }
    }
    for (const item of Object.values(value)) walk(item, depth + 1);
  };
  walk(model, 0);
  for (const name of twice) configs.delete(name);
  return configs;
}

/** Tensors may have more before the layer's name: those of 'model/bn/gamma' are of the layer 'bn'. */
export function withPaths<Config>(
  configs: ReadonlyMap<string, Config>,
  tensors: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, Config> {
  const all = new Map(configs);
  for (const tensor of tensors.keys()) {
    const path = tensor.slice(0, tensor.lastIndexOf('/'));
    const config = configs.get(path.slice(path.lastIndexOf('/') + 1));
    if (config !== undefined) all.set(path, config);
  }
  return all;
}
