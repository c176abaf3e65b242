/** What somebody watches while working the sandbox: who is there, what is booked, and what happened last. */
import { formatTime } from "./clock.ts";
import type { ActiveFault } from "./faults.ts";
import type { LoggedRequest } from "./request_log.ts";
import type { BookingEvent, User } from "./resources.ts";
import { eventRow } from "./serialize.ts";
import type { Delivery, WebhookFault } from "./webhooks.ts";
import { type EventRecord, hostsOf, World } from "./world.ts";

/** So many of the user's bookings before now, and from now on. */
const PAST = 10;
const COMING = 40;

export interface OverviewBooking {
  uri: string;
  name: string | null;
  start_time: string;
  status: "active" | "canceled";
  hosts: string[];
  invitees: {
    uri: string;
    name: string;
    status: "active" | "canceled";
    no_show: boolean;
  }[];
}

export interface OverviewDelivery {
  id: string;
  event: BookingEvent;
  /** Name of the invitee that it is about. */
  invitee: string;
  created_at: string;
  state: Delivery["state"];
  next_attempt_at: string | null;
  attempts: number;
  /** Of the last attempt. */
  status: number | null;
  error?: string;
}

export interface Overview {
  now: string;
  /** Whose bookings these are. */
  user: string;
  users: Pick<User, "uri" | "name" | "email">[];
  bookings: OverviewBooking[];
  /** The latest first. */
  requests: LoggedRequest[];
  deliveries: OverviewDelivery[];
  faults: ActiveFault[];
  webhook_fault: WebhookFault | null;
  /** Active ones, which a booking of this user is sent to. */
  subscriptions: number;
}

/** The bookings of a user around now, by start time. */
export function bookingsOf(world: World, user: string): OverviewBooking[] {
  const list = world.eventsOfHost(user);
  const from = list.indexFrom(formatTime(world.clock.now()));
  return list.rows.slice(Math.max(0, from - PAST), from + COMING).map((event) => {
    const { uri, name, start_time, status } = eventRow(world, event);
    return { uri, name, start_time, status, hosts: hostsOf(event), invitees: inviteesOf(event) };
  });
}

function inviteesOf({ invitees }: EventRecord): OverviewBooking["invitees"] {
  return invitees.map(({ uri, name, status, no_show }) => ({
    uri,
    name,
    status,
    no_show: no_show !== null,
  }));
}

export function deliveryRow(
  { id, event, body, created_at, state, next_attempt_at, attempts }: Delivery,
): OverviewDelivery {
  const last = attempts.at(-1);
  return {
    id,
    event,
    invitee: JSON.parse(body).payload.name,
    created_at,
    state,
    next_attempt_at,
    attempts: attempts.length,
    status: last?.status ?? null,
    ...last?.error !== undefined && { error: last.error },
  };
}
