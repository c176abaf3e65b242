/**
 * Webhook subscriptions and deliveries as Calendly makes them: signed, with whole-second envelope
 * times and nothing that names the delivery; retried with back-off for 24 hours of the virtual clock;
 * a subscription without any success for 24 hours is disabled for good, and the answer 410 deletes it.
 */
import { createHmac } from "node:crypto";
import { clearTimeout, setTimeout } from "node:timers";
import { z } from "zod";
import { Clock, duration, formatTime, Micros, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import { Random } from "./random.ts";
import { BookingEvent, Uri, uri, WebhookSubscription } from "./resources.ts";
import { bookingPayload } from "./serialize.ts";
import { loadTime, saveTime, type WebhooksState } from "./state.ts";
import { Duration } from "./values.ts";
import { EventRecord, hostsOf, World } from "./world.ts";
import type { Invitee, ScheduledEvent } from "./resources.ts";

/** The answer that deletes the subscription, so that nothing of it is sent again. */
const GONE = 410;
/** Calendly's read time-out. */
const TIMEOUT_MS = 15_000;
const GIVE_UP_AFTER = duration("24h");
/** Calendly tells no schedule: here 10 s, then twice as long each time, at most an hour. */
const FIRST_RETRY = duration("10s");
const LONGEST_WAIT = duration("1h");

export interface Delivery {
  /** For the control API only: Calendly sends no such thing. */
  id: string;
  subscription: Uri;
  event: BookingEvent;
  url: string;
  headers: Record<string, string>;
  /** The very text that is sent, at every attempt. */
  body: string;
  created_at: string;
  state: "pending" | "delivered" | "given_up" | "dropped";
  /** When the next attempt is due; null once there is none. */
  next_attempt_at: string | null;
  /** Those that have ended. */
  attempts: { at: string; answered_at: string; status: number | null; error?: string }[];
}

const Ids = z.array(z.string().min(1));

export const DeliverInput = z.strictObject({
  which: z.union([z.string().min(1), Ids], 'must be "due", "all", an id, or a list of ids')
    .describe("what is due, all that were ever made, or the named ones"),
  order: z.union(
    [z.enum(["created", "reversed", "shuffled"]), Ids],
    "must be created, reversed, shuffled, or a list of ids",
  ).describe("as they were made unless given"),
  duplicate: z.union([z.boolean(), z.int().min(0).max(100)], "must be a number up to 100")
    .describe("sends each this many times more than once"),
  drop: z.boolean().describe("loses them: nothing is sent and nothing retried"),
  // Whether Calendly signs anew at a retry is not known.
  resign: z.boolean().describe("signs with the time of this attempt"),
}).partial();

export const WebhookFaultInput = z.strictObject({
  effect: z.enum(["lost", "late"]).nullable().describe("null ends it"),
  delay: Duration.describe("how late (1m)").optional(),
});

/** What becomes of the webhooks that are made from now on. */
export interface WebhookFault {
  effect: "lost" | "late";
  delay: string | number;
}

export type DeliverOptions = Omit<z.input<typeof DeliverInput>, "which">;

export interface WebhookOptions {
  /** Send at once and retry by timers; otherwise only `deliver` sends. */
  automatic: boolean;
  fetch: typeof fetch;
}

interface Subscription {
  resource: WebhookSubscription;
  signingKey: string | null;
  failingSince: Micros | null;
}

export class Webhooks {
  readonly #world: World;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: WebhookOptions;
  readonly #subscriptions = new Map<Uri, Subscription>();
  readonly #deliveries = new Map<string, Delivery>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #underWay = new Set<Promise<unknown>>();
  #made = 0;
  /** Is called when an attempt to deliver has ended. */
  onAttempt: () => void = () => {};
  /** Only of what is made from now on. */
  fault: WebhookFault | null = null;

  constructor(world: World, options: WebhookOptions) {
    this.#world = world;
    this.#clock = world.clock;
    // Of its own, so that shuffling deliveries does not change what is booked next.
    this.#random = new Random(world.random.int(0, 2 ** 31));
    this.#options = options;
    this.#clock.onMove(() => this.#reschedule());
  }

  save(): WebhooksState {
    return {
      random: this.#random.state,
      automatic: this.#options.automatic,
      made: this.#made,
      fault: this.fault,
      subscriptions: [...this.#subscriptions.values()].map((subscription) => ({
        resource: subscription.resource,
        signing_key: subscription.signingKey,
        failing_since: saveTime(subscription.failingSince),
      })),
      deliveries: [...this.#deliveries.values()],
    };
  }

  /** A delivery that was being sent when the state was saved is sent again. */
  load(state: WebhooksState): void {
    this.#random.state = state.random;
    this.#made = state.made;
    this.fault = state.fault;
    for (const { resource, signing_key, failing_since } of state.subscriptions) {
      this.#subscriptions.set(resource.uri, {
        resource,
        signingKey: signing_key,
        failingSince: loadTime(failing_since),
      });
    }
    for (const delivery of state.deliveries) {
      this.#deliveries.set(delivery.id, delivery);
      this.#schedule(delivery);
    }
  }

  // Subscriptions

  subscriptions(): WebhookSubscription[] {
    this.#disableFailing();
    return [...this.#subscriptions.values()].map((subscription) => subscription.resource);
  }

  subscription(reference: Uri): WebhookSubscription | undefined {
    this.#disableFailing();
    return this.#subscriptions.get(reference)?.resource;
  }

  subscribe(
    fields: Pick<
      WebhookSubscription,
      "callback_url" | "creator" | "events" | "group" | "organization" | "scope" | "user"
    >,
    signingKey: string | null,
  ): WebhookSubscription {
    const at = this.#world.stamp();
    const resource: WebhookSubscription = {
      callback_url: fields.callback_url,
      created_at: at,
      creator: fields.creator,
      events: fields.events,
      group: fields.group,
      organization: fields.organization,
      retry_started_at: null,
      scope: fields.scope,
      state: "active",
      updated_at: at,
      uri: uri("webhook_subscriptions", this.#world.random.uuid()),
      user: fields.user,
    };
    this.#subscriptions.set(resource.uri, { resource, signingKey, failingSince: null });
    return resource;
  }

  unsubscribe(reference: Uri): void {
    this.#subscriptions.delete(reference);
    this.#giveUp(reference);
  }

  /** A user's own subscriptions stop when the user is removed; the organization's go on. */
  stopFor(user: Uri): void {
    for (const { resource } of this.#subscriptions.values()) {
      if (resource.scope === "user" && resource.user === user) this.#disable(resource);
    }
  }

  // Deliveries

  /** Queues one delivery for every subscription that covers the booking. */
  announce(
    type: BookingEvent,
    { event, invitee }: { event: EventRecord; invitee: Invitee },
    asOf?: ScheduledEvent,
  ): void {
    for (const subscription of this.#subscriptions.values()) {
      const { resource } = subscription;
      if (resource.state !== "active" || !resource.events.includes(type)) continue;
      if (!this.#covers(resource, event)) continue;
      const now = this.#clock.now();
      const body = JSON.stringify({
        created_at: formatTime(wholeSecond(now)),
        created_by: resource.creator,
        event: type,
        payload: bookingPayload(this.#world, event, invitee, asOf),
      });
      const delivery: Delivery = {
        id: `delivery-${++this.#made}`,
        subscription: resource.uri,
        event: type,
        url: resource.callback_url,
        headers: headers(body, subscription.signingKey, now),
        body,
        created_at: formatTime(now),
        state: "pending",
        next_attempt_at: formatTime(now + this.#delay()),
        attempts: [],
      };
      if (this.fault?.effect === "lost") {
        Object.assign(delivery, { state: "dropped", next_attempt_at: null });
      }
      this.#deliveries.set(delivery.id, delivery);
      this.#schedule(delivery);
    }
  }

  #delay(): Micros {
    return this.fault?.effect === "late" ? duration(this.fault.delay) : 0n;
  }

  /** The last so many, the latest first. */
  latest(count: number): Delivery[] {
    this.#disableFailing();
    return [...this.#deliveries.values()].slice(-count).reverse();
  }

  deliveries(): Delivery[] {
    this.#disableFailing();
    return [...this.#deliveries.values()];
  }

  /** What is due now: the first attempts, and the retries whose time has come. */
  due(): Delivery[] {
    const now = formatTime(this.#clock.now());
    return this.deliveries().filter((delivery) =>
      delivery.state === "pending" && delivery.next_attempt_at! <= now
    );
  }

  /**
   * Sends deliveries, one after the other: those that are due, all that were ever made (a replay), or
   * the named ones.
   */
  async deliver(
    which: "due" | "all" | string | string[],
    options: DeliverOptions = {},
  ): Promise<Delivery[]> {
    const chosen = this.#inOrder(this.#choose(which), options.order ?? "created");
    const copies = 1 + Number(options.duplicate ?? 0);
    for (const delivery of chosen) {
      if (options.drop) this.#end(delivery, "dropped");
      else for (let i = 0; i < copies; i++) await this.#attempt(delivery, options.resign);
    }
    return chosen;
  }

  /** Resolves when no automatic delivery is being sent. */
  async settled(): Promise<void> {
    do {
      // A first attempt waits for its timer, even if that is due at once.
      await new Promise((resolve) => setTimeout(resolve, 0));
      await Promise.all(this.#underWay);
    } while (this.#underWay.size > 0);
  }

  /** Stops the timers; a delivery that is being sent ends by itself. */
  close(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** How many active ones a booking of this host would be sent to now. */
  subscribersOf(host: Uri): number {
    const organization = this.#world.user(host).current_organization;
    return this.subscriptions()
      .filter((one) => one.state === "active" && this.#coversHosts(one, organization, [host]))
      .length;
  }

  #covers(subscription: WebhookSubscription, event: EventRecord): boolean {
    return this.#coversHosts(subscription, event.organization, hostsOf(event));
  }

  #coversHosts(subscription: WebhookSubscription, organization: Uri, hosts: Uri[]): boolean {
    if (subscription.organization !== organization) return false;
    if (subscription.scope === "organization") return true;
    if (subscription.scope === "user") return hosts.includes(subscription.user!);
    const members = this.#world.groups.get(subscription.group!)?.members ?? [];
    return hosts.some((host) => members.includes(host));
  }

  #choose(which: "due" | "all" | string | string[]): Delivery[] {
    if (which === "due") return this.due();
    if (which === "all") return this.deliveries();
    return [which].flat().map((id) => {
      const delivery = this.#deliveries.get(id);
      if (!delivery) {
        throw new SandboxError("not_found", `There is no delivery ${id}.`, "See `deliveries`.");
      }
      return delivery;
    });
  }

  #inOrder(chosen: Delivery[], order: NonNullable<DeliverOptions["order"]>): Delivery[] {
    if (order === "reversed") return chosen.toReversed();
    if (order === "shuffled") return this.#random.shuffle(chosen);
    if (order === "created") return chosen;
    const place = (delivery: Delivery) => {
      const at = order.indexOf(delivery.id);
      return at < 0 ? Infinity : at;
    };
    return chosen.toSorted((a, b) => place(a) - place(b));
  }

  async #attempt(delivery: Delivery, resign = false): Promise<void> {
    const subscription = this.#subscriptions.get(delivery.subscription);
    const now = this.#clock.now();
    if (resign) delivery.headers = headers(delivery.body, subscription?.signingKey ?? null, now);
    const at = formatTime(now);
    const attempt: Delivery["attempts"][number] = { at, answered_at: at, status: null };
    try {
      const response = await this.#options.fetch(delivery.url, {
        method: "POST",
        headers: delivery.headers,
        body: delivery.body,
        redirect: "manual",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      await response.body?.cancel();
      attempt.status = response.status;
    } catch (error) {
      attempt.error = error instanceof Error ? error.message : String(error);
    }
    attempt.answered_at = formatTime(this.#clock.now());
    delivery.attempts.push(attempt);
    const accepted = attempt.status !== null && attempt.status >= 200 && attempt.status < 300;
    if (attempt.status === GONE) this.unsubscribe(delivery.subscription);
    else if (accepted) {
      if (subscription) subscription.failingSince = null;
      this.#end(delivery, "delivered");
    } else if (delivery.state === "pending") {
      this.#failed(delivery, subscription, now);
    }
    this.onAttempt();
  }

  #failed(delivery: Delivery, subscription: Subscription | undefined, now: Micros): void {
    if (subscription && subscription.failingSince === null) {
      subscription.failingSince = now;
      subscription.resource.retry_started_at = formatTime(now);
    }
    const wait = FIRST_RETRY << BigInt(delivery.attempts.length - 1);
    const next = now + (wait < LONGEST_WAIT ? wait : LONGEST_WAIT);
    if (next > time(delivery.created_at) + GIVE_UP_AFTER) this.#end(delivery, "given_up");
    else {
      delivery.next_attempt_at = formatTime(next);
      this.#schedule(delivery);
    }
    this.#disableFailing();
  }

  #end(delivery: Delivery, state: Delivery["state"]): void {
    delivery.state = state;
    delivery.next_attempt_at = null;
    clearTimeout(this.#timers.get(delivery.id));
    this.#timers.delete(delivery.id);
  }

  #disableFailing(): void {
    const now = this.#clock.now();
    for (const { resource, failingSince } of this.#subscriptions.values()) {
      if (failingSince === null || resource.state === "disabled") continue;
      if (now - failingSince >= GIVE_UP_AFTER) this.#disable(resource);
    }
    for (const delivery of this.#deliveries.values()) {
      if (delivery.state !== "pending") continue;
      if (now > time(delivery.created_at) + GIVE_UP_AFTER) this.#end(delivery, "given_up");
    }
  }

  #disable(subscription: WebhookSubscription): void {
    subscription.state = "disabled";
    subscription.updated_at = this.#world.stamp();
    this.#giveUp(subscription.uri);
  }

  #giveUp(subscription: Uri): void {
    for (const delivery of this.#deliveries.values()) {
      if (delivery.subscription === subscription && delivery.state === "pending") {
        this.#end(delivery, "given_up");
      }
    }
  }

  /** In automatic mode, a timer for the delivery's next attempt. */
  #schedule(delivery: Delivery): void {
    if (!this.#options.automatic || delivery.next_attempt_at === null) return;
    clearTimeout(this.#timers.get(delivery.id));
    const wait = Number(time(delivery.next_attempt_at) - this.#clock.now()) / 1000;
    const timer = setTimeout(() => {
      this.#timers.delete(delivery.id);
      const attempt = this.#attempt(delivery).finally(() => this.#underWay.delete(attempt));
      this.#underWay.add(attempt);
    }, Math.max(0, wait));
    timer.unref();
    this.#timers.set(delivery.id, timer);
  }

  #reschedule(): void {
    for (const id of [...this.#timers.keys()]) this.#schedule(this.#deliveries.get(id)!);
  }
}

/** Calendly's signature: HMAC-SHA256 over the second, a dot and the body; no key, no header. */
export function sign(body: string, key: string, at: Micros): string {
  const second = at / 1_000_000n;
  const digest = createHmac("sha256", key).update(`${second}.${body}`).digest("hex");
  return `t=${second},v1=${digest}`;
}

function headers(body: string, key: string | null, at: Micros): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": "Calendly",
    ...(key !== null && { "calendly-webhook-signature": sign(body, key, at) }),
  };
}

function wholeSecond(at: Micros): Micros {
  return at - at % 1_000_000n;
}
