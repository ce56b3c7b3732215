// Verdicts that are known: of the same results of the same problem the oracle says what it said before, and it takes its
// time. What device tensors hold is mostly, to the bit, what host arrays held.

const verdicts = new Map<string, unknown>();

/**
 * What `judge` says, which must follow from `question` and the bits of `judged` alone: for those it is called once.
 * Where nobody can tell that they are the same, as in a page that is not secure, it is called each time.
 */
export async function judgedOnce<T>(
  question: object,
  judged: readonly (ArrayBufferView | undefined)[],
  judge: () => T,
): Promise<T> {
  const { subtle } = globalThis.crypto ?? {};
  if (!subtle) return judge();
  const digestOf = async (bits: ArrayBufferView) =>
    `${new Uint8Array(await subtle.digest('SHA-256', bits as ArrayBufferView<ArrayBuffer>))}`;
  const parts = judged.map(async (bits) => bits && [bits.constructor.name, await digestOf(bits)]);
  // Digested once more, because there are many keys, and they are kept.
  const key = await digestOf(new TextEncoder().encode(JSON.stringify([question, await Promise.all(parts)])));
  if (!verdicts.has(key)) verdicts.set(key, judge());
  return verdicts.get(key) as T;
}
