/** The loaded part of a list, and how pages and live changes are merged into it. */
import { toDate } from "../ui/time.tsx";
import { ascending, type Cursor, type Filter, type Meeting, type Tab } from "./data.ts";

export interface List {
  meetings: Meeting[];
  /** The place after which the next page begins; undefined at the beginning. */
  cursor?: Cursor;
  /** Nothing follows. */
  complete: boolean;
}

export const EMPTY: List = { meetings: [], complete: false };

type Placed = Pick<Meeting, "start_time" | "id">;

/** Nothing that has no start is listed: of such a meeting any place will do. */
function place({ start_time }: Placed): number {
  return start_time === null ? 0 : toDate(start_time).getTime();
}

/** The order of a tab's list, as `fetchPages` asks for it. */
export function comparator(tab: Tab): (one: Placed, other: Placed) => number {
  const sign = ascending(tab) ? 1 : -1;
  return (one, other) => sign * (place(one) - place(other) || one.id - other.id);
}

/**
 * A list with the pages that follow it. Of two pages in the same order, what lies beyond the end of one is
 * left for the next time: the other may have more before it.
 */
export function append(list: List, pages: Meeting[][], tab: Tab): List {
  const compare = comparator(tab);
  const ends = pages.filter((page) => page.length > 0).map((page) => page.at(-1)!);
  if (ends.length === 0) return { ...list, complete: true };
  const end = ends.reduce((one, other) => compare(one, other) <= 0 ? one : other);
  const known = new Set(list.meetings.map(({ id }) => id));
  const added: Meeting[] = [];
  for (const meeting of pages.flat()) {
    if (known.has(meeting.id) || compare(meeting, end) > 0) continue;
    known.add(meeting.id);
    added.push(meeting);
  }
  return {
    meetings: [...list.meetings, ...added.sort(compare)],
    cursor: { start: end.start_time!, id: end.id },
    complete: false,
  };
}

/** Whether a meeting belongs to a tab. */
export function belongs(
  { is_deleted, deleted_reason, end_time, user_id }: Pick<
    Meeting,
    "is_deleted" | "deleted_reason" | "end_time" | "user_id"
  >,
  { tab, host, now }: Pick<Filter, "tab" | "host" | "now">,
): boolean {
  if (host !== undefined && user_id !== host) return false;
  if (is_deleted) return deleted_reason === "canceled" ? tab === "canceled" : tab === "gone";
  if (end_time === null) return false;
  return (toDate(end_time).getTime() >= now) === (tab === "upcoming") &&
    (tab === "upcoming" || tab === "past");
}

/**
 * A list after changes. `ids` have changed; `fresh` is what can be read of them now. What has left the tab
 * goes, and what is new comes in, unless it lies beyond what is loaded: its page brings it.
 */
export function applyChanges(
  list: List,
  ids: number[],
  fresh: Meeting[],
  filter: Filter,
): List {
  const compare = comparator(filter.tab);
  const changed = new Set(ids);
  const { cursor } = list;
  const loaded = (meeting: Meeting) =>
    list.complete || cursor !== undefined &&
      compare(meeting, { start_time: cursor.start, id: cursor.id }) <= 0;
  const coming = fresh.filter((meeting) =>
    belongs(meeting, filter) && loaded(meeting) &&
    (filter.search.trim() === "" || matches(meeting, filter.search))
  );
  return {
    ...list,
    meetings: [...list.meetings.filter(({ id }) => !changed.has(id)), ...coming].sort(compare),
  };
}

/** Keeps an answer about a meeting that is late from replacing a newer one. */
export class Questions {
  #asked = 0;
  #answered = new Map<number, number>();

  /** The number of a question that is asked now. */
  ask(): number {
    return ++this.#asked;
  }

  /** Of which of these meetings a question's answer is the newest. */
  takeAnswer(question: number, ids: number[]): number[] {
    const newest = ids.filter((id) => (this.#answered.get(id) ?? 0) < question);
    for (const id of newest) this.#answered.set(id, question);
    return newest;
  }
}

/** As PostgREST searches: see search.ts. */
export function matches(meeting: Meeting, search: string): boolean {
  const words = search.trim().toLowerCase();
  return [
    meeting.name,
    meeting.location,
    ...meeting.calendly_invitees.flatMap(({ name, email }) => [name, email]),
  ].some((text) => text?.toLowerCase().includes(words));
}
