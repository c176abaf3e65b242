/** /scheduled_events and what hangs below it: events, invitees, cancellation. */
import { denied, invalid, notFound } from "../errors.ts";
import { Invitee, Uri, uri } from "../resources.ts";
import { eventRow, inviteeRow } from "../serialize.ts";
import { EventRecord, hostsOf } from "../world.ts";
import { page } from "./paging.ts";
import {
  ApiRequest,
  found,
  Handler,
  oneOf,
  resource,
  sortParameter,
  timeParameter,
  uriParameter,
} from "./request.ts";

const STATUSES = ["active", "canceled"] as const;

export const listEvents: Handler = (request) => {
  const { query, world } = request;
  const { events, keep: inScope } = eventsInScope(request);
  const status = oneOf("status", query.get("status"), STATUSES);
  const email = query.get("invitee_email")?.toLowerCase();
  const after = timeParameter(query, "min_start_time");
  const before = timeParameter(query, "max_start_time");
  const { descending } = sortParameter(query, ["start_time"]);
  return page(request, {
    rows: events,
    descending,
    // Keys go on with a space and the id, so "!" is just after every event of that very time.
    from: after === null ? undefined : `${after}!`,
    before: before ?? undefined,
    keep: (event) =>
      inScope(event) &&
      (status === null || event.resource.status === status) &&
      (email === undefined ||
        event.invitees.some((invitee) => invitee.email.toLowerCase() === email)),
    serialize: (event) => eventRow(world, event),
  });
};

/** Whose events are asked for, and whether the caller may see them. */
function eventsInScope(request: ApiRequest): {
  events: readonly EventRecord[];
  keep: (event: EventRecord) => boolean;
} {
  const { query, world, user: caller } = request;
  const user = uriParameter("user", query.get("user"), "users");
  const organization = uriParameter("organization", query.get("organization"), "organizations");
  const group = uriParameter("group", query.get("group"), "groups");

  if (organization !== null && world.role(caller.uri, organization) === null) throw denied();

  if (group !== null) {
    const record = found(world.groups.get(group));
    if (!world.managesGroup(caller.uri, record)) throw denied("You do not have permission");
    return {
      events: world.eventsOfOrganization(record.resource.organization).rows,
      keep: (event) => hostsOf(event).some((host) => record.members.includes(host)),
    };
  }
  if (organization !== null) {
    if (user !== null && world.role(user, organization) === null) {
      throw denied("This user is not in your organization");
    }
    if (!world.manages(caller.uri, organization)) throw denied("You do not have permission");
    return user === null
      ? { events: world.eventsOfOrganization(organization).rows, keep: () => true }
      : {
        events: world.eventsOfHost(user).rows,
        keep: (event) => event.organization === organization,
      };
  }
  if (user === null) {
    throw invalid({ message: "one of user, organization or group must be given" });
  }
  if (user !== caller.uri) {
    throw denied(
      "Please also specify organization when requesting events for a user within your organization.",
    );
  }
  return { events: world.eventsOfHost(user).rows, keep: () => true };
}

export const getEvent: Handler = (request) =>
  resource(eventRow(request.world, visibleEvent(request, request.params.uuid)));

export const listInvitees: Handler = (request) => {
  const { query, world } = request;
  const event = visibleEvent(request, request.params.uuid);
  const status = oneOf("status", query.get("status"), STATUSES);
  const email = query.get("email")?.toLowerCase();
  const { descending } = sortParameter(query, ["created_at"]);
  const rows = event.invitees
    .map((invitee) => ({ key: `${invitee.created_at} ${invitee.uri}`, invitee }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return page(request, {
    rows,
    descending,
    keep: ({ invitee }) =>
      (status === null || invitee.status === status) &&
      (email === undefined || invitee.email.toLowerCase() === email),
    serialize: ({ invitee }) => inviteeRow(world, invitee),
  });
};

export const getInvitee: Handler = (request) => {
  const { event_uuid, invitee_uuid } = request.params;
  const event = visibleEvent(request, event_uuid);
  const invitee = found(
    event.invitees.find((it) => it.uri === `${event.resource.uri}/invitees/${invitee_uuid}`),
  );
  return resource(inviteeRow(request.world, invitee));
};

/** Cancels the whole event, a group's too: Calendly has no way to cancel one seat. */
export const cancelEvent: Handler = (request) => {
  const { world, bookings, body, params } = request;
  const event = found(world.findEvent(params.uuid));
  const { status, start_time } = event.resource;
  if (!maySee(request, event)) throw denied("You are not allowed to cancel this event");
  if (status === "canceled") throw denied("Event is already canceled");
  if (start_time < world.stamp()) throw denied("Event in the past");
  const { reason = "" } = body;
  if (typeof reason !== "string" || reason.length > 10_000) {
    throw invalid({ parameter: "reason", message: "must be text of at most 10000 characters" });
  }
  bookings.cancel({ event: event.resource.uri, by: "host", reason });
  return resource(event.resource.cancellation, 201);
};

export const markNoShow: Handler = (request) => {
  const { invitee } = visibleInvitee(request, request.body.invitee);
  if (invitee.no_show) {
    throw invalid({ parameter: "invitee", message: "is already marked as a no-show" });
  }
  return resource(request.bookings.markNoShow(invitee.uri), 201);
};

export const getNoShow: Handler = (request) => resource(visibleNoShow(request));

export const deleteNoShow: Handler = (request) => {
  request.bookings.undoNoShow(visibleNoShow(request).uri);
  return { status: 204 };
};

function visibleNoShow(request: ApiRequest) {
  const noShow = found(request.world.noShows.get(uri("invitee_no_shows", request.params.uuid)));
  visibleInvitee(request, noShow.invitee);
  return noShow;
}

function visibleInvitee(
  request: ApiRequest,
  reference: unknown,
): { event: EventRecord; invitee: Invitee } {
  if (typeof reference !== "string" || !/\/scheduled_events\/[^/]+\/invitees\//.test(reference)) {
    throw invalid({ parameter: "invitee", message: "must be a valid invitee URI" });
  }
  const booking = found(request.world.findInvitee(reference as Uri));
  if (!maySee(request, booking.event)) throw denied();
  return booking;
}

function visibleEvent(request: ApiRequest, id: string): EventRecord {
  const event = request.world.findEvent(id);
  if (!event) throw notFound();
  if (!maySee(request, event)) throw denied("You are not allowed to view this event");
  return event;
}

/** A host of the event, an owner or admin of its organization, an admin of a host's group. */
function maySee({ world, user }: ApiRequest, event: EventRecord): boolean {
  const hosts = hostsOf(event);
  return hosts.includes(user.uri) || world.manages(user.uri, event.organization) ||
    [...world.groups.values()].some((group) =>
      group.admins.includes(user.uri) && hosts.some((host) => group.members.includes(host))
    );
}
