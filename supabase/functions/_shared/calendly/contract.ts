/**
 * The contract between the SQL functions and the Edge Functions: what each RPC takes, and the schema of
 * what it answers. The types of the answers are inferred from here, and Database.call parses by it.
 */
import { z } from "zod";
import { ApiError, APPLY_MIGRATIONS } from "./errors.ts";

/** What a function needs to speak to Calendly for a connection: see calendly.credential. */
export const Credential = z.object({
  connection_id: z.string(),
  kind: z.enum(["personal_access_token", "oauth"]),
  token_jwe: z.string(),
  version: z.number(),
  expires_soon: z.boolean(),
});
export type Credential = z.infer<typeof Credential>;

/** What a person chooses for a connection: see calendly_connect. */
export const ConnectionChoice = z.object({
  scope: z.enum(["user", "organization"]),
  members: z.enum(["accounts", "everyone"]),
  replace: z.boolean(),
});
export type ConnectionChoice = z.infer<typeof ConnectionChoice>;

/** What calendly-connect answers: see calendly.connection_status. */
export const ConnectionStatus = z.looseObject({
  state: z.enum(["active", "reconnect_required", "disconnected"]),
  scope: z.enum(["user", "organization"]).nullable(),
  user_id: z.number().nullable(),
});

const SyncType = z.enum(["FULL", "INCREMENTAL"]);

/** What POST /calendly-sync answers, but for duration_ms: see calendly.run_result. */
export const RunResult = z.looseObject({
  run_id: z.string(),
  sync_type: SyncType,
  status: z.enum(["complete", "paused"]),
  created: z.number(),
  updated: z.number(),
  deleted: z.number(),
});
export type RunResult = z.infer<typeof RunResult>;

const numbered = { step: z.number(), wait_seconds: z.number() };
const Finish = z.object({ do: z.literal("finish"), ...numbered });
const Stop = z.object({
  do: z.literal("stop"),
  result: RunResult,
  initial_sync_complete: z.boolean().optional(),
});
export type Stop = z.infer<typeof Stop>;

const eventUris = z.array(z.string());
/** So many requests may run at once, and so many may be made before Postgres is asked again. */
const reading = {
  ...numbered,
  concurrency: z.int().positive(),
  requests_left: z.int().positive().optional(),
};

/**
 * A step that asks Calendly for something: see calendly.next_step. `ahead` is what may be read while
 * Postgres applies what the step brought: the next page of the listing, the invitees of these events.
 */
export const Step = z.discriminatedUnion("do", [
  z.object({
    do: z.literal("list_events"),
    query: z.record(z.string(), z.string()),
    ahead: z.boolean(),
    ...reading,
  }),
  z.object({ do: z.literal("fetch_events"), event_uris: eventUris, ...reading }),
  z.object({
    do: z.literal("fetch_invitees"),
    event_uris: eventUris,
    ahead: z.object({ event_uris: eventUris }),
    ...reading,
  }),
]);
export type Step = z.infer<typeof Step>;

/** What comes next in a run. */
export const Next = z.discriminatedUnion("do", [...Step.options, Finish, Stop]);
export type Next = z.infer<typeof Next>;

const InProgress = z.object({ status: z.literal("in_progress"), run_id: z.string() });
const Idle = z.object({ status: z.literal("idle") });
const NothingDue = Idle.extend({ revocations_due: z.boolean() });
/** A run that this worker has the lease of. `next` is a Next: parsed later, so that the run is told of it. */
const Started = z.object({
  status: z.literal("started"),
  run_id: z.string(),
  lease: z.string(),
  user_id: z.number(),
  sync_type: SyncType,
  range_in_words: z.string(),
  credential: Credential,
  review_webhooks: z.boolean(),
  next: z.unknown(),
});
export type Started = z.infer<typeof Started>;
const Begun = z.discriminatedUnion("status", [InProgress, Started]);
const Claimed = z.discriminatedUnion("status", [NothingDue, InProgress, Started]);

const Refresh = z.discriminatedUnion("status", [
  z.object({ status: z.literal("refresh") }),
  z.object({ status: z.literal("wait") }),
  z.object({ status: z.literal("renewed"), credential: Credential }),
]);

const BegunSubscription = z.object({
  id: z.string(),
  connection_id: z.string(),
  credential: Credential,
});

/** What a connection subscribes to, as Calendly's parameters: see calendly_subscription_query. */
const SubscriptionSubject = z.object({
  organization: z.string(),
  scope: z.enum(["user", "organization"]),
  user: z.string().optional(),
});
export type SubscriptionSubject = z.infer<typeof SubscriptionSubject>;

/** What an ended connection has left at Calendly: see calendly.pending_revocations. */
const Revocation = z.object({
  status: z.literal("claimed"),
  id: z.string(),
  credential: Credential,
  subscription_uris: z.array(z.string()),
  unanswered_ids: z.array(z.string()),
  subject: SubscriptionSubject.nullable(),
});
export type Revocation = z.infer<typeof Revocation>;

/** What became of a delivery: see calendly_receive_webhook. */
export const ReceivedDelivery = z.object({
  status: z.enum(["processed", "duplicate", "ignored", "deferred"]),
  event_id: z.string(),
  created: z.boolean().nullish(),
  error: z.object({ code: z.string(), message: z.string() }).nullish(),
});
export type ReceivedDelivery = z.infer<typeof ReceivedDelivery>;

const HealthStatus = z.enum(["healthy", "unhealthy"]);
/** What the database says of itself. `version` is absent in one that does not know its version yet. */
const Health = z.looseObject({ status: HealthStatus, version: z.string().nullish() });

/** The figures of a moment: see calendly_metrics. Times are in seconds. */
const Metrics = z.object({
  status: HealthStatus,
  version: z.string().nullish(),
  alerts: z.array(z.object({ code: z.string(), severity: z.string(), count: z.number() })),
  users: z.number(),
  never_synced: z.number(),
  staleness_p50: z.number().nullable(),
  staleness_p95: z.number().nullable(),
  staleness_max: z.number().nullable(),
  due: z.number(),
  running_workers: z.number(),
  max_workers: z.number(),
  ticked_at: z.number().nullable(),
});
export type Metrics = z.infer<typeof Metrics>;

const nothing = z.unknown();

/** How long Postgres lets a statement of an API role run, unless the function itself sets a limit. */
const USUAL_SECONDS = 8;
/** The limit that the functions set whose work may take longer. */
const LONG_SECONDS = 30;

function rpc<const Argument extends string, Answer extends z.ZodType>(
  parameters: Argument[],
  answer: Answer,
  seconds = USUAL_SECONDS,
) {
  return { parameters, answer, seconds };
}

/**
 * The SQL functions that the Edge Functions call: their parameters, the schema of their answer and how
 * long Postgres lets them run.
 */
export const RPC = {
  calendly_begin_sync: rpc(["request"], Begun, LONG_SECONDS),
  calendly_claim_sync: rpc(["request"], Claimed, LONG_SECONDS),
  calendly_apply_step: rpc(["run_id", "lease", "step", "result"], Next, LONG_SECONDS),
  calendly_finish_sync: rpc(["run_id", "lease"], Next, LONG_SECONDS),
  calendly_fail_sync: rpc(["run_id", "lease", "error", "requests"], nothing, LONG_SECONDS),
  calendly_health: rpc([], Health, LONG_SECONDS),
  calendly_metrics: rpc([], Metrics, LONG_SECONDS),

  calendly_prepare_connection: rpc(
    ["calendly_user_uri"],
    z.object({ connection_id: z.string() }),
  ),
  calendly_connect: rpc(["connection"], ConnectionStatus, LONG_SECONDS),
  calendly_connection_status: rpc(["request"], ConnectionStatus),
  calendly_disconnect: rpc(["request"], ConnectionStatus, LONG_SECONDS),
  calendly_start_oauth: rpc(["request"], nothing),
  calendly_take_oauth_state: rpc(
    ["auth_user_id", "state_digest"],
    ConnectionChoice.extend({ id: z.string(), verifier_jwe: z.string() }),
  ),

  calendly_begin_refresh: rpc(["connection_id", "version"], Refresh),
  calendly_finish_refresh: rpc(
    ["connection_id", "version", "token_jwe", "expires_in"],
    Credential.nullable(),
  ),
  calendly_fail_refresh: rpc(["connection_id", "version", "error"], nothing),
  calendly_list_credentials: rpc(
    ["after"],
    z.array(Credential.extend({ webhook_key_id: z.string().nullable() })),
  ),
  calendly_reencrypt: rpc(["connection_id", "version", "token_jwe"], z.boolean()),

  calendly_begin_subscription: rpc(["request"], BegunSubscription),
  calendly_keep_subscription: rpc(
    ["id", "uri", "key_id"],
    z.object({ replaced: z.array(z.string()) }),
  ),
  calendly_abandon_subscription: rpc(["id", "error"], nothing),
  calendly_subscription_query: rpc(["connection_id", "organization"], SubscriptionSubject),
  calendly_fail_review: rpc(["connection_id", "error"], nothing),
  calendly_review_subscriptions: rpc(
    ["connection_id", "listed", "key_id"],
    z.object({ make: z.boolean(), delete: z.array(z.string()) }),
  ),
  calendly_disable_webhooks: rpc(
    ["request"],
    z.object({
      ended: z.array(z.string()),
      credential: Credential.nullable(),
      status: ConnectionStatus,
    }),
  ),
  calendly_claim_revocation: rpc(
    ["project_url"],
    z.discriminatedUnion("status", [Idle, Revocation]),
  ),
  calendly_finish_revocation: rpc(["id"], nothing),

  calendly_receive_webhook: rpc(["delivery"], ReceivedDelivery),
};

export type RpcName = keyof typeof RPC;
export type Arguments<Name extends RpcName> = {
  [Parameter in (typeof RPC)[Name]["parameters"][number]]: unknown;
};
export type Answer<Name extends RpcName> = z.infer<(typeof RPC)[Name]["answer"]>;

/**
 * What SQL answered, by its schema. A word that is not in the contract, such as an unknown step, comes
 * from a newer database: functions_outdated. A key that is missing: database_outdated.
 */
export function parseAnswer<T>(schema: z.ZodType<T>, answer: unknown, from: string): T {
  const parsed = schema.safeParse(answer, { reportInput: true });
  if (parsed.success) return parsed.data;
  const unknownWord = parsed.error.issues.find(isUnknownWord);
  const { path } = unknownWord ?? parsed.error.issues[0];
  const place = [from, ...path].join(".");
  throw unknownWord ? functionsOutdated(place) : new ApiError(
    "database_outdated",
    `The database's functions are older than the Edge Functions: ${place} is missing.`,
    APPLY_MIGRATIONS,
  );
}

/** The database asks for something that these Edge Functions do not know. */
export function functionsOutdated(place: string): ApiError {
  return new ApiError(
    "functions_outdated",
    `The Edge Functions are older than the database's: they do not know this value of ${place}.`,
    "Deploy the Edge Functions that belong to these migrations: `calendly-sync deploy`, or `npx supabase functions deploy calendly-sync calendly-connect calendly-webhook --use-api`. Syncs go on by themselves then.",
  );
}

/** Of an enumeration or of the key that tells objects apart, there is a value, and it is not listed. */
function isUnknownWord(issue: z.core.$ZodIssue): boolean {
  if (issue.code === "invalid_value") return typeof issue.input === "string";
  if (issue.code !== "invalid_union" || !("discriminator" in issue)) return false;
  const { input, discriminator } = issue as { input?: unknown; discriminator?: string };
  return typeof (input as Record<string, unknown> | undefined)?.[discriminator!] === "string";
}
