/**
 * The people of a seed: Calendly users of one organization, with or without an account here, and whose
 * connection brings whose meetings. All of it follows from what was done, not from what is stored.
 */
import type { Effect, User } from "../../sandbox/mod.ts";
import type { Random } from "../../sandbox/random.ts";
import type { Account, Project } from "./project.ts";

export type Scope = "user" | "organization";

/** A Calendly user. */
export interface Person {
  email: string;
  host: User;
  account?: Account;
  /** Their own connection. */
  connection?: { scope: Scope; byAccount: boolean };
  /** The personal access token, if that is how they are connected. */
  token?: string;
  /** Their token was revoked at Calendly: with it nothing can be ended there. */
  isTokenRevoked: boolean;
  /** When their account is banned: milliseconds since 1970. The last one may not have ended. */
  bans: { from: number; until: number }[];
  /** Something has brought their meetings, and nothing has erased them since. */
  mayBeStored: boolean;
  /** calendly_users.id of a host who was kept for everyone when their account ended. */
  keptId?: number;
}

export interface Team {
  project: Project;
  /** The first owns the organization. */
  people: Person[];
  organization: string;
  /** The connections at the beginning: one for the organization, or one for each person. */
  scope: Scope;
  /** Whom a connection of the organization keeps. */
  members: "accounts" | "everyone";
  /** The Calendly users of all people. */
  hosts: string[];
  /** Event types: with several seats, with all hosts at once, with a conference. */
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

export const MINUTE = 60;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

const NAMES = ["ana", "ben", "cleo", "dan"];

/** The team of a seed, its people and their events at Calendly. Nobody has an account yet. */
export async function createTeam(project: Project, draw: Random): Promise<Team> {
  const { control } = project.sandbox;
  const people: Person[] = [];
  for (const name of NAMES.slice(0, draw.int(3, 4))) {
    const email = `${name}@example.com`;
    const organization = people[0]?.host.current_organization;
    const host = control.create_user({ email, name, organization });
    people.push(withoutAccount(email, host));
  }
  const organization = people[0].host.current_organization;
  if (draw.chance(0.2)) control.set_plan({ organization, plan: "basic", stage: "free" });
  const hosts = people.map(({ host }) => host.uri);
  for (const user of hosts) {
    const events = draw.int(0, 12);
    if (events === 0) continue;
    control.populate({ user, events, from: inDays(project, -500), to: inDays(project, 150) });
  }
  const type = (input: Parameters<typeof control.create_event_type>[0]) =>
    control.create_event_type({ locations: ["physical"], ...input }).uri;
  const scope = draw.chance(0.5) ? "organization" : "user";
  const team: Team = {
    project,
    people,
    organization,
    scope,
    members: scope === "organization" && draw.chance(0.6) ? "everyone" : "accounts",
    hosts,
    group: type({ user: hosts[0], kind: "group", seats: 4 }),
    collective: type({ user: hosts[1], hosts, pooling_type: "collective" }),
    conference: type({ user: hosts[0], locations: ["zoom_conference"] }),
    noShows: new Map(),
    erased: new Set(),
    planted: new Map(),
  };
  await project.sql("update calendly.settings set page_size = $1", [draw.pick([3, 7, 100])]);
  return team;
}

function withoutAccount(email: string, host: User): Person {
  return { email, host, isTokenRevoked: false, bans: [], mayBeStored: false };
}

/** Calendly users whom some of the events brought along as hosts. They have no account. */
export function coHosts({ project, people, members }: Team): Person[] {
  const known = new Set(people.map(({ host }) => host.uri));
  return project.sandbox.truth().users
    .filter(({ uri }) => !known.has(uri))
    .map((host) => ({ ...withoutAccount(host.email, host), mayBeStored: members === "everyone" }));
}

// Who is kept -----------------------------------------------------------------------------------------------

/** Whose connection brings a person's meetings, as far as it lists them. */
export function keeperOf({ people, members }: Team, person: Person): Person | undefined {
  if (person.connection) return person;
  const owner = people.find(({ connection }) => connection?.scope === "organization");
  return members === "everyone" || person.account?.isProven ? owner : undefined;
}

/**
 * Are a person's meetings brought here? Neither their account nor their keeper's may be banned, and of
 * whoever has left the organization its connection lists former meetings only.
 */
export function isSynced(team: Team, person: Person): boolean {
  const keeper = keeperOf(team, person);
  return keeper !== undefined && !isBanned(team, person) && !isBanned(team, keeper) &&
    (keeper === person || !hasLeft(team, person));
}

/** Is their account banned now? */
export function isBanned({ project }: Team, { account, bans }: Person): boolean {
  return account !== undefined &&
    bans.some(({ from, until }) => from <= project.now && project.now < until);
}

export function hasLeft(
  { project, organization }: Team,
  { host }: Person,
): boolean {
  const member = project.sandbox.truth().users.find(({ uri }) => uri === host.uri)!;
  return member.current_organization !== organization;
}

export function noteWhoIsKept(team: Team): void {
  for (const person of team.people) {
    if (keeperOf(team, person)) person.mayBeStored = true;
  }
}

// Accounts --------------------------------------------------------------------------------------------------

export async function signUp({ project }: Team, person: Person, isProven: boolean): Promise<void> {
  person.account = await project.createAccount(person.email, isProven);
}

/** `until`: milliseconds since 1970. */
export async function ban({ project }: Team, person: Person, until: number): Promise<void> {
  person.bans.push({ from: project.now, until });
  await project.banAccount(person.account!, until);
}

export async function liftBan({ project }: Team, person: Person): Promise<void> {
  person.bans.at(-1)!.until = project.now;
  await project.banAccount(person.account!, undefined);
}

// Time ------------------------------------------------------------------------------------------------------

export function inSeconds(project: Project, seconds: number): string {
  const time = new Date(Math.floor(project.now / 60_000) * 60_000 + seconds * 1000);
  return time.toISOString().replace("Z", "000Z");
}

function inDays(project: Project, days: number): string {
  return inSeconds(project, days * DAY);
}
