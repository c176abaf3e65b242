/** /webhook_subscriptions and /sample_webhook_data. */
import { formatTime } from "../clock.ts";
import { alreadyExists, denied, invalid, notFound, notSimulated } from "../errors.ts";
import {
  BOOKING_EVENTS,
  BookingEvent,
  Uri,
  uri,
  WEBHOOK_EVENTS,
  WebhookEvent,
  WebhookSubscription,
} from "../resources.ts";
import { bookingPayload } from "../serialize.ts";
import { requireScopes } from "../tokens.ts";
import { page } from "./paging.ts";
import {
  ApiRequest,
  Handler,
  oneOf,
  requireMember,
  resource,
  sortParameter,
  uriParameter,
} from "./request.ts";

const SCOPES = ["organization", "user", "group"] as const;

export const createSubscription: Handler = (request) => {
  const { body, token, user: caller, webhooks } = request;
  const events = eventsParameter(body.events);
  const subject = subjectOf(request, (name) => body[name]);
  const callbackUrl = urlParameter(body.url);
  for (const event of events) checkEvent(request, event, subject.scope);
  requireScopes(token, [...new Set(events.map(readScope))]);
  if (subject.scope === "organization") {
    if (!request.world.manages(caller.uri, subject.organization)) {
      throw denied("You do not have permission");
    }
  } else if (subject.scope === "user" && subject.user !== caller.uri) {
    throw denied("You do not have permission");
  }
  const { signing_key: signingKey } = body;
  if (signingKey !== undefined && typeof signingKey !== "string") {
    throw invalid({ parameter: "signing_key", message: "must be a string" });
  }
  requireSimulated(events);
  if (webhooks.subscriptions().some((other) => other.callback_url === callbackUrl)) {
    throw alreadyExists("Hook with this url already exists");
  }
  const subscription = webhooks.subscribe(
    { callback_url: callbackUrl, creator: caller.uri, events, ...subject },
    token.app?.signing_key ?? signingKey ?? null,
  );
  return resource(subscription, 201);
};

export const listSubscriptions: Handler = (request) => {
  const { query, user: caller, world, webhooks } = request;
  const subject = subjectOf(request, (name) => query.get(name) ?? undefined);
  const { descending } = sortParameter(query, ["created_at"]);
  if (subject.scope === "organization" && !world.manages(caller.uri, subject.organization)) {
    throw denied();
  }
  if (subject.scope === "user" && subject.user !== caller.uri) throw denied("Unauthorized");
  const rows = webhooks.subscriptions()
    .filter((it) =>
      it.organization === subject.organization && it.scope === subject.scope &&
      it.user === subject.user && it.group === subject.group
    )
    .map((subscription) => ({
      key: `${subscription.created_at} ${subscription.uri}`,
      subscription,
    }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  return page(request, { rows, descending, serialize: (row) => row.subscription });
};

export const getSubscription: Handler = (request) => resource(ownSubscription(request));

export const deleteSubscription: Handler = (request) => {
  request.webhooks.unsubscribe(ownSubscription(request).uri);
  return { status: 204 };
};

/** The bare envelope of the account's last booking that fits; its time keeps its microseconds. */
export const sampleWebhookData: Handler = (request) => {
  const { query, user: caller, world } = request;
  const event = oneOf("event", query.get("event"), WEBHOOK_EVENTS);
  if (event === null) throw invalid({ parameter: "event", message: "is required" });
  const subject = subjectOf(request, (name) => query.get(name) ?? undefined);
  if (subject.scope === "organization" && !world.manages(caller.uri, subject.organization)) {
    throw denied();
  }
  requireSimulated([event]);
  const fits = {
    "invitee.created": () => true,
    "invitee.canceled": (status: string) => status === "canceled",
    "invitee_no_show.created": (_: string, noShow: boolean) => noShow,
    "invitee_no_show.deleted": (_: string, noShow: boolean) => !noShow,
  }[event as BookingEvent];
  const { rows } = subject.user === null
    ? world.eventsOfOrganization(subject.organization)
    : world.eventsOfHost(subject.user);
  for (const record of rows.toReversed()) {
    const invitee = record.invitees.find((it) => fits(it.status, it.no_show !== null));
    if (!invitee) continue;
    return {
      status: 200,
      body: {
        created_at: formatTime(world.clock.now()),
        created_by: caller.uri,
        event,
        payload: bookingPayload(world, record, invitee),
      },
    };
  }
  throw notFound();
};

type Subject = Pick<WebhookSubscription, "group" | "organization" | "scope" | "user">;

/** Whose bookings: the organization, one user in it, or one group in it. */
function subjectOf(request: ApiRequest, read: (name: string) => unknown): Subject {
  const { world } = request;
  const organization = uriParameter("organization", read("organization"), "organizations");
  if (organization === null) throw invalid({ parameter: "organization", message: "is required" });
  const scope = oneOf("scope", textOrNull(read("scope")), SCOPES);
  if (scope === null) throw invalid({ parameter: "scope", message: "is required" });
  requireMember(request, organization);
  const needed = (name: "user" | "group"): Uri => {
    const value = uriParameter(name, read(name), `${name}s`);
    if (value !== null) return value;
    throw invalid({ parameter: name, message: `is required when scope is ${scope}` });
  };
  if (scope === "user") {
    const user = needed("user");
    if (world.role(user, organization) === null) throw denied();
    return { group: null, organization, scope, user };
  }
  if (scope === "group") {
    const group = world.groups.get(needed("group"));
    if (!group || !world.managesGroup(request.user.uri, group)) throw denied();
    return { group: group.resource.uri, organization, scope, user: null };
  }
  return { group: null, organization, scope, user: null };
}

function eventsParameter(value: unknown): WebhookEvent[] {
  const known = (event: unknown) => (WEBHOOK_EVENTS as readonly unknown[]).includes(event);
  if (Array.isArray(value) && value.length > 0 && value.every(known)) {
    return [...new Set(value)];
  }
  throw invalid({
    parameter: "events",
    message: `must be a list of: ${WEBHOOK_EVENTS.join(", ")}`,
  });
}

/** Routing form submissions come to organizations, meeting recaps to users; both need a paid plan. */
function checkEvent(request: ApiRequest, event: WebhookEvent, scope: Subject["scope"]): void {
  const family = event.split(".")[0];
  const only = { routing_form_submission: "organization", meeting_recap: "user" }[family];
  if (!only) return;
  if (scope !== only) {
    throw invalid({ parameter: "events", message: `${event} needs the scope ${only}` });
  }
  const { stage } = request.world.organization(request.user.current_organization);
  if (stage === "free") throw denied("Please upgrade to a paid Calendly account.");
}

/** A subscription to what never happens here would wait in vain. */
function requireSimulated(events: WebhookEvent[]): void {
  const simulated: readonly WebhookEvent[] = BOOKING_EVENTS;
  const others = events.filter((event) => !simulated.includes(event));
  if (others.length > 0) throw notSimulated(`webhooks for ${others.join(", ")}`);
}

function readScope(event: WebhookEvent): string {
  const family = event.split(".")[0];
  return {
    invitee: "scheduled_events:read",
    invitee_no_show: "scheduled_events:read",
    routing_form_submission: "routing_forms:read",
    event_type: "event_types:read",
    meeting_recap: "meeting_recaps:read",
    contact: "contacts:read",
  }[family]!;
}

function urlParameter(value: unknown): string {
  if (typeof value === "string" && URL.canParse(value) && /^https?:/.test(value)) return value;
  throw invalid({ parameter: "url", message: "must be a valid URL" });
}

function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

function ownSubscription({ webhooks, world, user, params }: ApiRequest): WebhookSubscription {
  const subscription = webhooks.subscription(uri("webhook_subscriptions", params.uuid));
  if (!subscription) throw notFound();
  const own = subscription.user === user.uri || subscription.creator === user.uri ||
    world.manages(user.uri, subscription.organization);
  if (!own) throw denied();
  return subscription;
}
