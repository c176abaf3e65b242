/** What the rows of a person ought to be, made from the sandbox's truth, beside what they are. */
import assert from "node:assert/strict";
import { type Invitee, type ScheduledEvent } from "../../sandbox/mod.ts";
import { day, type Person } from "./support.ts";

/**
 * Fails unless a person's meetings and invitees are what Calendly has in the range of a FULL sync; of the
 * events' JSON, unless what `view` leaves of it is.
 */
export async function assertMirrors(person: Person, view: View = (event) => event): Promise<void> {
  const truth = person.project.sandbox.truth().scheduled_events.filter(({ event }) =>
    event.event_memberships.some(({ user }) => user === person.host.uri) &&
    event.start_time > day(-730) && event.start_time < day(365)
  );
  const asSeen = <Row extends { raw: ScheduledEvent }>(row: Row) => ({
    ...row,
    raw: view(row.raw),
  });
  const meetings = truth.map(({ event, invitees }) => expectedMeeting(event, invitees)).map(asSeen);
  const invitees = truth.flatMap(({ invitees }) => invitees.map(expectedInvitee));
  const stored = (await person.meetings()).map(storedMeeting).map(asSeen);
  assert.deepEqual(stored.sort(byUri), meetings.sort(byUri));
  assert.deepEqual((await person.invitees()).map(storedInvitee).sort(byUri), invitees.sort(byUri));
}

type View = (event: ScheduledEvent) => unknown;

export function expectedMeeting(event: ScheduledEvent, invitees: Invitee[]) {
  const raw = structuredClone(event);
  delete raw.location?.data?.password;
  const canceled = event.status === "canceled";
  // One seat's story is the meeting's; in a group event only the invitee moves.
  const [only = null] = invitees.length === 1 ? invitees : [];
  return {
    uri: event.uri,
    name: event.name,
    status: event.status,
    start_time: event.start_time,
    end_time: event.end_time,
    event_type_uri: event.event_type,
    location_type: event.location?.type ?? null,
    location: event.location?.location ?? null,
    join_url: event.location?.join_url ?? null,
    cancellation: event.cancellation ?? null,
    rescheduled_from: only && eventOf(only.old_invitee),
    rescheduled_to: only && eventOf(only.new_invitee),
    is_deleted: canceled,
    deleted_at: canceled ? event.cancellation!.created_at : null,
    deleted_reason: canceled ? "canceled" : null,
    calendly_created_at: event.created_at,
    calendly_updated_at: event.updated_at,
    raw,
  };
}

// deno-lint-ignore no-explicit-any -- a row as it is in the database
export function storedMeeting(row: any): ReturnType<typeof expectedMeeting> {
  return {
    uri: row.calendly_event_uri,
    name: row.name,
    status: row.status,
    start_time: time(row.start_time),
    end_time: time(row.end_time),
    event_type_uri: row.event_type_uri,
    location_type: row.location_type,
    location: row.location,
    join_url: row.join_url,
    cancellation: row.cancellation,
    rescheduled_from: row.rescheduled_from,
    rescheduled_to: row.rescheduled_to,
    is_deleted: row.is_deleted,
    deleted_at: row.deleted_at && time(row.deleted_at),
    deleted_reason: row.deleted_reason,
    calendly_created_at: time(row.calendly_created_at),
    calendly_updated_at: time(row.calendly_updated_at),
    raw: row.raw,
  };
}

export function expectedInvitee(invitee: Invitee) {
  return {
    uri: invitee.uri,
    event: invitee.event,
    email: invitee.email,
    name: invitee.name,
    timezone: invitee.timezone,
    status: invitee.status,
    questions_and_answers: invitee.questions_and_answers,
    tracking: invitee.tracking,
    payment: invitee.payment,
    no_show_at: invitee.no_show?.created_at ?? null,
    no_show_uri: invitee.no_show?.uri ?? null,
    rescheduled: invitee.rescheduled,
    old_invitee: invitee.old_invitee,
    new_invitee: invitee.new_invitee,
    calendly_created_at: invitee.created_at,
    calendly_updated_at: invitee.updated_at,
    raw: invitee,
  };
}

// deno-lint-ignore no-explicit-any -- a row as it is in the database
export function storedInvitee(row: any): ReturnType<typeof expectedInvitee> {
  return {
    uri: row.uri,
    event: row.calendly_event_uri,
    email: row.email,
    name: row.name,
    timezone: row.timezone,
    status: row.status,
    questions_and_answers: row.questions_and_answers,
    tracking: row.tracking,
    payment: row.payment,
    no_show_at: row.no_show_at && time(row.no_show_at),
    no_show_uri: row.no_show_uri,
    rescheduled: row.rescheduled,
    old_invitee: row.old_invitee,
    new_invitee: row.new_invitee,
    calendly_created_at: time(row.calendly_created_at),
    calendly_updated_at: time(row.calendly_updated_at),
    raw: row.raw,
  };
}

function eventOf(inviteeUri: string | null): string | null {
  return inviteeUri && inviteeUri.replace(/\/invitees\/.*$/, "");
}

/** A time as Postgres has it in JSON, as Calendly writes it. */
export function time(text: string): string {
  const [, date, clock, fraction = ""] = text.match(/^([\d-]+)T([\d:]+)(?:\.(\d+))?\+00:00$/)!;
  return `${date}T${clock}.${fraction.padEnd(6, "0")}Z`;
}

function byUri(a: { uri: string }, b: { uri: string }): number {
  return a.uri < b.uri ? -1 : 1;
}
