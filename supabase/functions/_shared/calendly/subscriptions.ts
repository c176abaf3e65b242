/**
 * Webhook subscriptions at Calendly: created, reviewed and ended. One cannot be changed or revived and its
 * URL must be unique, so the new one is created before the old one is deleted.
 */
import { Calendly, RequestRefused, TemporaryFailure } from "./api.ts";
import type { Answer, Credential, Revocation, SubscriptionSubject } from "./contract.ts";
import { ConnectionToken, RevocableToken } from "./credential.ts";
import type { Database } from "./database.ts";
import { DELIVERED_EVENTS, deliveryUrl } from "./delivery.ts";
import { notConfigured, setting } from "./environment.ts";
import { ApiError, toApiError } from "./errors.ts";
import { currentKeys } from "./keys.ts";
import { log, logError, messageOf } from "./log.ts";
import { revokeToken } from "./oauth.ts";

/**
 * Creates the subscription of a connection, and ends the one before it. Errors: not_connected,
 * reconnect_required, webhooks_need_plan, webhooks_need_role, webhooks_refused, scope_missing,
 * no_organization, organization_left, token_refused, calendly_unavailable, project_moved, not_configured.
 */
export async function createSubscription(
  database: Database,
  connection: { connection_id: string } | { user_id?: number; auth_user_id?: string },
  knownSubject?: SubscriptionSubject,
): Promise<void> {
  const begun = await database.call("calendly_begin_subscription", {
    request: { ...connection, project_url: setting("SUPABASE_URL") },
  });
  const calendly = new Calendly(new ConnectionToken(database, begun.credential));
  let uri: string;
  try {
    uri = await createAtCalendly(database, calendly, begun, knownSubject);
  } catch (caught) {
    const error = fromRefusal(caught);
    await database.call("calendly_abandon_subscription", { id: begun.id, error: error.toJSON() });
    throw error;
  }
  const { replaced } = await database.callUntilAnswered("calendly_keep_subscription", {
    id: begun.id,
    uri,
    key_id: begun.credential.kind === "oauth" ? null : (await currentKeys()).id,
  });
  await deleteAll(calendly, replaced);
  log("Webhook subscription made", { connection_id: begun.connection_id });
}

/**
 * What a connection subscribes to, in the organization that its Calendly user is in now: people change
 * it, and the former one neither shows nor takes their subscriptions. Also the query that lists them.
 */
async function readSubject(
  database: Database,
  calendly: Calendly,
  connection_id: string,
): Promise<SubscriptionSubject> {
  const { current_organization } = await calendly.me();
  return await database.call("calendly_subscription_query", {
    connection_id,
    organization: current_organization ?? null,
  });
}

async function createAtCalendly(
  database: Database,
  calendly: Calendly,
  { id, connection_id, credential }: Answer<"calendly_begin_subscription">,
  knownSubject: SubscriptionSubject | undefined,
): Promise<string> {
  // What is needed later is read before anything is asked for.
  const url = `${deliveryUrl()}/${id}`;
  const signing_key = await (await currentKeys()).signingKey(id);
  // Calendly signs what an OAuth app subscribes to with the app's key: without it nothing is authentic.
  if (credential.kind === "oauth" && setting("CALENDLY_WEBHOOK_SIGNING_KEY").length === 0) {
    throw notConfigured("CALENDLY_WEBHOOK_SIGNING_KEY", "is not set");
  }
  const subject = knownSubject ?? await readSubject(database, calendly, connection_id);
  return await calendly.createSubscription({
    url,
    events: DELIVERED_EVENTS,
    ...subject,
    signing_key,
  });
}

/**
 * Compares a connection's subscriptions with Calendly's, and creates one if it is lost. What goes wrong
 * at Calendly is noted with the connection, becomes an alert and does not stop the sync, but for one
 * error: organization_left.
 */
export async function reviewSubscription(
  database: Database,
  calendly: Calendly,
  { connection_id }: Credential,
): Promise<void> {
  let compared: Awaited<ReturnType<typeof compareSubscriptions>>;
  try {
    compared = await compareSubscriptions(database, calendly, connection_id);
  } catch (caught) {
    const error = fromFailedLook(caught);
    if (error.code === "organization_left") throw error;
    logError("The webhook subscription could not be looked at", {
      connection_id,
      code: error.code,
      reason: error.code === "internal" ? messageOf(caught) : error.message,
    });
    if (SAYS_OF_SUBSCRIPTION.includes(error.code)) {
      await noteFailedReview(database, connection_id, error);
    }
    return;
  }
  const { subject, review } = compared;
  try {
    if (review.make) await createSubscription(database, { connection_id }, subject);
    await deleteAll(calendly, review.delete);
  } catch (error) {
    logError("A lost webhook subscription could not be made anew", {
      connection_id,
      reason: messageOf(error),
    });
  }
}

async function compareSubscriptions(
  database: Database,
  calendly: Calendly,
  connection_id: string,
) {
  // What is needed later is read before anything is asked for.
  const address = `${deliveryUrl()}/`;
  const { id: key_id } = await currentKeys();
  const subject = await readSubject(database, calendly, connection_id);
  const listed = await calendly.listSubscriptions(subject);
  const review = await database.call("calendly_review_subscriptions", {
    connection_id,
    listed: listed.map((subscription) => withProjectUrl(subscription, address)),
    key_id,
  });
  return { subject, review };
}

/**
 * What Calendly answered, and a setting without which nothing can be delivered. What the database says of
 * itself says nothing of the subscription: the next review looks again. What is wrong with the token is
 * met by the sync itself, and reported.
 */
const SAYS_OF_SUBSCRIPTION = [
  "calendly_unavailable",
  "webhooks_refused",
  "scope_missing",
  "no_organization",
  "not_configured",
];

async function noteFailedReview(
  database: Database,
  connection_id: string,
  error: ApiError,
): Promise<void> {
  try {
    await database.call("calendly_fail_review", { connection_id, error: error.toJSON() });
  } catch (unrecorded) {
    logError("That a webhook subscription could not be looked at could not be recorded", {
      connection_id,
      reason: messageOf(unrecorded),
    });
  }
}

/** Postgres knows the project by SUPABASE_URL: what is delivered below `address` arrives at the same place. */
function withProjectUrl(subscription: unknown, address: string): unknown {
  const { callback_url } = (subscription ?? {}) as { callback_url?: unknown };
  if (typeof callback_url !== "string" || !callback_url.startsWith(address)) return subscription;
  const id = callback_url.slice(address.length);
  return {
    ...subscription as Record<string, unknown>,
    callback_url: `${setting("SUPABASE_URL")}/functions/v1/calendly-webhook/${id}`,
  };
}

/**
 * Deletes subscriptions at Calendly. What cannot be deleted now is found by the next review, so an error
 * is logged, unless `matters` says that the caller needs it.
 */
export async function deleteAll(
  calendly: Calendly,
  uris: string[],
  matters: (error: unknown) => boolean = () => false,
): Promise<void> {
  for (const uri of uris) {
    try {
      await calendly.deleteSubscription(uri);
    } catch (error) {
      if (matters(error)) throw error;
      logError("A webhook subscription could not be deleted", { uri, reason: messageOf(error) });
    }
  }
}

/** Ends at Calendly what has ended here: subscriptions and OAuth access. What fails is tried again later. */
export async function revokePending(database: Database): Promise<void> {
  while (true) {
    const revocation = await database.call("calendly_claim_revocation", {
      project_url: setting("SUPABASE_URL"),
    });
    if (revocation.status === "idle") return;
    const { id, credential, subscription_uris } = revocation;
    try {
      const token = new RevocableToken(database, credential);
      const calendly = new Calendly(token);
      const found = await findUnanswered(calendly, revocation);
      // A refusal stays one: a role or a plan that was lost does not come back, and the token must be
      // revoked all the same.
      await deleteAll(calendly, [...subscription_uris, ...found], (error) => !isRefusal(error));
      if (credential.kind === "oauth") await revokeToken(await token.revocable());
      await database.call("calendly_finish_revocation", { id });
    } catch (error) {
      if (error instanceof ApiError && error.code === "token_refused") {
        // Calendly no longer accepts the token, so nothing can be ended with it.
        await database.call("calendly_finish_revocation", { id });
      }
      logError("A connection could not be ended at Calendly", { reason: messageOf(error) });
    }
  }
}

/** The URIs of subscriptions that Calendly has made and whose answer was lost: by the id in their address. */
async function findUnanswered(
  calendly: Calendly,
  { unanswered_ids, subject }: Revocation,
): Promise<string[]> {
  if (unanswered_ids.length === 0 || subject === null) return [];
  try {
    const listed = await calendly.listSubscriptions(subject);
    return listed.flatMap((subscription) => {
      const { uri, callback_url } = (subscription ?? {}) as Record<string, unknown>;
      const isOurs = unanswered_ids.some((id) =>
        String(callback_url).endsWith(`/calendly-webhook/${id}`)
      );
      return isOurs && typeof uri === "string" ? [uri] : [];
    });
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return [];
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof RequestRefused ||
    (error instanceof ApiError && error.code === "scope_missing");
}

function fromTemporaryFailure(error: TemporaryFailure): ApiError {
  return new ApiError("calendly_unavailable", error.message, "Try again in a moment.");
}

/** Why the subscriptions cannot be looked at. */
function fromFailedLook(error: unknown): ApiError {
  if (error instanceof TemporaryFailure) return fromTemporaryFailure(error);
  if (!(error instanceof RequestRefused)) return toApiError(error);
  return new ApiError(
    "webhooks_refused",
    `Calendly does not show the subscriptions (HTTP ${error.status}): ${error.message}`,
    "Connect again with a token that may read webhooks: for an organization, an owner's or admin's.",
  );
}

/** Why Calendly refuses a subscription: there are several reasons, most of them with 403. */
function fromRefusal(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TemporaryFailure) return fromTemporaryFailure(error);
  if (!(error instanceof RequestRefused)) throw error;
  if (error.status === 403 && /upgrade/i.test(error.message)) {
    return new ApiError(
      "webhooks_need_plan",
      `Calendly's plan has no webhooks: ${error.message}`,
      "Without webhooks meetings are synced by the schedule.",
    );
  }
  if (error.status === 403) {
    return new ApiError(
      "webhooks_need_role",
      `Calendly does not let this person subscribe: ${error.message}`,
      "For an organization an owner or admin must connect.",
    );
  }
  return new ApiError(
    "webhooks_refused",
    `Calendly refuses the subscription: ${error.message}`,
    error.status === 409 ? "Another subscription uses this address. Try again." : undefined,
  );
}
