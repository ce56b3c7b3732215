// What was dropped without `dispose()` is freed when the garbage collector has found it, where the engine tells.

const registry: FinalizationRegistry<() => void> | undefined =
  typeof FinalizationRegistry === 'undefined' ? undefined : new FinalizationRegistry((free) => free());

/** Calls `free` when nobody has `owner` any more. `free` must not know `owner`: it would keep it alive. */
export function freeWhenDropped(owner: object, free: () => void): void {
  registry?.register(owner, free, owner);
}

/** `owner` frees by itself. */
export function freedByOwner(owner: object): void {
  registry?.unregister(owner);
}
