/**
 * Webhook subscriptions at Calendly: made, looked after and ended. One cannot be changed or revived and
 * its URL must be unique, so the new one is made before the old one is deleted.
 */
import { Calendly, Interruption, Unavailable } from "./api.ts";
import { ConnectionToken, type Credential, LastToken } from "./credential.ts";
import type { Database } from "./database.ts";
import { supabaseUrl } from "./environment.ts";
import { ApiError } from "./errors.ts";
import { log, logError } from "./log.ts";
import { revokeToken } from "./oauth.ts";
import { configuredKeys, subscriptionKeyId, subscriptionKeys } from "./signature.ts";

/** What we subscribe to. */
export const EVENTS = [
  "invitee.created",
  "invitee.canceled",
  "invitee_no_show.created",
  "invitee_no_show.deleted",
];

/** See calendly_begin_subscription. */
interface Begun {
  id: string;
  connection_id: string;
  credential: Credential;
  scope: "user" | "organization";
  user: string;
  organization: string;
}

/**
 * Makes the subscription of a connection, and ends the one before it. Errors: not_connected,
 * reconnect_required, webhooks_need_plan, webhooks_need_role, webhooks_refused, scope_missing,
 * token_refused, calendly_unavailable, project_moved.
 */
export async function makeSubscription(
  database: Database,
  connection: { auth_user_id: string } | { connection_id: string },
): Promise<void> {
  const begun = await database.call("calendly_begin_subscription", {
    request: { ...connection, project_url: supabaseUrl() },
  }) as Begun;
  const calendly = new Calendly(new ConnectionToken(database, begun.credential));
  const isOAuth = begun.credential.kind === "oauth";
  let uri: string;
  try {
    if (isOAuth && configuredKeys().length === 0) {
      throw new ApiError(
        "not_configured",
        "CALENDLY_WEBHOOK_SIGNING_KEY is not set.",
        "Set it to the webhook signing key of your OAuth app: Calendly signs with that.",
      );
    }
    const [signingKey] = await subscriptionKeys(begun.id);
    uri = await calendly.createSubscription({
      url: `${supabaseUrl()}/functions/v1/calendly-webhook/${begun.id}`,
      events: EVENTS,
      organization: begun.organization,
      scope: begun.scope,
      ...(begun.scope === "user" ? { user: begun.user } : {}),
      signing_key: signingKey,
    });
  } catch (caught) {
    const error = explain(caught);
    await database.call("calendly_abandon_subscription", { id: begun.id, error: error.toJSON() });
    throw error;
  }
  const { replaced } = await database.callUntilAnswered("calendly_keep_subscription", {
    id: begun.id,
    uri,
    key_id: isOAuth ? null : await subscriptionKeyId(),
  }) as { replaced: string[] };
  await deleteAll(calendly, replaced);
  log("Webhook subscription made", { connection_id: begun.connection_id });
}

/** Looks after a connection's subscription, and makes a new one if it is lost. Never stops a sync. */
export async function reviewSubscription(
  database: Database,
  calendly: Calendly,
  credential: Credential,
): Promise<void> {
  const { connection_id } = credential;
  try {
    const query = await database.call("calendly_subscription_query", { connection_id });
    const listed = await calendly.listSubscriptions(query as Record<string, string>);
    const review = await database.call("calendly_review_subscriptions", {
      connection_id,
      listed,
      key_id: await subscriptionKeyId(),
    }) as { make: boolean; delete: string[] };
    if (review.make) await makeSubscription(database, { connection_id });
    await deleteAll(calendly, review.delete);
  } catch (error) {
    // the sync tells the person what is wrong with the token; the rest is an alert
    logError("The webhook subscription could not be looked after", {
      connection_id,
      reason: error instanceof Error ? error.message : String(error),
    });
  }
}

/**
 * Deletes subscriptions at Calendly. What cannot be deleted now is found by the next review; errors that
 * `matters` picks are the caller's.
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
      logError("A webhook subscription could not be deleted", {
        uri,
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
}

/** Ends at Calendly what has ended here: subscriptions and OAuth access. What fails is tried again. */
export async function bidFarewells(database: Database): Promise<void> {
  while (true) {
    const farewell = await database.call("calendly_claim_farewell", {
      project_url: supabaseUrl(),
    }) as { status: "idle" } | {
      status: "claimed";
      id: string;
      credential: Credential;
      subscription_uris: string[];
    };
    if (farewell.status === "idle") return;
    try {
      const token = new LastToken(database, farewell.credential);
      const calendly = new Calendly(token);
      // a role or a plan that was lost does not come back with time, and the token must go all the same
      await deleteAll(calendly, farewell.subscription_uris, (error) => !isRefusal(error));
      if (farewell.credential.kind === "oauth") await revokeToken(await token.revocable());
      await database.call("calendly_end_farewell", { id: farewell.id });
    } catch (error) {
      if (error instanceof ApiError && error.code === "token_refused") {
        // nothing can be ended with a token that is dead
        await database.call("calendly_end_farewell", { id: farewell.id });
      }
      logError("A connection could not be ended at Calendly", {
        reason: error instanceof Error ? error.message : String(error),
      });
    }
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof Unavailable ||
    (error instanceof ApiError && error.code === "scope_missing");
}

/** Calendly refuses subscriptions for several reasons, most of them with 403. */
function explain(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof Interruption) {
    return new ApiError("calendly_unavailable", error.message, "Try again in a moment.");
  }
  if (!(error instanceof Unavailable)) throw error;
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
