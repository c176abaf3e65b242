/**
 * The control API: what a person or a test does to the sandbox. The same verbs serve in process and as
 * `POST /_sandbox/<verb>` with the argument as JSON; they answer with copies of Calendly's resources.
 */
import { Bookings } from "./bookings.ts";
import { formatTime, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import { ActiveFault, Faults } from "./faults.ts";
import type { FaultRule } from "./faults.ts";
import { bookingsOf, deliveryRow, Overview } from "./overview.ts";
import { populate } from "./populate.ts";
import { Limit, RateLimit } from "./rate_limit.ts";
import { RequestLog, RequestReport } from "./request_log.ts";
import {
  Group,
  Invitee,
  InviteeNoShow,
  Organization,
  ScheduledEvent,
  Uri,
  uri,
  User,
  WebhookSubscription,
} from "./resources.ts";
import { eventRow, inviteeRow, membershipRow } from "./serialize.ts";
import { OAuthApp, Tokens } from "./tokens.ts";
import { createEventType } from "./event_types.ts";
import { check, Input } from "./verbs.ts";
import { DeliverOptions, Delivery, WebhookFault, Webhooks } from "./webhooks.ts";
import { EventRecord, hostsOf, World } from "./world.ts";

/** So many requests and deliveries are in an overview. */
const SHOWN = 30;

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
  readonly #rateLimit: RateLimit;
  /** Whom a verb without `user` means. */
  defaultUser: Uri = "";

  constructor(
    parts: {
      world: World;
      bookings: Bookings;
      tokens: Tokens;
      webhooks: Webhooks;
      faults: Faults;
      log: RequestLog;
      rateLimit: RateLimit;
    },
  ) {
    this.#world = parts.world;
    this.#allBookings = parts.bookings;
    this.#tokens = parts.tokens;
    this.#webhooks = parts.webhooks;
    this.#faults = parts.faults;
    this.#log = parts.log;
    this.#rateLimit = parts.rateLimit;
  }

  // People

  create_organization(input: Input<"create_organization"> = {}): Organization {
    check("create_organization", input);
    const { name = "Example Ltd", plan = "teams", stage = "paid" } = input;
    return copy(this.#world.createOrganization(name, plan, stage));
  }

  /** With a 30-minute event type, as Calendly gives to everyone, and an own organization unless named. */
  create_user(input: Input<"create_user">): User {
    check("create_user", input);
    const { email, timezone = "Europe/Madrid", locale = "en" } = input;
    const name = input.name ?? email.split("@")[0];
    if ([...this.#world.users.values()].some((user) => user.email === email)) {
      throw new SandboxError(
        "already_exists",
        `There is a user with the address ${email} already.`,
      );
    }
    const organization = input.organization && this.#world.organization(input.organization);
    const user = this.#world.createUser({ name, email, timezone, locale });
    if (organization) this.#world.join(user, organization.uri, input.role ?? "user");
    else {
      this.#world.join(user, this.#world.createOrganization(name, "teams", "paid").uri, "owner");
    }
    createEventType(this.#world, { user: user.uri });
    return copy(user);
  }

  /** A personal access token; all scopes and no expiry unless given. */
  create_token(input: Input<"create_token"> = {}) {
    check("create_token", input);
    const { token, scopes = ["default"], expires_at } = input;
    return this.#tokens.describe(
      this.#tokens.createPersonal(
        this.#user(input.user).uri,
        [...scopes],
        token,
        expires_at === undefined ? undefined : time(expires_at),
      ),
    );
  }

  revoke_token(input: Input<"revoke_token">) {
    check("revoke_token", input);
    const token = this.#tokens.find(input.token);
    if (!token) throw new SandboxError("not_found", "There is no such token.");
    token.revoked = true;
    return this.#tokens.describe(token);
  }

  /** An OAuth application; without redirect URIs it may return to any loopback address. */
  create_app(input: Input<"create_app"> = {}): OAuthApp {
    check("create_app", input);
    const random = this.#world.random;
    const app: OAuthApp = {
      client_id: input.client_id ?? random.secret(),
      client_secret: input.client_secret ?? random.secret(),
      kind: input.kind ?? "web",
      name: input.name ?? "Example app",
      redirect_uris: [...input.redirect_uris ?? []],
      signing_key: input.signing_key ?? random.secret(),
    };
    this.#tokens.addApp(app);
    return copy(app);
  }

  create_group(input: Input<"create_group">): Group {
    check("create_group", input);
    const members = input.members.map((member) => this.#user(member).uri);
    const admins = (input.admins ?? []).map((admin) => this.#user(admin).uri);
    const organization = input.organization
      ? this.#world.organization(input.organization).uri
      : this.#user(input.members[0]).current_organization;
    const at = this.#world.stamp();
    const resource: Group = {
      created_at: at,
      member_count: members.length,
      name: input.name ?? "Sales",
      organization,
      updated_at: at,
      uri: uri("groups", this.#world.random.uuid()),
    };
    this.#world.groups.set(resource.uri, { resource, members, admins });
    return copy(resource);
  }

  create_event_type(input: Input<"create_event_type"> = {}) {
    check("create_event_type", input);
    return copy(
      createEventType(this.#world, { ...copy(input), user: input.user ?? this.defaultUser })
        .resource,
    );
  }

  /**
   * Moves the user into an organization, where their own subscriptions end with the membership that they
   * had, or changes the role there.
   */
  join(input: Input<"join">) {
    check("join", input);
    const user = this.#user(input.user);
    const { uri } = this.#world.organization(input.organization);
    if (uri !== user.current_organization) this.#webhooks.stopFor(user.uri);
    return membershipRow(this.#world, this.#world.join(user, uri, input.role ?? "user"));
  }

  /** Removes the user from the organization; an account of their own remains, as do old events. */
  leave(input: Input<"leave"> = {}) {
    check("leave", input);
    const user = this.#user(input.user);
    this.#webhooks.stopFor(user.uri);
    const own = this.#world.createOrganization(user.name, "basic", "free");
    return membershipRow(this.#world, this.#world.join(user, own.uri, "owner"));
  }

  /** Upgrades or downgrades; a free organization's users have 50 requests a minute. */
  set_plan(input: Input<"set_plan">): Organization {
    check("set_plan", input);
    const organization = this.#world.organization(input.organization);
    const { plan = organization.plan, stage = organization.stage } = input;
    const updated_at = this.#world.stamp();
    return copy(Object.assign(organization, { plan, stage, updated_at }));
  }

  // Bookings

  /** Makes a realistic account with exactly `events` events of the user, without webhooks. */
  populate(input: Input<"populate"> = {}): { events: number; invitees: number } {
    check("populate", input);
    return populate(this.#world, { ...input, user: this.#user(input.user).uri });
  }

  /** `invitee: null` books a meeting without one; the answer's `invitee` is then null. */
  book(input: Input<"book"> & { invitee: null }): { event: ScheduledEvent; invitee: null };
  book(input?: Input<"book">): BookingResult;
  book(input: Input<"book"> = {}): { event: ScheduledEvent; invitee: Invitee | null } {
    check("book", input);
    return this.#result(this.#bookings.book(copy(input), this.#hostFor(input)));
  }

  /** The whole event (by the host), or with `invitee` that one's seat. */
  cancel(input: Input<"cancel">) {
    check("cancel", input);
    return this.#result(this.#bookings.cancel(input));
  }

  reschedule(input: Input<"reschedule">): { old: BookingResult; new: BookingResult } {
    check("reschedule", input);
    const { old, new: booking } = this.#bookings.reschedule(input);
    return {
      old: this.#result(old) as BookingResult,
      new: this.#result(booking) as BookingResult,
    };
  }

  mark_no_show(input: Input<"mark_no_show">): InviteeNoShow {
    check("mark_no_show", input);
    return copy(this.#bookings.markNoShow(input.invitee));
  }

  /** Takes the invitee's or the no-show's URI. */
  undo_no_show(input: Input<"undo_no_show">): BookingResult {
    check("undo_no_show", input);
    return this.#result(this.#bookings.undoNoShow(input.invitee)) as BookingResult;
  }

  reassign_host(input: Input<"reassign_host">): ScheduledEvent {
    check("reassign_host", input);
    return copy(eventRow(this.#world, this.#bookings.reassign(input)));
  }

  edit(input: Input<"edit">) {
    check("edit", input);
    return this.#result(this.#bookings.edit(input));
  }

  erase_event(input: Input<"erase_event">): void {
    check("erase_event", input);
    this.#bookings.eraseEvent(input.event);
  }

  erase_invitee(input: Input<"erase_invitee">): void {
    check("erase_invitee", input);
    this.#bookings.eraseInvitee(input.invitee);
  }

  /** Serialises these fields in place of the row's own, however impossible; `null` ends it. */
  override(input: Input<"override">): void {
    check("override", input);
    const { uri, fields } = input;
    const row = this.#world.findInvitee(uri)?.invitee ?? this.#world.event(uri).resource;
    if (fields === null) this.#world.overrides.delete(row.uri);
    else this.#world.overrides.set(row.uri, copy(fields));
  }

  // Time and trouble

  advance(input: Input<"advance">): { now: string } {
    check("advance", input);
    this.#world.clock.advance(input.by);
    return this.#now();
  }

  set_clock(input: Input<"set_clock">): { now: string } {
    check("set_clock", input);
    this.#world.clock.set(input.now);
    return this.#now();
  }

  /** Requests a minute of a user; `null` lifts the limit, no `limit` restores the plan's. */
  set_rate_limit(input: Input<"set_rate_limit"> = {}): { limit: Limit } {
    check("set_rate_limit", input);
    const user = this.#user(input.user).uri;
    this.#rateLimit.set(user, input.limit);
    return { limit: this.limit_of(user) };
  }

  limit_of(user: Uri): Limit {
    const { current_organization } = this.#world.user(user);
    const { stage } = this.#world.organization(current_organization);
    return this.#rateLimit.limitOf(user, stage === "free" ? 50 : 500);
  }

  /** Adds rules, if any, and lists those in force. */
  faults(rules: FaultRule | FaultRule[] = []): ActiveFault[] {
    const added = [rules].flat();
    check("faults", { rules: added });
    for (const rule of added) this.#faults.add(rule);
    return this.#faults.list();
  }

  /** Of the webhooks: what happens from now on is lost or late, what is queued stays as it is. */
  webhook_fault(input: Input<"webhook_fault">): { webhook_fault: WebhookFault | null } {
    check("webhook_fault", input);
    const { effect, delay = "1m" } = input;
    this.#webhooks.fault = effect && { effect, delay };
    return { webhook_fault: this.#webhooks.fault };
  }

  clear_faults(): void {
    this.#faults.clear();
    this.#webhooks.fault = null;
  }

  overview(input: Input<"overview"> = {}): Overview {
    check("overview", input);
    const user = this.#user(input.user).uri;
    this.#allBookings.settleReadyConferences();
    return copy({
      ...this.#now(),
      user,
      users: [...this.#world.users.values()]
        .map(({ uri, name, email }) => ({ uri, name, email })),
      bookings: bookingsOf(this.#world, user),
      requests: this.#log.latest(SHOWN),
      deliveries: this.#webhooks.latest(SHOWN).map(deliveryRow),
      faults: this.#faults.list(),
      webhook_fault: this.#webhooks.fault,
      subscriptions: this.#webhooks.subscribersOf(user),
    });
  }

  /** The requests served, newest last, with counts. */
  requests(filter: Input<"requests"> = {}): RequestReport {
    check("requests", filter);
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
    check("deliver", { which, ...options });
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

  /** Runs a verb by its name. */
  run(verb: string, input: Record<string, unknown>): unknown {
    check(verb, input);
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
    return this.#world.user(reference ?? this.defaultUser);
  }

  #hostFor(input: Input<"book">): Uri {
    if (input.user) return this.#world.user(input.user).uri;
    if (input.event) return hostsOf(this.#world.event(input.event))[0];
    if (!input.event_type) return this.defaultUser;
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
