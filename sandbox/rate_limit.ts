/**
 * Calendly's rate limit: so many requests a minute per user, over all of the user's tokens. A window
 * of a minute of the virtual clock starts with the first request in it.
 */
import { Clock, duration, Micros } from "./clock.ts";
import { Uri } from "./resources.ts";

const WINDOW = duration("1m");

/** Null: lifted. The headers then tell of a limit that nobody reaches. */
export type Limit = number | null;

const LIFTED = 1_000_000;

export class RateLimit {
  readonly #clock: Clock;
  readonly #windows = new Map<Uri, { started: Micros; used: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts one request. `allowed` is false when it is over the limit. */
  spend(user: Uri, perMinute: Limit): { allowed: boolean; headers: Record<string, string> } {
    const limit = perMinute ?? LIFTED;
    const now = this.#clock.now();
    let window = this.#windows.get(user);
    if (!window || now - window.started >= WINDOW || now < window.started) {
      this.#windows.set(user, window = { started: now, used: 0 });
    }
    const allowed = window.used < limit;
    if (allowed) window.used += 1;
    const left = window.started + WINDOW - now;
    return {
      allowed,
      headers: rateLimitHeaders(
        limit,
        Math.max(0, limit - window.used),
        Number((left + 999_999n) / 1_000_000n),
      ),
    };
  }
}

export function rateLimitHeaders(limit: number, remaining: number, resetSeconds: number) {
  return {
    "x-ratelimit-limit": String(limit),
    "x-ratelimit-remaining": String(remaining),
    "x-ratelimit-reset": String(resetSeconds),
  };
}
