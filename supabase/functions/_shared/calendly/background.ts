/** Work that goes on although the caller has its answer, or has gone away. */
import { logCounted, messageOf } from "./log.ts";

declare const EdgeRuntime: { waitUntil(work: Promise<unknown>): void } | undefined;

/** Tells the platform to keep this worker until `work` is done, and returns `work`. */
export function keepAlive<T>(work: Promise<T>): Promise<T> {
  if (typeof EdgeRuntime !== "undefined") EdgeRuntime.waitUntil(work.catch(() => {}));
  return work;
}

/** The same for work that nobody waits for: a failure is logged with `failed` as its text. */
export function inBackground(work: Promise<unknown>, failed: string): void {
  keepAlive(work).catch((error) => {
    const reason = messageOf(error);
    logCounted(failed, { reason }, `${failed} ${reason}`);
  });
}
