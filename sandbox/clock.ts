/**
 * The sandbox's clock, and Calendly's times: UTC with six digits, held as whole microseconds
 * because a JavaScript Date would cut them to milliseconds.
 */

import { SandboxError } from "./errors.ts";
import type { ClockState } from "./state.ts";

export type Micros = bigint;

const SECOND: Micros = 1_000_000n;
const UNITS: Record<string, Micros> = {
  ms: 1000n,
  s: SECOND,
  m: 60n * SECOND,
  h: 3600n * SECOND,
  d: 86_400n * SECOND,
};

/** A length of time: seconds, or text such as "1500ms", "90s", "15m", "24h", "7d". */
export type Duration = number | string;

const DURATION = /^(-?\d{1,15})(ms|s|m|h|d)$/;

export function isDuration(text: string): boolean {
  return DURATION.test(text);
}

/** Microseconds of a duration; throws a TypeError for anything else. */
export function duration(value: Duration): Micros {
  if (typeof value === "number" && Number.isFinite(value)) return BigInt(Math.round(value * 1e6));
  const match = DURATION.exec(String(value));
  if (!match) throw new TypeError(`not a duration: ${value} (try 90, "15m", "24h" or "7d")`);
  return BigInt(match[1]) * UNITS[match[2]];
}

const TIME =
  /^(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})$/i;

/** Microseconds since 1970 of an ISO 8601 time with a zone and 0 to 9 digits, or null. */
export function parseTime(text: string): Micros | null {
  const match = TIME.exec(text);
  if (!match) return null;
  const [, minute, second = "00", fraction = "", zone] = match;
  const offset = /^z$/i.test(zone) ? "Z" : `${zone.slice(0, 3)}:${zone.slice(-2)}`;
  const local = `${minute.replace(" ", "T")}:${second}`;
  const whole = Date.parse(`${local}${offset}`);
  const asUtc = Date.parse(`${local}Z`);
  // Date.parse turns the 30th of February into the 2nd of March.
  if (Number.isNaN(whole) || new Date(asUtc).toISOString().slice(0, 19) !== local) return null;
  return BigInt(whole) * 1000n + BigInt(fraction.padEnd(6, "0").slice(0, 6));
}

/** From 1970 to 8999: what is added to such a time still has a year of four digits. */
export function withinCalendar(at: Micros): boolean {
  return at >= 0n && at < END_OF_CALENDAR;
}

const END_OF_CALENDAR = BigInt(Date.UTC(9000, 0)) * 1000n;

/** As `parseTime`, but a RangeError for what is not a time. */
export function time(text: string): Micros {
  const micros = parseTime(text);
  if (micros === null) throw new RangeError(`not a time: ${text} (try 2026-11-23T09:30:00Z)`);
  return micros;
}

/** Calendly's text for a time: 2026-02-25T18:13:01.136075Z. */
export function formatTime(micros: Micros): string {
  const fraction = ((micros % SECOND) + SECOND) % SECOND;
  const seconds = new Date(Number((micros - fraction) / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${fraction.toString().padStart(6, "0")}Z`;
}

export class Clock {
  /** True when time stands still between `advance` and `set`. */
  readonly pinned: boolean;
  /** When pinned the time, else how far it is ahead of real time. */
  #base: Micros;
  #last: Micros = 0n;
  #listeners = new Set<() => void>();
  #forwardOnly?: string;

  /** Real time, or with `start` a clock that stands still there. */
  constructor(start?: string) {
    this.pinned = start !== undefined;
    this.#base = start === undefined ? 0n : time(start);
  }

  /** Microseconds since 1970. */
  now(): Micros {
    const now = this.pinned ? this.#base : this.#base + realTime();
    return now > this.#last ? now : this.#last;
  }

  /** How far a clock that runs is ahead of real time, in microseconds; 0 where it stands still. */
  get ahead(): Micros {
    return this.pinned ? 0n : this.#base;
  }

  /** The time of a write: no two share one, so even a pinned clock moves by a microsecond. */
  tick(): Micros {
    this.#last = this.now() + 1n;
    return this.#last;
  }

  advance(by: Duration): void {
    this.#move(duration(by));
  }

  /** Sets the time; a clock that runs goes on from there. */
  set(iso: string): void {
    this.#move(time(iso) - this.now());
  }

  /** A clock that runs keeps its distance from real time, also while it is not loaded. */
  save(): ClockState {
    return this.pinned
      ? { pinned: true, now: formatTime(this.now()) }
      : { pinned: false, ahead: String(this.#base), latest_write: formatTime(this.#last) };
  }

  static load(state: ClockState): Clock {
    if (state.pinned) return new Clock(state.now);
    const clock = new Clock();
    clock.#base = BigInt(state.ahead);
    clock.#last = time(state.latest_write);
    return clock;
  }

  /** Calls `listener` whenever someone moves the clock. */
  onMove(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** From now on the clock is not set back, for this reason. */
  keepForward(reason: string): void {
    this.#forwardOnly = reason;
  }

  #move(by: Micros): void {
    if (by < 0n && this.#forwardOnly !== undefined) {
      throw new SandboxError("clock_goes_back", this.#forwardOnly, "Give a later time.");
    }
    const target = this.now() + by;
    if (!withinCalendar(target)) {
      throw new SandboxError("bad_time", "The clock goes from 1970 to the end of 8999.");
    }
    this.#last = 0n;
    this.#base = this.pinned ? target : target - realTime();
    for (const listener of this.#listeners) listener();
  }
}

function realTime(): Micros {
  return BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000));
}
