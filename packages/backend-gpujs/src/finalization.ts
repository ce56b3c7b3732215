// What was dropped without `dispose()` is freed when the garbage collector has found it, where the engine tells.

interface Releasable {
  release(): void;
}

const registry: FinalizationRegistry<readonly Releasable[]> | undefined =
  typeof FinalizationRegistry === 'undefined'
    ? undefined
    : new FinalizationRegistry((held) => {
        for (const one of held) one.release();
      });

/**
 * Releases `held` when nobody has `owner` any more. Objects, which must not know `owner`, and no function: a closure keeps
 * whatever others of its scope know, and with it `owner`.
 */
export function releaseWhenDropped(owner: object, ...held: readonly Releasable[]): void {
  registry?.register(owner, held, owner);
}

/** `owner` releases by itself. */
export function releasedByOwner(owner: object): void {
  registry?.unregister(owner);
}
