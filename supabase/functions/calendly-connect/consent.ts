/**
 * To Calendly's consent page and back. The callback only passes code and state on to the app. Who
 * finishes must be the signed-in person who started: a link that somebody else made and got approved
 * connects nothing.
 */
import { base64url } from "jose";
import { TemporaryFailure } from "../_shared/calendly/api.ts";
import type { ConnectionChoice } from "../_shared/calendly/contract.ts";
import type { Database } from "../_shared/calendly/database.ts";
import { sha256Hex } from "../_shared/calendly/encoding.ts";
import { setting } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { logError, messageOf } from "../_shared/calendly/log.ts";
import {
  authorizeUrl,
  checkSettings,
  exchangeCode,
  type Grant,
  InvalidGrant,
  missingScopes,
  revokeToken,
  withReason,
} from "../_shared/calendly/oauth.ts";
import { decrypt, encrypt } from "../_shared/calendly/tokens.ts";

/** The address of the consent page. Errors: account_closed, not_configured. */
export async function startConsent(
  database: Database,
  authUserId: string,
  choice: ConnectionChoice,
): Promise<string> {
  // Everything that is needed later is asked for now, while nothing has happened.
  await checkSettings();
  const id = crypto.randomUUID();
  const state = randomText();
  const verifier = randomText();
  const url = authorizeUrl(state, await challengeOf(verifier));
  await database.call("calendly_start_oauth", {
    request: {
      auth_user_id: authUserId,
      id,
      state_digest: await sha256Hex(state),
      verifier_jwe: await encrypt(verifier, id),
      ...choice,
    },
  });
  return url;
}

/**
 * What the person has consented to.
 * Errors: oauth_state_invalid, oauth_code_invalid, scopes_missing, calendly_unavailable, not_configured.
 */
export async function finishConsent(
  database: Database,
  authUserId: string,
  code: string,
  state: string,
): Promise<{ grant: Grant; choice: ConnectionChoice }> {
  await checkSettings();
  const state_digest = await sha256Hex(state);
  const taken = await database.call("calendly_take_oauth_state", {
    auth_user_id: authUserId,
    state_digest,
  });
  const { id, verifier_jwe, ...choice } = taken;
  let grant: Grant;
  try {
    grant = await exchange(code, await decrypt(verifier_jwe, id));
  } catch (error) {
    if (error instanceof ApiError && OF_THE_SETTINGS.includes(error.code)) {
      await putBack(database, { auth_user_id: authUserId, state_digest, ...taken });
    }
    throw error;
  }
  const missing = missingScopes(grant);
  if (missing.length > 0) {
    await giveBack(grant);
    throw new ApiError(
      "scopes_missing",
      `The consent lacks: ${missing.join(", ")}.`,
      "Begin again and allow all that is asked for.",
      { missing },
    );
  }
  return { grant, choice };
}

/**
 * Errors of the environment that show only with the exchange: a secret that Calendly does not accept, a key
 * that is not the one of the start. The code is not spent, so that the person can finish once it is mended.
 */
const OF_THE_SETTINGS = ["not_configured", "token_unreadable"];

/** Makes a state good for another attempt, unless a newer one has begun. That this failed does not hide why there must be one. */
async function putBack(database: Database, request: Record<string, unknown>): Promise<void> {
  try {
    await database.call("calendly_start_oauth", { request: { ...request, again: true } });
  } catch (error) {
    logError("A consent that could not be finished has to be asked for again", {
      reason: messageOf(error),
    });
  }
}

/** Revokes a grant that is not stored. That it could not be revoked does not hide why it is not stored. */
export async function giveBack(grant: Grant): Promise<void> {
  try {
    await revokeToken(grant.refresh_token);
  } catch (error) {
    logError("A grant that is not used could not be revoked", { reason: messageOf(error) });
  }
}

async function exchange(code: string, verifier: string): Promise<Grant> {
  try {
    return await exchangeCode(code, verifier);
  } catch (error) {
    if (error instanceof InvalidGrant) {
      throw new ApiError(
        "oauth_code_invalid",
        withReason(
          "Calendly does not accept the code: it was used, or is older than ten minutes.",
          error,
        ),
        "Begin again: POST /functions/v1/calendly-connect/oauth/start.",
      );
    }
    if (error instanceof TemporaryFailure) {
      throw new ApiError("calendly_unavailable", error.message, "Begin again in a moment.");
    }
    throw error;
  }
}

/** Calendly sends the browser here. It is sent on to CALENDLY_RETURN_URL, whatever the request says. */
export function oauthCallback(request: Request): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const target = new URL(setting("CALENDLY_RETURN_URL"));
  for (const name of ["code", "state", "error", "error_description"]) {
    const value = searchParams.get(name);
    if (value !== null) target.searchParams.set(name, value);
  }
  return Promise.resolve(
    new Response(null, {
      status: 302,
      headers: {
        location: target.href,
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
      },
    }),
  );
}

function randomText(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(32)));
}

/** The PKCE challenge of a verifier, by method S256. */
async function challengeOf(verifier: string): Promise<string> {
  const bytes = new TextEncoder().encode(verifier);
  return base64url.encode(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}
