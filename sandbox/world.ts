/**
 * Everything the sandbox knows: people, organizations, event types, events with their invitees,
 * no-shows. Only state and look-ups live here; what happens to a booking is in bookings.ts.
 */
import { Clock, formatTime, Micros, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import { Random } from "./random.ts";
import {
  EventType,
  Group,
  idOf,
  Invitee,
  InviteeNoShow,
  Membership,
  Organization,
  Role,
  ScheduledEvent,
  Uri,
  uri,
  User,
} from "./resources.ts";
import { SortedList } from "./sorted_list.ts";
import { saveTime, type WorldState } from "./state.ts";

/** An event type with what Calendly knows of it but does not show. */
export interface EventTypeRecord {
  resource: EventType;
  organization: Uri;
  hosts: Uri[];
  seats: number;
  buffer_minutes: number;
}

export interface EventRecord {
  /** Start time and id: the order of every listing. */
  key: string;
  resource: ScheduledEvent;
  organization: Uri;
  invitees: Invitee[];
  /** When the conference that is being made for it will be ready. */
  conference_ready_at?: Micros;
}

export interface GroupRecord {
  resource: Group;
  members: Uri[];
  admins: Uri[];
}

export class World {
  readonly clock: Clock;
  readonly random: Random;
  readonly users = new Map<Uri, User>();
  readonly organizations = new Map<Uri, Organization>();
  readonly memberships = new Map<Uri, Membership>();
  readonly groups = new Map<Uri, GroupRecord>();
  readonly eventTypes = new Map<Uri, EventTypeRecord>();
  readonly noShows = new Map<Uri, InviteeNoShow>();
  /** Fields to serialise in place of the true ones, by the row's URI. */
  readonly overrides = new Map<Uri, Record<string, unknown>>();

  readonly #events = new Map<Uri, EventRecord>();
  readonly #eventOfInvitee = new Map<Uri, EventRecord>();
  readonly #byHost = new Map<Uri, SortedList<EventRecord>>();
  readonly #byOrganization = new Map<Uri, SortedList<EventRecord>>();
  readonly #conferencesInTheMaking = new Set<EventRecord>();

  constructor(clock: Clock, random: Random) {
    this.clock = clock;
    this.random = random;
  }

  /** A new time for a write, as text. */
  stamp(): string {
    return formatTime(this.clock.tick());
  }

  // People and organizations

  user(reference: string): User {
    const found = this.users.get(reference) ?? this.users.get(uri("users", reference)) ??
      [...this.users.values()].find((user) => user.email === reference);
    return found ?? missing("user", reference, "a user's URI, id or e-mail address");
  }

  organization(reference: string | undefined): Organization {
    return this.organizations.get(uri("organizations", idOf(reference ?? ""))) ??
      missing("organization", reference, "an organization's URI or id");
  }

  createOrganization(name: string, plan: Organization["plan"], stage: Organization["stage"]) {
    const at = this.stamp();
    const organization: Organization = {
      created_at: at,
      id: this.random.int(10_000_000, 99_999_999),
      kind: "single",
      name,
      plan,
      stage,
      updated_at: at,
      uri: uri("organizations", this.random.uuid()),
    };
    this.organizations.set(organization.uri, organization);
    return organization;
  }

  createUser(fields: Pick<User, "name" | "email" | "timezone" | "locale">): User {
    const at = this.stamp();
    const slug = fields.email.split("@")[0].toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const user: User = {
      avatar_url: null,
      created_at: at,
      current_organization: "",
      email: fields.email,
      locale: fields.locale,
      name: fields.name,
      resource_type: "User",
      scheduling_url: `https://calendly.com/${slug}`,
      slug,
      time_notation: "24h",
      timezone: fields.timezone,
      updated_at: at,
      uri: uri("users", this.random.uuid()),
    };
    this.users.set(user.uri, user);
    return user;
  }

  membershipOf(user: Uri): Membership | undefined {
    return [...this.memberships.values()].find((membership) => membership.user === user);
  }

  /** The user's role in the organization, or null for a stranger. */
  role(user: Uri, organization: Uri): Role | null {
    const membership = this.membershipOf(user);
    return membership?.organization === organization ? membership.role : null;
  }

  /**
   * Makes the user a member, of this organization only: Calendly knows one at a time. Their own event
   * types move with them; what is booked already stays where it was booked.
   */
  join(user: User, organization: Uri, role: Role): Membership {
    const earlier = this.membershipOf(user.uri);
    if (earlier) this.memberships.delete(earlier.uri);
    const at = this.stamp();
    const membership: Membership = {
      created_at: at,
      organization,
      role,
      updated_at: at,
      uri: uri("organization_memberships", this.random.uuid()),
      user: user.uri,
    };
    this.memberships.set(membership.uri, membership);
    user.current_organization = organization;
    user.updated_at = at;
    for (const type of this.eventTypes.values()) {
      if (type.hosts.length === 1 && type.hosts[0] === user.uri) type.organization = organization;
    }
    return membership;
  }

  group(reference: string | undefined): GroupRecord {
    return this.groups.get(uri("groups", idOf(reference ?? ""))) ??
      missing("group", reference, "a group's URI or id");
  }

  /** True for an owner or admin of the group's organization and for the group's own admins. */
  managesGroup(user: Uri, group: GroupRecord): boolean {
    return group.admins.includes(user) || this.manages(user, group.resource.organization);
  }

  manages(user: Uri, organization: Uri): boolean {
    const role = this.role(user, organization);
    return role === "owner" || role === "admin";
  }

  // Event types

  eventType(reference: string | undefined): EventTypeRecord {
    return this.eventTypes.get(uri("event_types", idOf(reference ?? ""))) ??
      missing("event type", reference, "an event type's URI or id");
  }

  // Events and invitees

  get events(): Iterable<EventRecord> {
    return this.#events.values();
  }

  findEvent(reference = ""): EventRecord | undefined {
    return this.#events.get(uri("scheduled_events", idOf(reference)));
  }

  event(reference: string | undefined): EventRecord {
    return this.findEvent(reference) ??
      missing("event", reference, "a scheduled event's URI or id");
  }

  findInvitee(reference: Uri = ""): { event: EventRecord; invitee: Invitee } | undefined {
    const event = this.#eventOfInvitee.get(reference);
    const invitee = event?.invitees.find((candidate) => candidate.uri === reference);
    return event && invitee && { event, invitee };
  }

  invitee(reference: string | undefined): { event: EventRecord; invitee: Invitee } {
    return this.findInvitee(reference) ?? missing("invitee", reference, "an invitee's URI");
  }

  eventsOfHost(user: Uri): SortedList<EventRecord> {
    return listIn(this.#byHost, user);
  }

  eventsOfOrganization(organization: Uri): SortedList<EventRecord> {
    return listIn(this.#byOrganization, organization);
  }

  addEvent(event: EventRecord): void {
    this.#events.set(event.resource.uri, event);
    this.eventsOfOrganization(event.organization).add(event);
    for (const host of hostsOf(event)) this.eventsOfHost(host).add(event);
    if (event.conference_ready_at !== undefined) this.#conferencesInTheMaking.add(event);
  }

  removeEvent(event: EventRecord): void {
    for (const invitee of [...event.invitees]) this.removeInvitee(event, invitee);
    this.#conferencesInTheMaking.delete(event);
    this.#events.delete(event.resource.uri);
    this.eventsOfOrganization(event.organization).remove(event);
    for (const host of hostsOf(event)) this.eventsOfHost(host).remove(event);
  }

  /** Applies a change that may move the event in the listings: its start or its hosts. */
  reindexed(event: EventRecord, change: () => void): void {
    this.eventsOfOrganization(event.organization).remove(event);
    for (const host of hostsOf(event)) this.eventsOfHost(host).remove(event);
    change();
    event.key = eventKey(event.resource);
    this.eventsOfOrganization(event.organization).add(event);
    for (const host of hostsOf(event)) this.eventsOfHost(host).add(event);
  }

  addInvitee(event: EventRecord, invitee: Invitee): void {
    event.invitees.push(invitee);
    this.#eventOfInvitee.set(invitee.uri, event);
    recount(event);
  }

  removeInvitee(event: EventRecord, invitee: Invitee): void {
    event.invitees = event.invitees.filter((other) => other !== invitee);
    this.#eventOfInvitee.delete(invitee.uri);
    if (invitee.no_show) this.noShows.delete(invitee.no_show.uri);
    recount(event);
  }

  /** Conferences that have become ready by now, oldest first; each is handed out once. */
  takeReadyConferences(): { event: EventRecord; readyAt: Micros }[] {
    const now = this.clock.now();
    const ready = [];
    for (const event of this.#conferencesInTheMaking) {
      const readyAt = event.conference_ready_at!;
      if (readyAt > now) continue;
      this.#conferencesInTheMaking.delete(event);
      delete event.conference_ready_at;
      ready.push({ event, readyAt });
    }
    return ready;
  }

  save(): WorldState {
    return {
      random: this.random.state,
      users: [...this.users.values()],
      organizations: [...this.organizations.values()],
      memberships: [...this.memberships.values()],
      groups: [...this.groups.values()],
      event_types: [...this.eventTypes.values()],
      events: [...this.#events.values()].map((event) => ({
        resource: event.resource,
        organization: event.organization,
        invitees: event.invitees,
        conference_ready_at: saveTime(event.conference_ready_at ?? null),
      })),
      no_shows: [...this.noShows.values()],
      overrides: [...this.overrides].map(([uri, fields]) => ({
        uri,
        fields,
        absent: Object.keys(fields).filter((field) => fields[field] === undefined),
      })),
    };
  }

  load(state: WorldState): void {
    this.random.state = state.random;
    for (const user of state.users) this.users.set(user.uri, user);
    for (const row of state.organizations) this.organizations.set(row.uri, row);
    for (const row of state.memberships) this.memberships.set(row.uri, row);
    for (const group of state.groups) this.groups.set(group.resource.uri, group);
    for (const type of state.event_types) this.eventTypes.set(type.resource.uri, type);
    for (const { conference_ready_at, ...event } of state.events) {
      this.addEvent({
        ...event,
        key: eventKey(event.resource),
        ...conference_ready_at !== null && { conference_ready_at: time(conference_ready_at) },
      });
      for (const { uri } of event.invitees) {
        this.#eventOfInvitee.set(uri, this.#events.get(event.resource.uri)!);
      }
    }
    for (const noShow of state.no_shows) this.noShows.set(noShow.uri, noShow);
    for (const { uri, fields, absent } of state.overrides) {
      for (const field of absent) fields[field] = undefined;
      this.overrides.set(uri, fields);
    }
  }
}

export function eventKey(event: ScheduledEvent): string {
  return `${event.start_time} ${idOf(event.uri)}`;
}

export function hostsOf(event: EventRecord): Uri[] {
  return event.resource.event_memberships.map((membership) => membership.user);
}

/** Calendly's counter: the total has the canceled ones in it. */
export function recount(event: EventRecord): void {
  const { invitees_counter } = event.resource;
  invitees_counter.total = event.invitees.length;
  invitees_counter.active = event.invitees.filter((it) => it.status === "active").length;
}

function listIn(lists: Map<Uri, SortedList<EventRecord>>, key: Uri): SortedList<EventRecord> {
  let list = lists.get(key);
  if (!list) lists.set(key, list = new SortedList());
  return list;
}

function missing(what: string, reference: string | undefined, hint: string): never {
  const message = reference ? `There is no ${what} ${reference}.` : `Which ${what}?`;
  throw new SandboxError("not_found", message, `Give ${hint}.`);
}
