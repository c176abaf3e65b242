/**
 * The state of a sandbox as JSON, so that it can be kept in a file: everything that decides what happens
 * next, down to the random numbers that come. Rows are checked only for being rows: a state is written by
 * the sandbox, not by hand.
 */
import { z } from "zod";
import { formatTime, Micros, parseTime, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import type { ActiveFault } from "./faults.ts";
import type { LoggedRequest } from "./request_log.ts";
import type {
  EventType,
  Group,
  Invitee,
  InviteeNoShow,
  Membership,
  Organization,
  ScheduledEvent,
  User,
  WebhookSubscription,
} from "./resources.ts";
import type { OAuthApp } from "./tokens.ts";
import type { Delivery, WebhookFault } from "./webhooks.ts";

/** An object with text in these fields. */
const object = <T>(...fields: (keyof T & string)[]) =>
  z.custom<T>((value) =>
    typeof value === "object" && value !== null &&
    fields.every((field) => typeof (value as T)[field] === "string")
  );

const Uris = z.array(z.string());
/** A time with microseconds. */
const At = z.string().refine((text) => parseTime(text) !== null);
const Random = z.int();

export const WorldState = z.strictObject({
  random: Random,
  users: z.array(object<User>("uri")),
  organizations: z.array(object<Organization>("uri")),
  memberships: z.array(object<Membership>("uri")),
  groups: z.array(z.strictObject({ resource: object<Group>("uri"), members: Uris, admins: Uris })),
  event_types: z.array(z.strictObject({
    resource: object<EventType>("uri"),
    organization: z.string(),
    hosts: Uris,
    seats: z.int(),
    buffer_minutes: z.int(),
  })),
  events: z.array(z.strictObject({
    resource: object<ScheduledEvent>("uri"),
    organization: z.string(),
    invitees: z.array(object<Invitee>("uri")),
    conference_ready_at: At.nullable(),
  })),
  no_shows: z.array(object<InviteeNoShow>("uri")),
  /** JSON has no undefined, so the fields that are served as absent are named. */
  overrides: z.array(z.strictObject({
    uri: z.string(),
    fields: z.record(z.string(), z.unknown()),
    absent: z.array(z.string()),
  })),
});

export const TokensState = z.strictObject({
  random: Random,
  apps: z.array(object<OAuthApp>("client_id", "client_secret")),
  codes: z.array(z.strictObject({
    code: z.string(),
    client_id: z.string(),
    user: z.string(),
    scopes: z.array(z.string()),
    redirect_uri: z.string(),
    code_challenge: z.string(),
    expires_at: At,
    used: z.boolean(),
  })),
  tokens: z.array(z.strictObject({
    token: z.string(),
    client_id: z.string().nullable(),
    user: z.string(),
    scopes: z.array(z.string()),
    created_at: At,
    expires_at: At.nullable(),
    revoked: z.boolean(),
    refresh_token: z.string().nullable(),
    refreshed: z.boolean(),
  })),
});

export const WebhooksState = z.strictObject({
  random: Random,
  automatic: z.boolean(),
  made: z.int(),
  fault: object<WebhookFault>("effect").nullable().default(null),
  subscriptions: z.array(z.strictObject({
    resource: object<WebhookSubscription>("uri"),
    signing_key: z.string().nullable(),
    failing_since: At.nullable(),
  })),
  deliveries: z.array(object<Delivery>("id", "subscription", "url", "body", "state")),
});

export const RateLimitState = z.strictObject({
  limits: z.array(z.strictObject({ user: z.string(), limit: z.int().nullable() })),
  windows: z.array(z.strictObject({ user: z.string(), started: At, used: z.int() })),
});

export const ClockState = z.discriminatedUnion("pinned", [
  z.strictObject({ pinned: z.literal(true), now: At }),
  z.strictObject({
    pinned: z.literal(false),
    /** Microseconds before real time, or with a minus behind it. */
    ahead: z.string().regex(/^-?\d{1,20}$/),
    latest_write: At,
  }),
]);

export const SavedState = z.strictObject({
  calendly_sandbox: z.literal(1),
  clock: ClockState,
  demo: z.strictObject({
    user: z.string(),
    organization: z.string(),
    token: z.string(),
    client_id: z.string(),
  }),
  world: WorldState,
  tokens: TokensState,
  token_requests: z.array(z.strictObject({ user: z.string(), at: z.array(At) })),
  webhooks: WebhooksState,
  rate_limit: RateLimitState,
  faults: z.strictObject({
    rules: z.array(object<ActiveFault>()),
    expired_page_tokens: z.array(z.string()),
  }),
  requests: z.array(object<LoggedRequest>("at", "method", "path")),
});

export type WorldState = z.infer<typeof WorldState>;
export type TokensState = z.infer<typeof TokensState>;
export type WebhooksState = z.infer<typeof WebhooksState>;
export type RateLimitState = z.infer<typeof RateLimitState>;
export type ClockState = z.infer<typeof ClockState>;
export type SavedState = z.infer<typeof SavedState>;

/** The state in what was read from a file; refuses what is none. */
export function readState(value: unknown): SavedState {
  const { data, error } = SavedState.safeParse(value);
  if (data) return structuredClone(data);
  const [{ path, message }] = error.issues;
  throw badState([path.join("."), message].filter(Boolean).join(": "));
}

export function badState(reason: string): SandboxError {
  return new SandboxError(
    "bad_state",
    `This is no state of a sandbox. ${reason}`,
    "Give what GET /_sandbox/save or save() returned, unchanged and of this version.",
  );
}

/** For times that may be missing. */
export const saveTime = (at: Micros | null) => at === null ? null : formatTime(at);
export const loadTime = (text: string | null) => text === null ? null : time(text);
