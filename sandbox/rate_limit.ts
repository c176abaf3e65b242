/**
 * Calendly's rate limit: so many requests a minute per user, over all of the user's tokens. A window
 * of a minute of the virtual clock starts with the first request in it.
 */
import { Clock, duration, formatTime, Micros, time } from "./clock.ts";
import { Uri } from "./resources.ts";
import type { RateLimitState } from "./state.ts";

const WINDOW = duration("1m");

/** Null: lifted. The headers then tell of a limit that nobody reaches. */
export type Limit = number | null;

const LIFTED = 1_000_000;

export class RateLimit {
  readonly #clock: Clock;
  readonly #windows = new Map<Uri, { started: Micros; used: number }>();

  /** Limits in place of the plan's. */
  readonly #limits = new Map<Uri, Limit>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Another limit than the plan's for a user; undefined restores that. */
  set(user: Uri, limit: Limit | undefined): void {
    if (limit === undefined) this.#limits.delete(user);
    else this.#limits.set(user, limit);
  }

  limitOf(user: Uri, plan: number): Limit {
    const limit = this.#limits.get(user);
    return limit === undefined ? plan : limit;
  }

  save(): RateLimitState {
    return {
      limits: [...this.#limits].map(([user, limit]) => ({ user, limit })),
      windows: [...this.#windows].map(([user, { started, used }]) => ({
        user,
        started: formatTime(started),
        used,
      })),
    };
  }

  load(state: RateLimitState): void {
    for (const { user, limit } of state.limits) this.#limits.set(user, limit);
    for (const { user, started, used } of state.windows) {
      this.#windows.set(user, { started: time(started), used });
    }
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
