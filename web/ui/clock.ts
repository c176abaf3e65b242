/** The project's time: the database's, and where somebody let time pass in a local stack, that much later. */
import { signal } from "@preact/signals";

/** By how many milliseconds the database's clock is ahead of the browser's, which may be wrong. */
let skew = 0;
/** By how many milliseconds the project's time was moved. */
let moved = 0;

/** How many milliseconds the project is ahead of the browser: what depends on the time of day is read anew. */
export const ahead = signal(0);

/** The project's time in milliseconds, new each second while the page is visible. */
export const now = signal(Date.now());

/** The project's time in milliseconds. */
export function currentTime(): number {
  return Date.now() + ahead.peek();
}

/** The database's own time in milliseconds, of `now()`, which is never moved. */
export function databaseTime(): number {
  return Date.now() + skew;
}

export function setMoved(milliseconds: number): void {
  moved = milliseconds;
  setAhead();
}

/** An answer takes its time on the way: a difference of less is none. In milliseconds. */
const TOLERANCE = 3000;

/** What the database's clock has just said. */
export function setDatabaseTime(time: number): void {
  const difference = time - Date.now();
  if (Math.abs(difference - skew) < TOLERANCE) return;
  skew = Math.abs(difference) < TOLERANCE ? 0 : difference;
  setAhead();
}

function setAhead(): void {
  ahead.value = skew + moved;
  now.value = currentTime();
}

if (globalThis.document) {
  setInterval(() => {
    if (document.visibilityState === "visible") now.value = currentTime();
  }, 1000);
}
