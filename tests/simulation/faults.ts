/** Operations that make something go wrong: at Calendly, in the database, with a worker or a token. */
import type { Effect, FaultRule } from "../../sandbox/mod.ts";
import type { Random } from "../../sandbox/random.ts";
import { activeEvents, pick } from "./choice.ts";
import { FAULTS, LOSSES } from "./project.ts";
import type { Team } from "./team.ts";

/** What Calendly, or what stands in front of it, answers instead. */
const CALENDLY_FAULTS: Record<string, (draw: Random) => Effect> = {
  "rate limited": (draw) => ({ kind: "rate_limited", reset: draw.int(5, 60) }),
  "server error": (draw) => ({ kind: "status", status: draw.pick([500, 502, 503, 504]) }),
  "no answer": () => ({ kind: "stall" }),
  "cut body": () => ({ kind: "cut" }),
  "HTML with status 200": () => ({ kind: "html" }),
  "HTML with a refusal": (draw) => ({
    kind: "status",
    status: draw.pick([401, 403, 404]),
    body: "<!DOCTYPE html>Access denied",
  }),
  "other content type": () => ({ kind: "content_type" }),
  "empty listing": () => ({ kind: "empty" }),
  "duplicate row": () => ({ kind: "duplicate_row" }),
  "expired page token": () => ({ kind: "expired_page_token" }),
};

const OF_LISTINGS = ["empty listing", "duplicate row", "expired page token"];

export function calendlyFails(team: Team, draw: Random) {
  const [fault, effect] = draw.pick(
    Object.entries(CALENDLY_FAULTS).map(([name, effect]) => [name, effect(draw)] as const),
  );
  plant(team, fault, {
    path: OF_LISTINGS.includes(fault) ? "/scheduled_events" : draw.pick([
      "/scheduled_events",
      "/scheduled_events/*",
      "/scheduled_events/*/invitees",
      "**",
    ]),
    method: "GET",
    skip: draw.int(0, 2),
    times: draw.int(1, 5),
    effect,
  });
}

/** What changes at Calendly between the pages of a listing. */
const CHANGES: Record<string, (event: string, to: () => string) => Record<string, string>> = {
  cancel: (event) => ({ event }),
  erase_event: (event) => ({ event }),
  reassign_host: (event, to) => ({ event, to: to() }),
};

export function changeBetweenPages(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team));
  if (!event) return false;
  const { uri } = event.event;
  const skip = draw.int(0, 2);
  const [verb, args] = draw.pick(
    Object.entries(CHANGES).map(([verb, args]) =>
      [verb, args(uri, () => draw.pick(team.hosts))] as const
    ),
  );
  plant(team, betweenPages(verb), {
    path: "/scheduled_events",
    skip,
    effect: { kind: "change", verb, arguments: args },
  });
}

function betweenPages(verb: string): string {
  return `${verb} between pages`;
}

/** Lets a fault strike requests to Calendly, and remembers its name. */
function plant({ project, planted }: Team, name: string, fault: FaultRule): void {
  planted.set(fault.effect, name);
  project.sandbox.control.faults(fault);
}

/** Counts how often each planted fault has struck. */
export function countPlanted({ project, planted }: Team): void {
  for (const { effect, struck } of project.sandbox.control.faults()) {
    if (struck > 0) project.count(planted.get(effect)!, struck);
  }
}

export function databaseFails({ project }: Team, draw: Random) {
  const loss = () => draw.pick(LOSSES);
  project.losses.push(...Array.from({ length: draw.int(1, 6) }, loss));
}

export function workerCrashes({ project }: Team, draw: Random) {
  project.crash = { request: draw.int(1, 9), carriedOut: draw.chance(0.5) };
}

export async function clocksDiffer({ project }: Team, draw: Random) {
  project.count("clocks differ");
  project.skew = draw.pick([-90, -20, 20, 90]) * 1000;
  await project.setDatabaseClock();
}

export function revokeToken({ people, project }: Team, draw: Random) {
  const person = pick(draw, people, ({ token }) => token !== undefined);
  if (!person) return false;
  project.count("token revoked");
  project.sandbox.control.revoke_token({ token: person.token! });
  person.isTokenRevoked = true;
}

export async function deleteSubscription({ project, people }: Team, draw: Random) {
  const subscription = pick(draw, project.sandbox.truth().webhook_subscriptions);
  if (!subscription) return false;
  project.count("subscription deleted");
  const { token } = project.sandbox.control.create_token({ user: people[0].host.uri });
  await project.atCalendly("DELETE", new URL(subscription.uri).pathname, token);
}

/** The names of all faults. */
export function allFaults(): string[] {
  return [
    ...FAULTS,
    ...Object.keys(CALENDLY_FAULTS),
    ...Object.keys(CHANGES).map(betweenPages),
  ];
}
