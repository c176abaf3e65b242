/** Work that goes on when the caller has gone away. */
declare const EdgeRuntime: { waitUntil(work: Promise<unknown>): void } | undefined;

/** Tells the platform to keep the instance until `work` is done, and returns it. */
export function inBackground<T>(work: Promise<T>): Promise<T> {
  if (typeof EdgeRuntime !== "undefined") EdgeRuntime.waitUntil(work.catch(() => {}));
  return work;
}
