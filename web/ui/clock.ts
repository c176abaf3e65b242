/** The project's time: real time, but where somebody let time pass in a local stack. */
import { signal } from "@preact/signals";

/** How many milliseconds the project is ahead of real time: what depends on the time of day is read anew. */
export const ahead = signal(0);

/** The project's time in milliseconds, new each second while the page is visible. */
export const now = signal(Date.now());

/** The project's time in milliseconds. */
export function currentTime(): number {
  return Date.now() + ahead.peek();
}

export function setAhead(milliseconds: number): void {
  ahead.value = milliseconds;
  now.value = currentTime();
}

if (globalThis.document) {
  setInterval(() => {
    if (document.visibilityState === "visible") now.value = currentTime();
  }, 1000);
}
