/** Ctrl-C, or the system's request to end, as a signal with which work is given up. */

import { untilAborted } from "../cli/interrupt.ts";

export { untilAborted };

/** Aborts when a person (Ctrl-C) or the system asks the process to end. */
export function interruptSignal(): AbortSignal {
  const interrupted = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, () => interrupted.abort());
  return interrupted.signal;
}

/** The result of `work`; throws the signal's reason as soon as that aborts. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = untilAborted(signal).then((): never => {
    throw signal.reason;
  });
  return Promise.race([aborted, work]);
}
