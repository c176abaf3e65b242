/** What has arrived by itself while the page was open: which meetings, and how long after it happened. */
import { toDate } from "../ui/time.tsx";
import type { Meeting } from "./data.ts";

export interface Arrival {
  kind: "booked" | "canceled" | "changed";
  /** Seconds from what happened at Calendly to this page; undefined where the clocks do not allow to say. */
  delay?: number;
  /** In milliseconds: when it was on the page. */
  at: number;
}

/** What happened longer ago than this is no news: an import, or a repair. In seconds. */
const RECENT = 600;
/** By how much the browser's clock may be behind Calendly's, in seconds. */
const TOLERANCE = 5;

/** What the arrival of a meeting tells; undefined where nothing has just happened to it. */
export function arrivalOf(meeting: Meeting, known: boolean, at: number): Arrival | undefined {
  const since = (time: string | null) =>
    time === null ? Infinity : (at - toDate(time).getTime()) / 1000;
  const age = meeting.is_deleted && meeting.deleted_at !== null
    ? Math.min(since(meeting.calendly_updated_at), since(meeting.deleted_at))
    : since(meeting.calendly_updated_at ?? meeting.calendly_created_at);
  const booked = !meeting.is_deleted && !known && since(meeting.calendly_created_at) < RECENT;
  const kind = booked ? "booked" : meeting.is_deleted ? "canceled" : "changed";
  const seconds = booked ? since(meeting.calendly_created_at) : age;
  if (seconds >= RECENT || seconds < -TOLERANCE) return undefined;
  return { kind, at, delay: Math.max(0, seconds) };
}

/** "0.4 s", "12 s". */
export function delayWords(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
