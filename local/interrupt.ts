/** How what has begun ends early: Ctrl-C, or the system's asking, as a signal that work can be held against. */

/** Aborts when the person (Ctrl-C) or the system asks the process to end. */
export function askedToEnd(): AbortSignal {
  const asked = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) Deno.addSignalListener(signal, () => asked.abort());
  return asked.signal;
}

/** Resolves when the signal aborts. */
export function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** What comes of `work`; throws the signal's reason as soon as that aborts. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = untilAborted(signal).then((): never => {
    throw signal.reason;
  });
  return Promise.race([aborted, work]);
}
