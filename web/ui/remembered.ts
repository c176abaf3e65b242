/** A choice that outlives the page, kept in this browser. */
import { effect, type Signal, signal } from "@preact/signals";

/** A signal kept under `name`; a value that is none of `allowed` is not taken from the storage. */
export function remembered<T extends string>(
  name: string,
  initial: T,
  allowed: readonly T[],
  storage: Storage | undefined = globalThis.document && globalThis.localStorage,
): Signal<T> {
  const key = `calendly-console.${name}`;
  const kept = read(storage, key) as T | null;
  const value = signal(kept !== null && allowed.includes(kept) ? kept : initial);
  effect(() => {
    try {
      storage?.setItem(key, value.value);
    } catch {
      // A browser may refuse its storage. The choice then lasts as long as the page.
    }
  });
  return value;
}

function read(storage: Storage | undefined, key: string): string | null {
  try {
    return storage?.getItem(key) ?? null;
  } catch {
    return null;
  }
}
