/** What is stored of a person's meetings and invitees, beside what Calendly has. */
import { deepEqual } from "node:assert/strict";
import type { Invitee, ScheduledEvent } from "../../sandbox/mod.ts";
import {
  expectedInvitee,
  expectedMeeting,
  storedInvitee,
  storedMeeting,
} from "../functions/mirror.ts";
import type { Booking } from "./choice.ts";
import { DAY, keeperOf, type Person, type Team } from "./team.ts";

/** Something that is stored and not as it should be. */
export interface Divergence {
  whose: string;
  /** A meeting, an invitee, or a guarantee. */
  what: string;
  stored: unknown;
  expected: unknown;
}

/** `exception`: why the rules say that this cannot be seen. */
export type Difference = Divergence & { exception?: string };
export const ELSEWHERE = "booked in another organization";
type Note = (what: string, stored: unknown, expected: unknown, exception?: string) => void;

// deno-lint-ignore no-explicit-any -- rows as they are in the database
type Row = any;

/** All differences between what is stored of a person and what Calendly has. */
export async function compare(
  team: Team,
  person: Person,
): Promise<Difference[]> {
  const { project } = team;
  const meetings = await project.sql(
    `select m.* from public.calendly_meetings m join public.calendly_users u on u.id = m.user_id
     where u.calendly_user_uri = $1`,
    [person.host.uri],
  );
  const invitees = await project.sql(
    `select v.*, m.calendly_event_uri from public.calendly_invitees v
     join public.calendly_meetings m on m.id = v.meeting_id
     join public.calendly_users u on u.id = v.user_id
     where u.calendly_user_uri = $1`,
    [person.host.uri],
  );
  const found: Difference[] = [];
  const note: Note = (what, stored, expected, exception) => {
    found.push({ whose: person.email, what, stored, expected, exception });
  };

  const bookings = new Map(
    project.sandbox.truth().scheduled_events.map((booking) => [booking.event.uri, booking]),
  );
  for (const booking of bookings.values()) {
    const { uri } = booking.event;
    if (!isHost(booking.event, person)) continue;
    const seats = invitees.filter((row) => row.calendly_event_uri === uri);
    compareMeeting(
      team,
      booking,
      meetings.find((row) => row.calendly_event_uri === uri),
      seats,
      elsewhere(team, person, booking) ?? outside(team, booking.event),
      note,
    );
  }
  for (const row of meetings.filter((row) => !row.is_deleted)) {
    const event = bookings.get(row.calendly_event_uri)?.event;
    if (event && isHost(event, person)) continue;
    const unseen = outside(team, event ?? row.raw);
    note(row.calendly_event_uri, "a row: active", event ? "reassigned" : "gone", unseen);
  }
  return found;
}

/** `unseen`: why no sync lists it. */
function compareMeeting(
  team: Team,
  { event, invitees }: Booking,
  row: Row,
  seats: Row[],
  unseen: string | undefined,
  note: Note,
): void {
  if (!row) return note(event.uri, "no row", `a row: ${event.status}`, unseen);
  differences(storedMeeting(row), expectedMeeting(event, invitees), (stored, expected) => {
    const exception = unseen ?? erasedSeat(team, event, Object.keys(stored));
    note(event.uri, stored, expected, exception);
  });
  for (const invitee of invitees) {
    const seat = seats.find(({ uri }) => uri === invitee.uri);
    if (seat) {
      differences(storedInvitee(seat), expectedInvitee(invitee), (stored, expected) => {
        const exception = unseen ?? lateNoShow(team, event, invitee, Object.keys(stored));
        note(invitee.uri, stored, expected, exception);
      });
    } else {
      const isCounted = seats.length === event.invitees_counter.total;
      const exception = unseen ?? (isCounted ? erasedSeat(team, event) : undefined);
      note(invitee.uri, "no row", `a row: ${invitee.status}`, exception);
    }
  }
  for (const { uri, status } of seats) {
    if (invitees.some((invitee) => invitee.uri === uri)) continue;
    note(uri, `a row: ${status}`, "no row", unseen ?? erasedSeat(team, event));
  }
}

function isHost(event: ScheduledEvent, person: Person): boolean {
  return event.event_memberships.some(({ user }) => user === person.host.uri);
}

/** A former member books in an organization of their own, whose events the team's does not list. */
function elsewhere(team: Team, person: Person, { organization }: Booking): string | undefined {
  const isListedByHost = keeperOf(team, person)?.connection?.scope === "user";
  if (isListedByHost || organization === team.organization) return undefined;
  return ELSEWHERE;
}

/** No sync lists it: it starts too long ago, or too far ahead for all the days of settling. */
function outside({ project }: Team, event: ScheduledEvent): string | undefined {
  const days = (Date.parse(event.start_time) - project.now) / 1000 / DAY;
  return days < -730 || days > 365 - 10 ? "outside every window" : undefined;
}

/** Marked or undone after the last look for no-shows, a week after the meeting, and no webhook came. */
function lateNoShow(team: Team, event: ScheduledEvent, { uri }: Invitee, fields: string[]) {
  const last = Date.parse(event.end_time) + 7 * DAY * 1000;
  const follow = ["no_show_at", "no_show_uri", "raw.no_show"];
  if ((team.noShows.get(uri) ?? 0) <= last) return undefined;
  return fields.every((field) => follow.includes(field))
    ? "a no-show after its last check"
    : undefined;
}

/**
 * Erasing a seat moves no updated_at. Where a webhook told of the event last, its greater count stays
 * (rule 1) and nobody asks for the invitees until the event changes. The same where the seat is taken again
 * without moving updated_at.
 */
function erasedSeat({ erased }: Team, { uri }: ScheduledEvent, fields: string[] = []) {
  const follow = ["raw.invitees_counter", "rescheduled_from", "rescheduled_to"];
  if (!erased.has(uri) || !fields.every((field) => follow.includes(field))) return undefined;
  return "a seat erased without a trace";
}

/** Reports the fields that differ, if any do, down to those of `raw`. */
function differences(
  stored: object,
  expected: object,
  report: (stored: Record<string, unknown>, expected: Record<string, unknown>) => void,
): void {
  const [a, b] = [stored, expected].map((row) => {
    const { raw, ...fields } = row as Record<string, unknown>;
    const inRaw = Object.entries(raw as object).map(([key, value]) => [`raw.${key}`, value]);
    return { ...fields, ...Object.fromEntries(inRaw) } as Record<string, unknown>;
  });
  const fields = [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((field) => !isSame(a[field], b[field]));
  if (fields.length === 0) return;
  const only = (row: Record<string, unknown>) =>
    Object.fromEntries(fields.map((field) => [field, row[field]]));
  report(only(a), only(b));
}

export function isSame(a: unknown, b: unknown): boolean {
  try {
    deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}
