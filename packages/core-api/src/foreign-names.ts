// The names that other frameworks have for what a layer has learned: whoever passes them needs a translation.

/** A framework, what translates from it, and its names. Ours are none of them: gamma and beta are Keras's, too. */
const frameworks = [
  ['PyTorch', 'fromPyTorch', ['running_mean', 'running_var', 'num_batches_tracked', 'weight', 'bias']],
  ['Keras', 'fromKeras', ['moving_mean', 'moving_variance']],
  ['ONNX', 'fromOnnx', ['input_mean', 'input_var', 'scale', 'B']],
] as const;

/** Whose name is among `keys`, which may have a prefix: 'layer1.bn.running_mean', 'bn/moving_mean:0'. */
export function frameworkOf(
  keys: readonly string[],
): { readonly name: string; readonly framework: string; readonly translator: string } | undefined {
  for (const [framework, translator, names] of frameworks) {
    const name = keys.find((key) => names.some((known) => key.split(/[./]/).at(-1)?.replace(/:0$/, '') === known));
    if (name !== undefined) return { name, framework, translator };
  }
  return undefined;
}
