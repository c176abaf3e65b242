/**
 * What the webhooks' tests share: projects whose webhooks are signed with a known key, and Calendly's
 * side of a delivery, by the sandbox or by hand.
 */
import { createHmac } from "node:crypto";
import { readLogLine } from "../../cli/terminal.ts";
import type { DeliverOptions, ScheduledEvent } from "../../sandbox/mod.ts";
import { type Answer, type Person, Project, projectTest } from "../functions/support.ts";
import type { StackTestOptions } from "../harness/stack.ts";

export const SIGNING_KEY = "the signing key of a subscription made by hand";

export const EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
];

/** Registers a test once per database; CALENDLY_WEBHOOK_SIGNING_KEY is SIGNING_KEY. */
export function hookTest(
  name: string,
  test: (hooks: Hooks, t: Deno.TestContext) => Promise<unknown>,
  { env, ...options }: StackTestOptions = {},
): void {
  projectTest(
    name,
    (project, t) => test(new Hooks(project), t),
    { ...options, env: { CALENDLY_WEBHOOK_SIGNING_KEY: SIGNING_KEY, ...env } },
  );
}

/** How a body is signed and sent. */
export interface Sending {
  key?: string;
  /** Seconds since 1970; the clock's unless given. */
  at?: number;
  /** What follows /functions/v1/calendly-webhook. */
  path?: string;
  /** More headers, or other ones; null leaves one out. */
  headers?: Record<string, string | null>;
}

/** Calendly's side of the webhooks of a project. */
export class Hooks {
  #heard = 0;

  constructor(readonly project: Project) {}

  get control() {
    return this.project.sandbox.control;
  }

  /** Somebody connected, whose bookings are delivered. */
  async person(): Promise<Person> {
    const person = await this.project.person();
    await this.subscribe(person);
    return person;
  }

  /** Makes a subscription for the person's bookings, or the organization's, as its member. */
  async subscribe(
    person: Person,
    { scope = "user", path = "", key = SIGNING_KEY as string }: {
      scope?: "user" | "organization";
      path?: string;
      key?: string;
    } = {},
  ): Promise<void> {
    const { uri, current_organization } = this.project.sandbox.truth().users
      .find((user) => user.uri === person.host.uri)!;
    const response = await this.project.sandbox.fetch(
      new Request("https://api.calendly.com/webhook_subscriptions", {
        method: "POST",
        headers: { authorization: `Bearer ${person.token}` },
        body: JSON.stringify({
          url: this.url(path),
          events: EVENTS,
          organization: current_organization,
          scope,
          ...scope === "user" && { user: uri },
          signing_key: key,
        }),
      }),
    );
    if (response.status !== 201) throw new Error(await response.text());
  }

  url(path = ""): string {
    // Unique, as Calendly wants it.
    const second = this.project.sandbox.truth().webhook_subscriptions.length;
    return `${this.project.stack.url}/functions/v1/calendly-webhook${path}?subscription=${second}`;
  }

  /** Has the sandbox send what is due; the statuses that it got, in the order sent. */
  async deliver(options: DeliverOptions = {}, which: "due" | "all" | string[] = "due") {
    const sent = await this.control.deliver(which, options);
    return sent.map(({ attempts }) => attempts.at(-1)!.status);
  }

  /** Takes what is due out of the sandbox's hands: the texts that it would have sent. */
  async take(): Promise<string[]> {
    return (await this.control.deliver("due", { drop: true })).map(({ body }) => body);
  }

  /** Sends a body as Calendly would. */
  send(body: unknown, sending: Sending = {}): Promise<Answer> {
    const { path = "", headers = {}, key = SIGNING_KEY, at = this.now() } = sending;
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const all = { "calendly-webhook-signature": sign(text, key, at), ...headers };
    return this.project.fetch(`calendly-webhook${path}`, {
      method: "POST",
      body: text,
      headers: Object.fromEntries(
        Object.entries(all).filter((header): header is [string, string] => header[1] !== null),
      ),
    });
  }

  /** The clock's time in seconds since 1970. */
  now(): number {
    return Number(this.project.sandbox.clock.now() / 1_000_000n);
  }

  /** Rows of `calendly_webhook_events`, by the time of arrival. */
  // deno-lint-ignore no-explicit-any -- rows of any query
  events(): Promise<any[]> {
    return this.project.stack.sql(
      "select * from public.calendly_webhook_events order by created_at, event_id",
    );
  }

  /** The texts that the function has logged, without their fields; and forgets them. */
  said(): string[] {
    const lines = this.project.stack.functions.logs("calendly-webhook");
    return lines.slice(this.#heard, this.#heard = lines.length)
      .map((line) => readLogLine(line).message);
  }

  /** A new subscription of ours for the person: the id at the end of its URL. */
  async registerSubscription(person: Person): Promise<string> {
    const [{ id }] = await this.project.stack.sql(
      `insert into calendly.webhook_subscriptions (id, connection_id, created_at)
       select gen_random_uuid(), c.id, calendly.now() from public.calendly_connections c
       where c.user_id = $1 returning id`,
      [person.id],
    );
    return id;
  }
}

/** An event without what a webhook's payload does not hold of it: the calendar entry, hosts' buffers. */
export function asDelivered({ calendar_event: _, ...event }: ScheduledEvent) {
  return {
    ...event,
    event_memberships: event.event_memberships.map(
      ({ buffered_start_time: _, buffered_end_time: __, ...host }) => host,
    ),
  };
}

/** `t=…,v1=…`, as the header has it. */
export function sign(body: string | Uint8Array, key: string, at: number): string {
  return `t=${at},v1=${digest(body, key, at)}`;
}

export function digest(body: string | Uint8Array, key: string, at: number): string {
  return createHmac("sha256", key).update(`${at}.`).update(body).digest("hex");
}

/** Keeps what this process would print to itself. */
export function silence(): Disposable {
  const { log, error } = console;
  console.log = console.error = () => {};
  return { [Symbol.dispose]: () => void Object.assign(console, { log, error }) };
}
