/**
 * A seed's story: a team, and what happens to it. Deeds are data; each draws its details from a number of
 * its own among what there is at that moment, so that a story without some of its deeds is a story still.
 */
import {
  type Effect,
  type FaultRule,
  type Invitee,
  SandboxError,
  type ScheduledEvent,
} from "../../sandbox/mod.ts";
import { Random } from "../../sandbox/random.ts";
import { FAULTS, LOSSES, type Person, Project } from "./project.ts";

export interface Deed {
  do: string;
  seed: number;
}

/** Who they are and how they are connected. */
export interface Team {
  project: Project;
  people: Person[];
  organization: string;
  /** One connection for all of them, or one each. */
  scope: "user" | "organization";
  /** Hosts: the people, and somebody who has no account here. */
  hosts: string[];
  group: string;
  collective: string;
  conference: string;
  /** When a no-show of an invitee was last marked or undone: milliseconds since 1970. */
  noShows: Map<string, number>;
  /** Events of which a seat was erased. */
  erased: Set<string>;
  /** The names of the faults that are planted at Calendly. */
  planted: Map<Effect, string>;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How often, of a hundred or so; a deed for which there is nothing does nothing and returns false. */
const DEEDS: Record<string, { weight: number; happen: Happen }> = {
  // At Calendly
  book: { weight: 14, happen: book },
  join: { weight: 6, happen: join },
  cancel_seat: { weight: 7, happen: cancelSeat },
  cancel_event: { weight: 3, happen: cancelEvent },
  reschedule: { weight: 6, happen: reschedule },
  mark_no_show: { weight: 6, happen: markNoShow },
  undo_no_show: { weight: 3, happen: undoNoShow },
  reassign: { weight: 4, happen: reassign },
  edit: { weight: 4, happen: edit },
  erase_event: { weight: 2, happen: eraseEvent },
  erase_invitee: { weight: 1, happen: eraseInvitee },
  leave: { weight: 1, happen: leave },
  // Time, and what it brings
  pass_time: { weight: 14, happen: passTime },
  click: { weight: 9, happen: click },
  deliver: { weight: 14, happen: deliver },
  // Trouble
  calendly_fails: { weight: 8, happen: calendlyFails },
  change_between_pages: { weight: 2, happen: changeBetweenPages },
  database_fails: { weight: 5, happen: databaseFails },
  instance_stops: { weight: 6, happen: instanceStops },
  clocks_differ: { weight: 1, happen: clocksDiffer },
  token_revoked: { weight: 1, happen: tokenRevoked },
  subscription_gone: { weight: 1, happen: subscriptionGone },
};

/** Everything that can happen to a team, and every fault that can strike. */
export function allDeeds(): string[] {
  return Object.keys(DEEDS);
}

export function allFaults(): string[] {
  return [
    ...FAULTS,
    ...Object.keys(CALENDLY_FAILURES),
    ...Object.keys(CHANGES).map(betweenPages),
  ];
}

type Happen = (team: Team, draw: Random) => unknown | Promise<unknown>;

/** What happens in this seed. */
export function deedsOf(seed: number): Deed[] {
  const random = new Random(seed);
  const names = Object.entries(DEEDS).flatMap(([name, { weight }]) => Array(weight).fill(name));
  return Array.from({ length: random.int(8, 36) }, () => ({
    do: random.pick(names),
    seed: random.int(0, 2 ** 31),
  }));
}

/** Whether it did anything. */
export async function happen(team: Team, deed: Deed): Promise<boolean> {
  try {
    return await DEEDS[deed.do].happen(team, new Random(deed.seed)) !== false;
  } catch (error) {
    // A seat that is taken, a token that is revoked already: Calendly's own rules.
    if (!(error instanceof SandboxError)) throw error;
    return false;
  }
}

// The team -----------------------------------------------------------------------------------------------

/** The team of this seed, connected, before anything goes wrong. */
export async function gather(project: Project, seed: number): Promise<Team> {
  const draw = new Random(seed + 1);
  const { control } = project.sandbox;
  const first = project.person();
  const organization = first.host.current_organization;
  if (draw.chance(0.2)) control.set_plan({ organization, plan: "basic", stage: "free" });
  const people = [first];
  while (people.length < draw.int(2, 3)) people.push(project.person(organization));
  const stranger = control.create_user({ email: "stranger@example.net", organization });
  const hosts = [...people.map(({ host }) => host.uri), stranger.uri];
  for (const user of hosts) {
    const events = draw.int(0, 12);
    if (events > 0) {
      control.populate({
        user,
        events,
        from: daysFromNow(project, -500),
        to: daysFromNow(project, 150),
      });
    }
  }
  const type = (input: Parameters<typeof control.create_event_type>[0]) =>
    control.create_event_type({ locations: ["physical"], ...input }).uri;
  const team: Team = {
    project,
    people,
    organization,
    scope: draw.chance(0.3) ? "organization" : "user",
    hosts,
    group: type({ user: hosts[0], kind: "group", seats: 4 }),
    collective: type({ user: hosts[1], hosts, pooling_type: "collective" }),
    conference: type({ user: hosts[0], locations: ["zoom_conference"] }),
    noShows: new Map(),
    erased: new Set(),
    planted: new Map(),
  };
  await project.sql("update calendly.settings set page_size = $1", [draw.pick([3, 7, 100])]);

  const connected = team.scope === "organization" ? people.slice(0, 1) : people;
  for (const person of connected) {
    await connect(team, person, draw.chance(0.4));
    if (draw.chance(0.7)) await ask(team, person, "POST", "calendly-connect/webhooks");
  }
  return team;
}

/** Connects by a personal access token, or by OAuth. */
export async function connect(team: Team, person: Person, byConsent: boolean): Promise<void> {
  const { project, scope } = team;
  const { control } = project.sandbox;
  if (!byConsent) {
    person.token = control.create_token({ user: person.host.uri }).token;
    await ask(team, person, "POST", "calendly-connect", { token: person.token, scope });
    return;
  }
  person.token = undefined;
  const { body } = await ask(team, person, "POST", "calendly-connect/oauth/start", { scope });
  const consent = new URL(body.url);
  consent.searchParams.set("user", person.host.uri);
  consent.searchParams.set("decision", "allow");
  const approved = await project.sandbox.fetch(
    new Request(consent.origin + consent.pathname, { method: "POST", body: consent.searchParams }),
  );
  const back = new URL(approved.headers.get("location")!).searchParams;
  await ask(team, person, "POST", "calendly-connect/oauth/finish", {
    code: back.get("code"),
    state: back.get("state"),
  });
}

/** Asks, while nothing is in the way. Error: anything but success. */
async function ask({ project }: Team, ...request: Parameters<Project["ask"]>) {
  const answer = await project.runtime.until(project.ask(...request));
  if (answer.status >= 300) {
    throw new Error(`${request[1]} ${request[2]}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer;
}

// At Calendly ---------------------------------------------------------------------------------------------

function book(team: Team, draw: Random) {
  const { control } = team.project.sandbox;
  const kind = draw.pick(["solo", "solo", "solo", "group", "collective", "conference"] as const);
  const lead = draw.pick([HOUR, 5 * HOUR, DAY, 3 * DAY, 20 * DAY, 100 * DAY, 300 * DAY, 420 * DAY]);
  control.book({
    start_time: secondsFromNow(team.project, lead + draw.int(0, 100) * 1800),
    ...kind === "solo"
      ? { user: draw.pick(team.hosts), location: "physical" }
      : { event_type: team[kind] },
    invitee: invitee(draw),
    guests: draw.chance(0.1) ? ["guest@example.org"] : undefined,
  });
}

function join(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team), ({ event }) => event.invitees_counter.limit > 1);
  if (!event) return false;
  team.project.sandbox.control.book({
    event: event.event.uri,
    invitee: invitee(draw),
    touch: draw.chance(0.8),
  });
}

function cancelSeat(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ status }) => status === "active");
  if (!seat) return false;
  team.project.sandbox.control.cancel({
    invitee: seat.uri,
    by: draw.pick(["host", "invitee"]),
    reason: draw.pick([null, "no time"]),
    touch: draw.chance(0.8),
    event_lags: draw.chance(0.2),
  });
}

function cancelEvent(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team));
  if (!event) return false;
  team.project.sandbox.control.cancel({ event: event.event.uri });
}

function reschedule(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ status }) => status === "active");
  if (!seat) return false;
  team.project.sandbox.control.reschedule({
    invitee: seat.uri,
    by: draw.pick(["host", "invitee"]),
    start_time: secondsFromNow(team.project, draw.int(2, 40) * DAY + draw.int(0, 48) * 1800),
    user: draw.chance(0.2) ? draw.pick(team.hosts) : undefined,
  });
}

function markNoShow(team: Team, draw: Random) {
  // Nobody fails to come to what was canceled: the mirror looks for no-shows of active seats.
  const present = ({ no_show, status }: Invitee) => no_show === null && status === "active";
  const seat = pick(draw, seats(team, { begun: true }), present);
  if (!seat) return false;
  team.project.sandbox.control.mark_no_show({ invitee: seat.uri });
  team.noShows.set(seat.uri, team.project.now);
}

function undoNoShow(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ no_show }) => no_show !== null);
  if (!seat) return false;
  // Closer than a second to its mark nobody could tell which was last.
  team.project.sandbox.control.advance({ by: 1.1 });
  team.project.sandbox.control.undo_no_show({ invitee: seat.uri });
  team.noShows.set(seat.uri, team.project.now);
}

function reassign(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team), ({ event }) => event.event_memberships.length === 1);
  if (!event) return false;
  const to = pick(draw, team.hosts, (host) => host !== event.event.event_memberships[0].user);
  team.project.sandbox.control.reassign_host({
    event: event.event.uri,
    to: to!,
    touch: draw.chance(0.7),
  });
}

function edit(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team));
  if (!event) return false;
  team.project.sandbox.control.edit({
    event: event.event.uri,
    ...draw.chance(0.5)
      ? { set: { name: `Renamed ${draw.int(1, 99)}` } }
      : { guests: [`guest.${draw.int(1, 99)}@example.org`] },
    touch: draw.chance(0.7),
  });
}

function eraseEvent(team: Team, draw: Random) {
  const event = pick(draw, events(team));
  if (!event) return false;
  team.project.sandbox.control.erase_event({ event: event.event.uri });
}

function eraseInvitee(team: Team, draw: Random) {
  const seat = pick(draw, seats(team));
  if (!seat) return false;
  team.project.sandbox.control.erase_invitee({ invitee: seat.uri });
  team.erased.add(seat.event);
}

/** Somebody leaves the organization, or comes back. */
function leave(team: Team, draw: Random) {
  if (team.scope === "user") return false;
  const { control } = team.project.sandbox;
  const { uri } = draw.pick(team.people.slice(1)).host;
  const member = team.project.sandbox.truth().users.find((user) => user.uri === uri)!;
  if (member.current_organization === team.organization) control.leave({ user: uri });
  else control.join({ user: uri, organization: team.organization });
}

// Time, and what it brings --------------------------------------------------------------------------------

async function passTime(team: Team, draw: Random) {
  const seconds = draw.pick([
    1,
    20,
    MINUTE,
    15 * MINUTE,
    15 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
    2 * DAY,
  ]);
  await team.project.advance(seconds + draw.int(0, 59));
  const ticks = draw.int(0, 2);
  for (let tick = 0; tick < ticks; tick++) {
    const lost = draw.chance(0.2);
    if (lost) team.project.count("nudges lost");
    await team.project.nudge({ lost });
  }
}

async function click(team: Team, draw: Random) {
  const { project, people } = team;
  const clicks = Array.from(
    { length: draw.pick([1, 1, 1, 2]) },
    () =>
      project.ask(
        draw.pick(people),
        "POST",
        "calendly-sync",
        draw.chance(0.15) ? { full: true } : {},
      ),
  );
  await project.runtime.until(Promise.all(clicks));
}

/** Some of what is due comes, late or twice, in any order, several at once; some is lost. */
async function deliver(team: Team, draw: Random) {
  const { project } = team;
  const { control } = project.sandbox;
  const due = draw.shuffle(dueDeliveries(project));
  if (due.length === 0) return false;
  while (due.length > 0) {
    const together = due.splice(0, draw.int(1, 3)).map((id) => {
      if (draw.chance(0.15)) return Promise.resolve([]); // It takes its time.
      const drop = draw.chance(0.12);
      const duplicate = draw.chance(0.2);
      if (drop) project.count("webhook lost");
      else if (duplicate) project.count("webhook twice");
      return control.deliver([id], { drop, duplicate });
    });
    await project.runtime.until(Promise.all(together));
  }
}

export function dueDeliveries({ sandbox }: Project): string[] {
  const { now } = sandbox.truth();
  return sandbox.control.deliveries()
    .filter(({ state, next_attempt_at }) => state === "pending" && next_attempt_at! <= now)
    .map(({ id }) => id);
}

// Trouble -------------------------------------------------------------------------------------------------

/** What Calendly, or what stands in front of it, answers instead. */
const CALENDLY_FAILURES: Record<string, (draw: Random) => Effect> = {
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

function calendlyFails(team: Team, draw: Random) {
  const [fault, effect] = draw.pick(
    Object.entries(CALENDLY_FAILURES).map(([name, effect]) => [name, effect(draw)] as const),
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

/** What happens at Calendly between the pages of a listing. */
const CHANGES: Record<string, (event: string, to: () => string) => Record<string, string>> = {
  cancel: (event) => ({ event }),
  erase_event: (event) => ({ event }),
  reassign_host: (event, to) => ({ event, to: to() }),
};

function changeBetweenPages(team: Team, draw: Random) {
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

/** Has a fault strike requests to Calendly, and remembers which it was. */
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

function databaseFails({ project }: Team, draw: Random) {
  const loss = () => draw.pick(LOSSES);
  project.losses.push(...Array.from({ length: draw.int(1, 6) }, loss));
}

function instanceStops({ project }: Team, draw: Random) {
  project.death = { request: draw.int(1, 9), carriedOut: draw.chance(0.5) };
}

async function clocksDiffer({ project }: Team, draw: Random) {
  project.count("clocks differ");
  project.skew = draw.pick([-90, -20, 20, 90]) * 1000;
  await project.setDatabaseClock();
}

function tokenRevoked({ people, project }: Team, draw: Random) {
  const person = pick(draw, people, ({ token }) => token !== undefined);
  if (!person) return false;
  project.count("token revoked");
  project.sandbox.control.revoke_token({ token: person.token! });
}

async function subscriptionGone({ project, people }: Team, draw: Random) {
  const subscription = pick(draw, project.sandbox.truth().webhook_subscriptions);
  if (!subscription) return false;
  project.count("subscription deleted");
  const { token } = project.sandbox.control.create_token({ user: people[0].host.uri });
  await project.atCalendly("DELETE", new URL(subscription.uri).pathname, token);
}

// Choosing ------------------------------------------------------------------------------------------------

export interface Booked {
  event: ScheduledEvent;
  invitees: Invitee[];
}

function events({ project }: Team): Booked[] {
  return project.sandbox.truth().scheduled_events;
}

function activeEvents(team: Team): Booked[] {
  return events(team).filter(({ event }) => event.status === "active");
}

function seats(team: Team, { begun = false } = {}): Invitee[] {
  const now = begun ? team.project.sandbox.truth().now : "9";
  return events(team).filter(({ event }) => event.start_time < now)
    .flatMap(({ invitees }) => invitees);
}

/** Those that came last are chosen most: the same ones meet several deeds. */
function pick<T>(draw: Random, all: T[], fits: (one: T) => boolean = () => true): T | undefined {
  const fitting = all.filter(fits);
  if (fitting.length === 0) return undefined;
  return fitting[Math.floor(Math.sqrt(draw.next()) * fitting.length)];
}

function invitee(draw: Random) {
  const name = draw.pick(["Ines", "Jon", "Kim", "Lea", "Max"]);
  return {
    name,
    email: `${name.toLowerCase()}@example.org`,
    questions_and_answers: draw.chance(0.3)
      ? [{ question: "What about?", answer: `No. ${draw.int(1, 99)}`, position: 0 }]
      : [],
  };
}

function secondsFromNow(project: Project, seconds: number): string {
  const time = new Date(Math.floor(project.now / 60_000) * 60_000 + seconds * 1000);
  return time.toISOString().replace("Z", "000Z");
}

function daysFromNow(project: Project, days: number): string {
  return secondsFromNow(project, days * DAY);
}
