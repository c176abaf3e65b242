/**
 * Webhook subscriptions at Calendly: created, reviewed and ended. One cannot be changed or revived and its
 * URL must be unique, so the new one is created before the old one is deleted.
 */
import { Calendly, RequestRefused, TemporaryFailure } from "./api.ts";
import type { Answer, Credential } from "./contract.ts";
import { ConnectionToken, RevocableToken } from "./credential.ts";
import type { Database } from "./database.ts";
import { DELIVERED_EVENTS, deliveryUrl } from "./delivery.ts";
import { notConfigured, setting } from "./environment.ts";
import { ApiError } from "./errors.ts";
import { currentKeys } from "./keys.ts";
import { log, logError, messageOf } from "./log.ts";
import { revokeToken } from "./oauth.ts";

/**
 * Creates the subscription of a connection, and ends the one before it. Errors: not_connected,
 * reconnect_required, webhooks_need_plan, webhooks_need_role, webhooks_refused, scope_missing,
 * token_refused, calendly_unavailable, project_moved, not_configured.
 */
export async function createSubscription(
  database: Database,
  connection: { connection_id: string } | { user_id?: number; auth_user_id?: string },
): Promise<void> {
  const begun = await database.call("calendly_begin_subscription", {
    request: { ...connection, project_url: setting("SUPABASE_URL") },
  });
  const calendly = new Calendly(new ConnectionToken(database, begun.credential));
  let uri: string;
  try {
    uri = await createAtCalendly(calendly, begun);
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

async function createAtCalendly(
  calendly: Calendly,
  { id, credential, scope, user, organization }: Answer<"calendly_begin_subscription">,
): Promise<string> {
  // Calendly signs what an OAuth app subscribes to with the app's key: without it nothing is authentic.
  if (credential.kind === "oauth" && setting("CALENDLY_WEBHOOK_SIGNING_KEY").length === 0) {
    throw notConfigured("CALENDLY_WEBHOOK_SIGNING_KEY", "is not set");
  }
  return await calendly.createSubscription({
    url: `${deliveryUrl()}/${id}`,
    events: DELIVERED_EVENTS,
    organization,
    scope,
    ...(scope === "user" ? { user } : {}),
    signing_key: await (await currentKeys()).signingKey(id),
  });
}

/** Compares a connection's subscriptions with Calendly's, and creates one if it is lost. Never throws. */
export async function reviewSubscription(
  database: Database,
  calendly: Calendly,
  { connection_id }: Credential,
): Promise<void> {
  try {
    // What is needed later is read before anything is asked for.
    const address = `${deliveryUrl()}/`;
    const { id: key_id } = await currentKeys();
    const query = await database.call("calendly_subscription_query", { connection_id });
    const listed = await calendly.listSubscriptions(
      Object.fromEntries(
        Object.entries(query).flatMap(([name, value]) => value === null ? [] : [[name, value]]),
      ),
    );
    const review = await database.call("calendly_review_subscriptions", {
      connection_id,
      listed: listed.map((subscription) => withProjectUrl(subscription, address)),
      key_id,
    });
    if (review.make) await createSubscription(database, { connection_id });
    await deleteAll(calendly, review.delete);
  } catch (error) {
    // The sync reports what is wrong with the token; anything else becomes an alert.
    logError("The webhook subscription could not be looked after", {
      connection_id,
      reason: messageOf(error),
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
      // A refusal stays one: a role or a plan that was lost does not come back, and the token must be
      // revoked all the same.
      await deleteAll(new Calendly(token), subscription_uris, (error) => !isRefusal(error));
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

function isRefusal(error: unknown): boolean {
  return error instanceof RequestRefused ||
    (error instanceof ApiError && error.code === "scope_missing");
}

/** Why Calendly refuses a subscription: there are several reasons, most of them with 403. */
function fromRefusal(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof TemporaryFailure) {
    return new ApiError("calendly_unavailable", error.message, "Try again in a moment.");
  }
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
