/** Calendly's authorization server: OAuth 2.0 with PKCE, refresh tokens that work once. */
import ky, { HTTPError } from "ky";
import { z } from "zod";
import { Interruption, rateLimited } from "./api.ts";
import { required, supabaseUrl } from "./environment.ts";
import { ApiError } from "./errors.ts";

/** What a sync and its webhooks need; `:write` includes `:read`. */
export const SCOPES = [
  "users:read",
  "organizations:read",
  "event_types:read",
  "scheduled_events:read",
  "webhooks:write",
];

const Grant = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1),
  expires_in: z.number().positive(),
  scope: z.string().nullish(),
});
export type Grant = z.infer<typeof Grant>;

/** Calendly knows the code or refresh token no more. */
export class InvalidGrant extends Error {}

/** Where the person gives consent. Error: not_configured. */
export function authorizeUrl(state: string, challenge: string): string {
  const url = new URL(`${authUrl()}/oauth/authorize`);
  url.search = new URLSearchParams({
    client_id: client().id,
    response_type: "code",
    redirect_uri: redirectUri(),
    scope: SCOPES.join(" "),
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
  }).toString();
  return url.href;
}

/** Errors: InvalidGrant, Interruption, not_configured. */
export function exchangeCode(code: string, verifier: string): Promise<Grant> {
  return requestGrant({
    grant_type: "authorization_code",
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri(),
  });
}

/** Spends the refresh token. Errors: InvalidGrant, Interruption, not_configured. */
export function refreshGrant(refreshToken: string): Promise<Grant> {
  return requestGrant({ grant_type: "refresh_token", refresh_token: refreshToken });
}

/** Withdraws our access. Errors: Interruption, not_configured. */
export async function revokeToken(token: string): Promise<void> {
  const { id, secret } = client();
  await post("oauth/revoke", { client_id: id, client_secret: secret, token });
}

/** Those of `SCOPES` that the grant lacks. */
export function missingScopes(grant: Grant): string[] {
  // by the standard, a grant that names none has those that were asked for
  if (grant.scope === undefined || grant.scope === null) return [];
  const granted = grant.scope.split(/[\s,]+/);
  if (granted.includes("default")) return [];
  return SCOPES.filter((scope) =>
    !granted.includes(scope) && !granted.includes(scope.replace(":read", ":write"))
  );
}

async function requestGrant(form: Record<string, string>): Promise<Grant> {
  const parsed = Grant.safeParse(await post("oauth/token", form));
  if (!parsed.success) {
    throw new Interruption("calendly_unavailable", "Calendly's answer holds no token.");
  }
  return parsed.data;
}

async function post(path: string, form: Record<string, string>): Promise<unknown> {
  const { id, secret } = client();
  try {
    // Never repeated by itself: a refresh token works once.
    return await ky.post(`${authUrl()}/${path}`, {
      body: new URLSearchParams(form),
      headers: { authorization: `Basic ${btoa(`${id}:${secret}`)}` },
      timeout: 10_000,
      redirect: "error",
      retry: 0,
    }).json().catch((error) => {
      if (error instanceof SyntaxError && path === "oauth/revoke") return {};
      throw error;
    });
  } catch (error) {
    if (error instanceof HTTPError) {
      const { status, headers } = error.response;
      if (status === 429) throw rateLimited(headers);
      const { error: reason } = (error.data ?? {}) as { error?: unknown };
      if (reason === "invalid_grant") throw new InvalidGrant();
      if (reason === "invalid_client") {
        throw new ApiError(
          "not_configured",
          "Calendly does not know this OAuth client.",
          "Check CALENDLY_CLIENT_ID and CALENDLY_CLIENT_SECRET.",
        );
      }
      // OAuth's word for what is wrong, and nothing else that it may say
      const word = typeof reason === "string" && /^[a-z_]{1,50}$/.test(reason)
        ? ` (${reason})`
        : "";
      throw new Interruption(
        "calendly_unavailable",
        `Calendly's authorization server answers with HTTP ${status}${word}.`,
      );
    }
    throw new Interruption(
      "calendly_unavailable",
      "Calendly's authorization server does not answer.",
    );
  }
}

function redirectUri(): string {
  return `${supabaseUrl()}/functions/v1/calendly-connect/oauth/callback`;
}

function authUrl(): string {
  return (Deno.env.get("CALENDLY_AUTH_URL") || "https://auth.calendly.com").replace(/\/+$/, "");
}

function client(): { id: string; secret: string } {
  const hint = "Make an OAuth app at Calendly and set its id and secret.";
  return {
    id: required("CALENDLY_CLIENT_ID", hint),
    secret: required("CALENDLY_CLIENT_SECRET", hint),
  };
}
