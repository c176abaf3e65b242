/**
 * What headers say of a rate limit. Each value is read with a doubt: `x-ratelimit-reset` should be a number
 * of seconds, and `retry-after` may be a date as well. How long is waited at all is a rule of Postgres: see
 * calendly.time_to_reset.
 */

/** Values above this are moments, in seconds since 1970, and no spans of time: this one is of 2001. */
const EPOCH = 1e9;

/**
 * In how many seconds something is, from a header that gives a span in seconds, a moment in seconds or
 * milliseconds since 1970, or a date. Moments are compared with Calendly's own clock, where `headers` tell it.
 * Undefined where the value says nothing.
 */
export function secondsUntil(value: string | null, headers: Headers): number | undefined {
  if (value === null || value.trim() === "") return undefined;
  const now = (Date.parse(headers.get("date") ?? "") || Date.now()) / 1000;
  if (/^\s*-?\d+(\.\d+)?\s*$/.test(value)) {
    const seconds = Number(value);
    if (seconds < EPOCH) return Math.max(seconds, 0);
    const moment = seconds < 1000 * EPOCH ? seconds : seconds / 1000;
    return Math.max(moment - now, 0);
  }
  const date = Date.parse(value);
  // Date.parse reads many a text as a date: HTTP's dates begin with the day of the week.
  if (Number.isNaN(date) || !/^\s*[A-Z][a-z]{2,8}, /.test(value)) return undefined;
  return Math.max(date / 1000 - now, 0);
}

/** A number of requests; undefined where a header holds none that can be one. */
export function wholeNumber(value: string | null): number | undefined {
  return value !== null && /^\s*\d{1,9}\s*$/.test(value) ? Number(value) : undefined;
}
