/**
 * The control API: what a person or a test does to the sandbox. The same verbs serve in process and as
 * `POST /_sandbox/<verb>` with the argument as JSON; they answer with copies of Calendly's resources.
 */
import {
  BookInput,
  CancelInput,
  EditInput,
  ReassignInput,
  RescheduleInput,
} from "./booking_inputs.ts";
import { Bookings } from "./bookings.ts";
import { Duration, formatTime, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import { ActiveFault, FaultRule, Faults } from "./faults.ts";
import { populate, PopulateInput } from "./populate.ts";
import { Limit } from "./rate_limit.ts";
import { RequestFilter, RequestLog, RequestReport } from "./request_log.ts";
import {
  Group,
  Invitee,
  InviteeNoShow,
  Organization,
  Role,
  ScheduledEvent,
  Uri,
  uri,
  User,
  WebhookSubscription,
} from "./resources.ts";
import { eventRow, inviteeRow, membershipRow } from "./serialize.ts";
import { OAuthApp, Tokens } from "./tokens.ts";
import { createEventType, EventTypeInput } from "./event_types.ts";
import { DeliverOptions, Delivery, Webhooks } from "./webhooks.ts";
import { EventRecord, hostsOf, World } from "./world.ts";

/** Every verb, with the fields that its argument may have. */
export const VERBS: Record<string, string[]> = {
  create_organization: ["name", "plan", "stage"],
  create_user: ["name", "email", "organization", "role", "timezone", "locale"],
  create_token: ["user", "token", "scopes", "expires_at"],
  revoke_token: ["token"],
  create_app: ["client_id", "client_secret", "kind", "name", "redirect_uris", "signing_key"],
  create_group: ["name", "organization", "members", "admins"],
  create_event_type: [
    "user",
    "hosts",
    "name",
    "kind",
    "pooling_type",
    "duration",
    "seats",
    "locations",
    "custom_questions",
    "buffer_minutes",
    "active",
  ],
  join: ["user", "organization", "role"],
  leave: ["user"],
  set_plan: ["organization", "plan", "stage"],
  populate: ["user", "events", "from", "to", "variety", "with_invitees"],
  book: [
    "event_type",
    "user",
    "event",
    "start_time",
    "end_time",
    "invitee",
    "location",
    "conference",
    "guests",
    "legacy_id",
    "touch",
  ],
  cancel: ["event", "invitee", "by", "reason", "touch", "event_lags"],
  reschedule: ["invitee", "event", "start_time", "by", "reason", "user"],
  mark_no_show: ["invitee"],
  undo_no_show: ["invitee"],
  reassign_host: ["event", "to", "from", "touch"],
  edit: ["event", "invitee", "set", "guests", "conference", "touch"],
  erase_event: ["event"],
  erase_invitee: ["invitee"],
  override: ["uri", "fields"],
  advance: ["by"],
  set_clock: ["now"],
  set_rate_limit: ["user", "limit"],
  faults: ["rules"],
  clear_faults: [],
  requests: ["method", "path", "status", "user"],
  clear_requests: [],
  deliveries: [],
  deliver: ["which", "order", "duplicate", "drop", "resign"],
};

export interface BookingResult {
  event: ScheduledEvent;
  invitee: Invitee;
}

/** The whole state; rows exactly as the API serialises them. */
export interface Truth {
  now: string;
  organizations: Organization[];
  users: User[];
  organization_memberships: ReturnType<typeof membershipRow>[];
  scheduled_events: { event: ScheduledEvent; invitees: Invitee[]; organization: Uri }[];
  invitee_no_shows: InviteeNoShow[];
  webhook_subscriptions: WebhookSubscription[];
}

export class Control {
  readonly #world: World;
  readonly #allBookings: Bookings;
  readonly #tokens: Tokens;
  readonly #webhooks: Webhooks;
  readonly #faults: Faults;
  readonly #log: RequestLog;
  readonly #limits = new Map<Uri, Limit>();
  /** Whom a verb without `user` means. */
  readonly #defaultUser: () => Uri;

  constructor(
    parts: {
      world: World;
      bookings: Bookings;
      tokens: Tokens;
      webhooks: Webhooks;
      faults: Faults;
      log: RequestLog;
      defaultUser: () => Uri;
    },
  ) {
    this.#world = parts.world;
    this.#allBookings = parts.bookings;
    this.#tokens = parts.tokens;
    this.#webhooks = parts.webhooks;
    this.#faults = parts.faults;
    this.#log = parts.log;
    this.#defaultUser = parts.defaultUser;
  }

  // People

  create_organization(
    input: { name?: string; plan?: Organization["plan"]; stage?: Organization["stage"] } = {},
  ): Organization {
    const { name = "Example Ltd", plan = "teams", stage = "paid" } = input;
    return copy(this.#world.createOrganization(name, plan, stage));
  }

  /** With a 30-minute event type, as Calendly gives to everyone, and an own organization unless named. */
  create_user(
    input: {
      name?: string;
      email: string;
      organization?: string;
      role?: Role;
      timezone?: string;
      locale?: string;
    },
  ): User {
    const { email, timezone = "Europe/Madrid", locale = "en" } = input;
    const name = input.name ?? email.split("@")[0];
    if ([...this.#world.users.values()].some((user) => user.email === email)) {
      throw new SandboxError(
        "already_exists",
        `There is a user with the address ${email} already.`,
      );
    }
    const user = this.#world.createUser({ name, email, timezone, locale });
    if (input.organization) {
      const { uri } = this.#world.organization(input.organization);
      this.#world.join(user, uri, input.role ?? "user");
    } else {
      this.#world.join(user, this.#world.createOrganization(name, "teams", "paid").uri, "owner");
    }
    createEventType(this.#world, { user: user.uri });
    return copy(user);
  }

  /** A personal access token; all scopes and no expiry unless given. */
  create_token(
    input: { user?: string; token?: string; scopes?: string[]; expires_at?: string } = {},
  ) {
    const { token, scopes = ["default"], expires_at } = input;
    return this.#tokens.describe(
      this.#tokens.createPersonal(
        this.#user(input.user).uri,
        scopes,
        token,
        expires_at === undefined ? undefined : time(expires_at),
      ),
    );
  }

  revoke_token(input: { token: string }) {
    const token = this.#tokens.find(input.token);
    if (!token) throw new SandboxError("not_found", "There is no such token.");
    token.revoked = true;
    return this.#tokens.describe(token);
  }

  /** An OAuth application; without redirect URIs it may return to any loopback address. */
  create_app(input: Partial<OAuthApp> = {}): OAuthApp {
    const random = this.#world.random;
    const app: OAuthApp = {
      client_id: input.client_id ?? random.secret(),
      client_secret: input.client_secret ?? random.secret(),
      kind: input.kind ?? "web",
      name: input.name ?? "Example app",
      redirect_uris: input.redirect_uris ?? [],
      signing_key: input.signing_key ?? random.secret(),
    };
    this.#tokens.apps.set(app.client_id, app);
    return copy(app);
  }

  create_group(
    input: { name?: string; organization?: string; members: string[]; admins?: string[] },
  ): Group {
    const at = this.#world.stamp();
    const members = input.members.map((member) => this.#user(member).uri);
    const resource: Group = {
      created_at: at,
      member_count: members.length,
      name: input.name ?? "Sales",
      organization: input.organization
        ? this.#world.organization(input.organization).uri
        : this.#user(input.members[0]).current_organization,
      updated_at: at,
      uri: uri("groups", this.#world.random.uuid()),
    };
    const admins = (input.admins ?? []).map((admin) => this.#user(admin).uri);
    this.#world.groups.set(resource.uri, { resource, members, admins });
    return copy(resource);
  }

  create_event_type(input: EventTypeInput = {}) {
    return copy(
      createEventType(this.#world, { ...input, user: input.user ?? this.#defaultUser() }).resource,
    );
  }

  /** Moves the user into an organization, or changes the role there. */
  join(input: { user?: string; organization: string; role?: Role }) {
    const user = this.#user(input.user);
    const { uri } = this.#world.organization(input.organization);
    return membershipRow(this.#world, this.#world.join(user, uri, input.role ?? "user"));
  }

  /** Removes the user from the organization; an account of their own remains, as do old events. */
  leave(input: { user?: string } = {}) {
    const user = this.#user(input.user);
    this.#webhooks.stopFor(user.uri);
    const own = this.#world.createOrganization(user.name, "basic", "free");
    return membershipRow(this.#world, this.#world.join(user, own.uri, "owner"));
  }

  /** Upgrades or downgrades; a free organization's users have 50 requests a minute. */
  set_plan(
    input: {
      organization: string;
      plan?: Organization["plan"];
      stage?: Organization["stage"];
    },
  ): Organization {
    const { organization: reference, ...plan } = input;
    const organization = this.#world.organization(reference);
    return copy(Object.assign(organization, plan, { updated_at: this.#world.stamp() }));
  }

  // Bookings

  /** Makes a realistic account with exactly `events` events of the user, without webhooks. */
  populate(input: PopulateInput = {}): { events: number; invitees: number } {
    return populate(this.#world, { ...input, user: this.#user(input.user).uri });
  }

  /** `invitee: null` books a meeting without one; the answer's `invitee` is then null. */
  book(input: BookInput & { invitee: null }): { event: ScheduledEvent; invitee: null };
  book(input?: BookInput): BookingResult;
  book(input: BookInput = {}): { event: ScheduledEvent; invitee: Invitee | null } {
    return this.#result(this.#bookings.book(input, this.#hostFor(input)));
  }

  /** The whole event (by the host), or with `invitee` that one's seat. */
  cancel(input: CancelInput) {
    return this.#result(this.#bookings.cancel(input));
  }

  reschedule(input: RescheduleInput): { old: BookingResult; new: BookingResult } {
    const { old, new: booking } = this.#bookings.reschedule(input);
    return {
      old: this.#result(old) as BookingResult,
      new: this.#result(booking) as BookingResult,
    };
  }

  mark_no_show(input: { invitee: string }): InviteeNoShow {
    return copy(this.#bookings.markNoShow(input.invitee));
  }

  /** Takes the invitee's or the no-show's URI. */
  undo_no_show(input: { invitee: string }): BookingResult {
    return this.#result(this.#bookings.undoNoShow(input.invitee)) as BookingResult;
  }

  reassign_host(input: ReassignInput): ScheduledEvent {
    return copy(eventRow(this.#world, this.#bookings.reassign(input)));
  }

  edit(input: EditInput) {
    return this.#result(this.#bookings.edit(input));
  }

  erase_event(input: { event: string }): void {
    this.#bookings.eraseEvent(input.event);
  }

  erase_invitee(input: { invitee: string }): void {
    this.#bookings.eraseInvitee(input.invitee);
  }

  /** Serialises these fields in place of the row's own, however impossible; `null` ends it. */
  override(input: { uri: Uri; fields: Record<string, unknown> | null }): void {
    if (input.fields === null) this.#world.overrides.delete(input.uri);
    else this.#world.overrides.set(input.uri, input.fields);
  }

  // Time and trouble

  advance(input: { by: Duration }): { now: string } {
    this.#world.clock.advance(input.by);
    return this.#now();
  }

  set_clock(input: { now: string }): { now: string } {
    this.#world.clock.set(input.now);
    return this.#now();
  }

  /** Requests a minute of a user; `null` lifts the limit, no `limit` restores the plan's. */
  set_rate_limit(input: { user?: string; limit?: Limit } = {}): { limit: Limit } {
    const user = this.#user(input.user).uri;
    if (input.limit === undefined) this.#limits.delete(user);
    else this.#limits.set(user, input.limit);
    return { limit: this.limit_of(user) };
  }

  limit_of(user: Uri): Limit {
    const limit = this.#limits.get(user);
    if (limit !== undefined) return limit;
    const { current_organization } = this.#world.user(user);
    return this.#world.organization(current_organization).stage === "free" ? 50 : 500;
  }

  /** Adds rules, if any, and lists those in force. */
  faults(rules: FaultRule | FaultRule[] = []): ActiveFault[] {
    for (const rule of [rules].flat()) this.#faults.add(rule);
    return this.#faults.list();
  }

  clear_faults(): void {
    this.#faults.clear();
  }

  /** The requests served, newest last, with counts. */
  requests(filter: RequestFilter = {}): RequestReport {
    return this.#log.report(filter);
  }

  clear_requests(): void {
    this.#log.clear();
  }

  // Webhooks

  deliveries(): Delivery[] {
    return copy(this.#webhooks.deliveries());
  }

  /** Sends what is due ("due"), everything ever made ("all"), or the named deliveries. */
  async deliver(
    which: "due" | "all" | string | string[] = "due",
    options: DeliverOptions = {},
  ): Promise<Delivery[]> {
    return copy(await this.#webhooks.deliver(which, options));
  }

  /** Resolves when no automatic delivery is being sent. */
  settled(): Promise<void> {
    return this.#webhooks.settled();
  }

  state(): Truth {
    const world = this.#world;
    this.#allBookings.settleReadyConferences();
    return copy({
      now: formatTime(world.clock.now()),
      organizations: [...world.organizations.values()],
      users: [...world.users.values()],
      organization_memberships: [...world.memberships.values()].map((membership) =>
        membershipRow(world, membership)
      ),
      scheduled_events: [...world.events]
        .sort((a, b) => (a.key < b.key ? -1 : 1))
        .map((event) => ({
          event: eventRow(world, event),
          invitees: event.invitees.map((invitee) => inviteeRow(world, invitee)),
          organization: event.organization,
        })),
      invitee_no_shows: [...world.noShows.values()],
      webhook_subscriptions: this.#webhooks.subscriptions(),
    });
  }

  /** Runs a verb with an argument from outside: unknown verbs and fields are refused. */
  run(verb: string, input: Record<string, unknown>): unknown {
    if (!Object.hasOwn(VERBS, verb)) {
      throw new SandboxError(
        "unknown_verb",
        `There is no verb ${verb}.`,
        `One of ${Object.keys(VERBS).join(", ")}.`,
      );
    }
    const fields = VERBS[verb];
    const unknown = Object.keys(input).filter((field) => !fields.includes(field));
    if (unknown.length > 0) {
      throw new SandboxError(
        "unknown_field",
        `${verb} takes no ${unknown.join(", ")}.`,
        fields.length > 0 ? `It takes ${fields.join(", ")}.` : "It takes nothing.",
      );
    }
    if (verb === "faults") return this.faults(input.rules as FaultRule[] | undefined);
    if (verb === "deliver") {
      const { which, ...options } = input;
      return this.deliver(which as string | undefined, options as DeliverOptions);
    }
    const method = this[verb as keyof Control] as (input: unknown) => unknown;
    return method.call(this, input);
  }

  /** The bookings as of now: conferences whose time has come are made first. */
  get #bookings(): Bookings {
    this.#allBookings.settleReadyConferences();
    return this.#allBookings;
  }

  #user(reference?: string): User {
    return this.#world.user(reference ?? this.#defaultUser());
  }

  #hostFor(input: BookInput): Uri {
    if (input.user) return this.#world.user(input.user).uri;
    if (input.event) return hostsOf(this.#world.event(input.event))[0];
    if (!input.event_type) return this.#defaultUser();
    const { hosts, resource } = this.#world.eventType(input.event_type);
    return resource.pooling_type === "round_robin" ? this.#world.random.pick(hosts) : hosts[0];
  }

  #result(booking: { event: EventRecord; invitee: Invitee | null }) {
    return copy({
      event: eventRow(this.#world, booking.event),
      invitee: booking.invitee && inviteeRow(this.#world, booking.invitee),
    });
  }

  #now() {
    return { now: formatTime(this.#world.clock.now()) };
  }
}

function copy<T>(value: T): T {
  return structuredClone(value);
}
