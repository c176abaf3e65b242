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

/** What the page has shown of each meeting, which tells what is news. */
export class Shown {
  readonly #meetings = new Map<number, string>();
  readonly #told = new Set<number>();

  /** `opened`: when the page began, in milliseconds. */
  constructor(readonly opened: number) {}

  /** The list shows these. */
  list(meetings: Meeting[]): void {
    for (const meeting of meetings) this.#meetings.set(meeting.id, JSON.stringify(meeting));
  }

  /**
   * What a meeting that has just been read tells; undefined where nothing has just happened to it. A booking
   * is told once, also where the list was read anew and had it first; what is shown already is no change.
   */
  arrivalOf(meeting: Meeting, at: number): Arrival | undefined {
    const known = this.#meetings.get(meeting.id);
    this.list([meeting]);
    const created = meeting.calendly_created_at;
    const isNew = !meeting.is_deleted && !this.#told.has(meeting.id) &&
      secondsSince(created, at) < RECENT &&
      (known === undefined || toDate(created!).getTime() >= this.opened);
    if (!isNew && known === JSON.stringify(meeting)) return undefined;
    const seconds = isNew ? secondsSince(created, at) : ageOf(meeting, at);
    if (seconds >= RECENT || seconds < -TOLERANCE) return undefined;
    this.#told.add(meeting.id);
    const kind = isNew ? "booked" : meeting.is_deleted ? "canceled" : "changed";
    return { kind, at, delay: Math.max(0, seconds) };
  }
}

function secondsSince(time: string | null, at: number): number {
  return time === null ? Infinity : (at - toDate(time).getTime()) / 1000;
}

/** In seconds, since Calendly has changed it or it was deleted here. */
function ageOf(meeting: Meeting, at: number): number {
  return Math.min(
    secondsSince(meeting.calendly_updated_at ?? meeting.calendly_created_at, at),
    meeting.is_deleted ? secondsSince(meeting.deleted_at, at) : Infinity,
  );
}

/** "0.4 s", "12 s". */
export function delayWords(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : `${Math.round(seconds)} s`;
}
