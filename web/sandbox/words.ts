/** What the panel says of bookings, faults and what has happened. No rendering, so that it can be tested. */
import type { FaultRule } from "../../sandbox/faults.ts";
import type { LoggedRequest } from "../../sandbox/request_log.ts";
import type { Overview, OverviewBooking, OverviewDelivery } from "../../sandbox/overview.ts";
import type { Tone } from "../ui/status.tsx";

// Faults -------------------------------------------------------------------------------------------------

export interface Fault {
  id: string;
  name: string;
  /** What it does, and how long. */
  means: string;
  /** Rules for requests of this user, as the verb `faults` takes them. */
  rules?: (user: string) => FaultRule[];
  /** For the verb `webhook_fault`. */
  webhooks?: { effect: "lost" | "late"; delay?: string };
}

const always = (effect: FaultRule["effect"]) => (user: string) => [
  { user, times: null, effect },
];

export const FAULTS: Fault[] = [
  {
    id: "rate_limited",
    name: "Rate limit (429)",
    means: "Calendly refuses every request of this host: too many in a minute.",
    rules: always({ kind: "rate_limited", reset: 60 }),
  },
  {
    id: "unavailable",
    name: "Calendly is down (503)",
    means: "Every request of this host is answered with 503.",
    rules: always({ kind: "status", status: 503 }),
  },
  {
    id: "revoked",
    name: "Token revoked (401)",
    means: "Calendly refuses this host's token. Afterwards the person connects again.",
    rules: always({
      kind: "status",
      status: 401,
      body: { title: "Unauthenticated", message: "The access token is invalid" },
    }),
  },
  {
    id: "lost",
    name: "Webhooks lost",
    means: "Webhooks of what happens from now on are never sent: the next sync finds it.",
    webhooks: { effect: "lost" },
  },
  {
    id: "late",
    name: "Webhooks late",
    means: "Webhooks of what happens from now on come a minute late.",
    webhooks: { effect: "late", delay: "1m" },
  },
];

/** Whether the fault is in force for this user. */
export function isActive(fault: Fault, { faults, webhook_fault }: Overview, user: string): boolean {
  if (fault.webhooks) return webhook_fault?.effect === fault.webhooks.effect;
  return fault.rules!(user).every((rule) =>
    faults.some((one) =>
      one.user === rule.user && JSON.stringify(one.effect) === JSON.stringify(rule.effect)
    )
  );
}

/** How many rules are in force, webhooks included. */
export function countFaults({ faults, webhook_fault }: Overview): number {
  return faults.length + (webhook_fault ? 1 : 0);
}

// Bookings ----------------------------------------------------------------------------------------------

/** Those to come, without the canceled; and the last ones, the latest first. */
export function sortBookings(
  { bookings, now }: Overview,
): { coming: OverviewBooking[]; past: OverviewBooking[] } {
  const active = bookings.filter(({ status }) => status === "active");
  return {
    coming: active.filter(({ start_time }) => start_time >= now),
    past: active.filter(({ start_time }) => start_time < now).reverse(),
  };
}

/** "Ines Castillo", "Ines Castillo and 2 others", "nobody". */
export function namesOf({ invitees }: OverviewBooking): string {
  const names = invitees.filter(({ status }) => status === "active").map(({ name }) => name);
  if (names.length < 2) return names[0] ?? "nobody";
  return `${names[0]} and ${names.length - 1} other${names.length > 2 ? "s" : ""}`;
}

const PEOPLE = [
  "Ines Castillo",
  "Tom Becker",
  "Amara Okafor",
  "Yuki Tanaka",
  "Léa Martin",
  "Noah Lindqvist",
];

/** An invitee for a booking by one click, another one each time. */
export function exampleInvitee(number: number): { name: string; email: string } {
  const name = PEOPLE[number % PEOPLE.length];
  const address = name.normalize("NFD").replace(/[^a-z ]/gi, "").toLowerCase().replace(" ", ".");
  const again = Math.floor(number / PEOPLE.length);
  return { name, email: `${address}${again > 0 ? `.${again}` : ""}@example.com` };
}

/** "in step with real time", "2 days ahead of real time". */
export function aheadWords(now: string, real: number): string {
  const hours = Math.round((Date.parse(now) - real) / 3_600_000);
  if (hours === 0) return "as real time";
  const [count, unit] = Math.abs(hours) % 24 === 0
    ? [Math.abs(hours) / 24, "day"]
    : [Math.abs(hours), "hour"];
  return `${count} ${unit}${count === 1 ? "" : "s"} ${hours > 0 ? "ahead of" : "behind"} real time`;
}

// What has happened -------------------------------------------------------------------------------------

export interface Happened {
  key: string;
  at: string;
  /** A request to Calendly, or a webhook from it. */
  kind: "request" | "webhook";
  what: string;
  tone: Tone;
  outcome: string;
}

/** Requests and webhooks, the latest first. */
export function merge({ requests, deliveries }: Overview): Happened[] {
  return [
    ...requests.map(ofRequest),
    ...deliveries.map(ofDelivery),
  ].sort((a, b) => a.at < b.at ? 1 : a.at > b.at ? -1 : 0);
}

/** Webhooks whose time has not come. */
export function waitingOf({ deliveries, now }: Overview): OverviewDelivery[] {
  return deliveries.filter(({ state, next_attempt_at }) =>
    state === "pending" && next_attempt_at !== null && next_attempt_at > now
  );
}

function ofRequest(request: LoggedRequest, index: number): Happened {
  const { at, method, path, status, faults } = request;
  return {
    key: `${at} ${method} ${path} ${index}`,
    at,
    kind: "request",
    what: `${method} ${shortPath(path)}`,
    tone: status === null ? "busy" : status < 400 ? "good" : status === 429 ? "warn" : "bad",
    outcome: `${status ?? "no answer yet"}${faults.length > 0 ? " (fault)" : ""}`,
  };
}

/** Ids are long and say nothing here. */
function shortPath(path: string): string {
  return path.replace(/\/[0-9a-f]{8}-[0-9a-f-]{27}/g, "/…").replace(/\/[A-Z2-7]{16}\b/g, "/…");
}

function ofDelivery(delivery: OverviewDelivery): Happened {
  const { id, created_at, event, invitee, state, status, error, attempts } = delivery;
  const said = status ?? error;
  const [tone, outcome]: [Tone, string] = state === "delivered"
    ? ["good", String(status)]
    : state === "dropped"
    ? ["bad", "lost"]
    : state === "given_up"
    ? ["bad", `given up${said === undefined ? "" : ` (${said})`}`]
    : attempts > 0
    ? ["warn", `${said}, tried again`]
    : ["paused", "waits"];
  return { key: id, at: created_at, kind: "webhook", what: `${event} ${invitee}`, tone, outcome };
}
