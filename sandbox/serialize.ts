/** Rows as Calendly sends them: in the API, and in the payload of a webhook. */
import { Invitee, Membership, ScheduledEvent, Uri } from "./resources.ts";
import { EventRecord, World } from "./world.ts";

/** The row with the fields that `override` has put in its place. */
function overridden<T extends { uri: Uri }>(world: World, row: T): T {
  const fields = world.overrides.get(row.uri);
  return fields ? { ...row, ...fields } : row;
}

export function eventRow(world: World, event: EventRecord): ScheduledEvent {
  return overridden(world, event.resource);
}

export function inviteeRow(world: World, invitee: Invitee): Invitee {
  return overridden(world, invitee);
}

/** Membership rows embed the user, without the two keys that only `/users` shows. */
export function membershipRow(world: World, membership: Membership) {
  const { current_organization: _, resource_type: __, ...user } = world.user(membership.user);
  return { ...membership, user };
}

/**
 * A webhook's payload: the invitee with the event inside it, without the event's calendar entry and
 * its hosts' buffered times.
 */
export function bookingPayload(
  world: World,
  event: EventRecord,
  invitee: Invitee,
  asOf: ScheduledEvent = event.resource,
) {
  const { calendar_event: _, ...scheduled } = overridden(world, asOf);
  return {
    ...inviteeRow(world, invitee),
    scheduled_event: {
      ...scheduled,
      event_memberships: scheduled.event_memberships.map(
        ({ buffered_end_time: _, buffered_start_time: __, ...host }) => host,
      ),
    },
  };
}
