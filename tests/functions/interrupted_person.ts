/** The person whose syncs are interrupted in the tests, and ways to break Calendly for nobody else. */
import { type Effect } from "../../sandbox/mod.ts";
import { day, idOf, type Person, type Project } from "./support.ts";

export const LISTING = "/scheduled_events";
export const INVITEES = "/scheduled_events/*/invitees";
/** The path of the invitees of the person's event that comes next after so many others. */
export function invitesOf(person: Person, place: number): string {
  const upcoming = person.project.sandbox.control.state().scheduled_events.filter(({ event }) =>
    event.event_memberships[0].user === person.host.uri && event.start_time > person.project.now
  );
  return `/scheduled_events/${idOf(upcoming[place].event.uri)}/invitees`;
}

export const FAILS: Effect = { kind: "status", status: 500 };

/** Lets an effect strike requests of the person to a path: one, or so many after so many others. */
export type Strike = (
  path: string,
  effect: Effect,
  count?: { skip?: number; times?: number | null },
) => void;

/** Somebody with three meetings to come. */
export function few(project: Project): Promise<{ person: Person; strike: Strike }> {
  return withMeetings(project, 3, 9);
}

/**
 * Somebody with thirty meetings to come, with one invitee each: three pages and thirty invitees, 33 requests
 * when all goes well, and no look for no-shows that falls due meanwhile.
 */
export async function thirty(project: Project): Promise<{ person: Person; strike: Strike }> {
  await project.stack.sql("update calendly.settings set page_size = 10, invitee_batch = 10");
  return await withMeetings(project, 30, 62);
}

async function withMeetings(
  project: Project,
  events: number,
  until: number,
): Promise<{ person: Person; strike: Strike }> {
  const person = await project.person({
    events,
    variety: "plain",
    from: day(2, project.now),
    to: day(until, project.now),
  });
  person.requests();
  const strike: Strike = (path, effect, { skip = 0, times = 1 } = {}) => {
    project.sandbox.control.faults({ path, user: person.host.uri, effect, skip, times });
  };
  return { person, strike };
}
