/** The public API: which path needs which scope and is answered by which handler. */
import { notFound, notSimulated } from "../errors.ts";
import {
  getEventType,
  getGroup,
  getMembership,
  getOrganization,
  getUser,
  listEventTypes,
  listGroups,
  listMemberships,
} from "./accounts.ts";
import { MISSING_OPERATIONS } from "./missing.ts";
import { Handler } from "./request.ts";
import {
  cancelEvent,
  deleteNoShow,
  getEvent,
  getInvitee,
  getNoShow,
  listEvents,
  listInvitees,
  markNoShow,
} from "./scheduled_events.ts";
import {
  createSubscription,
  deleteSubscription,
  getSubscription,
  listSubscriptions,
  sampleWebhookData,
} from "./webhooks.ts";

export const ROUTES: [method: string, path: string, scope: string, handler: Handler][] = [
  ["GET", "/users/:uuid", "users:read", getUser],
  ["GET", "/organizations/:uuid", "organizations:read", getOrganization],
  ["GET", "/organization_memberships", "organizations:read", listMemberships],
  ["GET", "/organization_memberships/:uuid", "organizations:read", getMembership],
  ["GET", "/groups", "groups:read", listGroups],
  ["GET", "/groups/:uuid", "groups:read", getGroup],
  ["GET", "/event_types", "event_types:read", listEventTypes],
  ["GET", "/event_types/:uuid", "event_types:read", getEventType],
  ["GET", "/scheduled_events", "scheduled_events:read", listEvents],
  ["GET", "/scheduled_events/:uuid", "scheduled_events:read", getEvent],
  ["POST", "/scheduled_events/:uuid/cancellation", "scheduled_events:write", cancelEvent],
  ["GET", "/scheduled_events/:uuid/invitees", "scheduled_events:read", listInvitees],
  [
    "GET",
    "/scheduled_events/:event_uuid/invitees/:invitee_uuid",
    "scheduled_events:read",
    getInvitee,
  ],
  ["POST", "/invitee_no_shows", "scheduled_events:write", markNoShow],
  ["GET", "/invitee_no_shows/:uuid", "scheduled_events:read", getNoShow],
  ["DELETE", "/invitee_no_shows/:uuid", "scheduled_events:write", deleteNoShow],
  ["POST", "/webhook_subscriptions", "webhooks:write", createSubscription],
  ["GET", "/webhook_subscriptions", "webhooks:read", listSubscriptions],
  ["GET", "/webhook_subscriptions/:uuid", "webhooks:read", getSubscription],
  ["DELETE", "/webhook_subscriptions/:uuid", "webhooks:write", deleteSubscription],
  ["GET", "/sample_webhook_data", "webhooks:read", sampleWebhookData],
];

export interface MatchedRoute {
  scope: string;
  handler: Handler;
  params: Record<string, string>;
}

/** Who answers; throws Calendly's 404, or 501 for an operation that only Calendly has. */
export function matchRoute(method: string, path: string): MatchedRoute {
  const segments = path.split("/");
  for (const [routeMethod, routePath, scope, handler] of ROUTES) {
    if (routeMethod !== method) continue;
    const params = match(routePath.split("/"), segments);
    if (params) return { scope, handler, params };
  }
  const missing = MISSING_OPERATIONS.some(([missingMethod, missingPath]) =>
    missingMethod === method && match(missingPath.split("/"), segments)
  );
  throw missing ? notSimulated(`${method} ${path}`) : notFound();
}

function match(route: string[], segments: string[]): Record<string, string> | null {
  if (route.length !== segments.length) return null;
  const params: Record<string, string> = {};
  for (const [i, name] of route.entries()) {
    if (name.startsWith(":")) params[name.slice(1)] = segments[i];
    else if (name !== segments[i]) return null;
  }
  return params;
}
