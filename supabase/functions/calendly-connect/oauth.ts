/**
 * The way to Calendly's consent page and back. The callback carries nothing but code and state on to the
 * app; who finishes must be the signed-in person who set out, so a link that somebody else made and got
 * approved connects nothing.
 */
import type { Database } from "../_shared/calendly/database.ts";
import { Interruption } from "../_shared/calendly/api.ts";
import { required } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { toHex } from "../_shared/calendly/keys.ts";
import {
  authorizeUrl,
  exchangeCode,
  type Grant,
  InvalidGrant,
  missingScopes,
  revokeToken,
} from "../_shared/calendly/oauth.ts";
import { seal, unseal } from "../_shared/calendly/tokens.ts";

/** What the person chose before setting out: see calendly_connect. */
interface Choice {
  scope: "user" | "organization";
  replace: boolean;
}

/** The address of the consent page. Errors: unknown_user, not_configured. */
export async function startConsent(
  database: Database,
  authUserId: string,
  choice: Choice,
): Promise<string> {
  returnUrl();
  const id = crypto.randomUUID();
  const state = randomText();
  const verifier = randomText();
  const url = authorizeUrl(state, base64url(await sha256(verifier)));
  await database.call("calendly_start_oauth", {
    request: {
      auth_user_id: authUserId,
      id,
      state_digest: toHex(await sha256(state)),
      verifier_jwe: await seal(verifier, id),
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
): Promise<Choice & { grant: Grant }> {
  const taken = await database.call("calendly_take_oauth_state", {
    auth_user_id: authUserId,
    state_digest: toHex(await sha256(state)),
  }) as Choice & { id: string; verifier_jwe: string };
  const grant = await exchange(code, await unseal(taken.verifier_jwe, taken.id));
  const missing = missingScopes(grant);
  if (missing.length > 0) {
    await revokeToken(grant.refresh_token).catch(() => {});
    throw new ApiError(
      "scopes_missing",
      `The consent lacks: ${missing.join(", ")}.`,
      "Begin again and allow all that is asked for.",
      { missing },
    );
  }
  return { grant, scope: taken.scope, replace: taken.replace };
}

async function exchange(code: string, verifier: string): Promise<Grant> {
  try {
    return await exchangeCode(code, verifier);
  } catch (error) {
    if (error instanceof InvalidGrant) {
      throw new ApiError(
        "oauth_code_invalid",
        "Calendly does not accept the code: it was used, or is older than ten minutes.",
        "Begin again: POST /functions/v1/calendly-connect/oauth/start.",
      );
    }
    if (error instanceof Interruption) {
      throw new ApiError("calendly_unavailable", error.message, "Begin again in a moment.");
    }
    throw error;
  }
}

/** Calendly sends the browser here; it is sent on to the app's own page, wherever the request came from. */
export function returnToApp(request: Request): Promise<Response> {
  const { searchParams } = new URL(request.url);
  const target = returnUrl();
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

function returnUrl(): URL {
  const hint = "Set it to the page of your app that finishes connecting.";
  const value = required("CALENDLY_RETURN_URL", hint);
  if (!URL.canParse(value)) {
    throw new ApiError("not_configured", "CALENDLY_RETURN_URL is no address.", hint);
  }
  return new URL(value);
}

function randomText(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
