/** Calendly's authorization server: OAuth 2.0 with PKCE, refresh tokens that work once. */
import ky, { HTTPError } from "ky";
import { z } from "zod";
import { rateLimited, TemporaryFailure } from "./api.ts";
import { publicUrl, setting } from "./environment.ts";
import { ApiError } from "./errors.ts";
import { currentKeys } from "./keys.ts";
import { withoutSecrets } from "./reason.ts";

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

/** Calendly does not accept the code or refresh token: it was used, or is too old. `message` is its reason. */
export class InvalidGrant extends Error {}

/** A sentence, and the reason that Calendly gives. */
export function withReason(sentence: string, { message }: InvalidGrant): string {
  return message ? `${sentence} Calendly says: ${message}` : sentence;
}

/**
 * Reads every variable that OAuth needs, before anything is asked of Calendly or a state is used up.
 * Error: not_configured.
 */
export async function checkSettings(): Promise<void> {
  for (const name of OAUTH_SETTINGS) setting(name);
  redirectUri();
  await currentKeys();
}

const OAUTH_SETTINGS = [
  "CALENDLY_API_URL",
  "CALENDLY_AUTH_URL",
  "CALENDLY_CLIENT_ID",
  "CALENDLY_CLIENT_SECRET",
  "CALENDLY_RETURN_URL",
] as const;

/** Where the person gives consent. Error: not_configured. */
export function authorizeUrl(state: string, challenge: string): string {
  const url = new URL(`${setting("CALENDLY_AUTH_URL")}/oauth/authorize`);
  url.search = new URLSearchParams({
    client_id: setting("CALENDLY_CLIENT_ID"),
    response_type: "code",
    redirect_uri: redirectUri(),
    scope: SCOPES.join(" "),
    state,
    code_challenge: challenge,
    code_challenge_method: "S256",
  }).toString();
  return url.href;
}

/** Errors: InvalidGrant, TemporaryFailure, not_configured. */
export function exchangeCode(code: string, verifier: string): Promise<Grant> {
  return requestGrant({
    grant_type: "authorization_code",
    code,
    code_verifier: verifier,
    redirect_uri: redirectUri(),
  });
}

/** Spends the refresh token. Errors: InvalidGrant, TemporaryFailure, not_configured. */
export function refreshGrant(refreshToken: string): Promise<Grant> {
  return requestGrant({ grant_type: "refresh_token", refresh_token: refreshToken });
}

/** Withdraws our access. Errors: TemporaryFailure, not_configured. */
export async function revokeToken(token: string): Promise<void> {
  await post("oauth/revoke", {
    client_id: setting("CALENDLY_CLIENT_ID"),
    client_secret: setting("CALENDLY_CLIENT_SECRET"),
    token,
  });
}

/** Those of `SCOPES` that the grant lacks. */
export function missingScopes(grant: Grant): string[] {
  // By the standard, a grant without a scope has those that were asked for.
  if (grant.scope === undefined || grant.scope === null) return [];
  const granted = grant.scope.split(/[\s,]+/);
  if (granted.includes("default")) return [];
  return SCOPES.filter((scope) =>
    !granted.includes(scope) && !granted.includes(scope.replace(":read", ":write"))
  );
}

async function requestGrant(form: Record<string, string>): Promise<Grant> {
  const parsed = Grant.safeParse(parseJson(await post("oauth/token", form)));
  if (!parsed.success) {
    throw new TemporaryFailure("calendly_unavailable", "Calendly's answer holds no token.");
  }
  return parsed.data;
}

/** Sends a form and returns the body of the answer. Not retried: a refresh token works once. */
async function post(path: string, form: Record<string, string>): Promise<string> {
  const url = `${setting("CALENDLY_AUTH_URL")}/${path}`;
  const authorization = basicAuthorization();
  try {
    return await ky.post(url, {
      body: new URLSearchParams(form),
      headers: { authorization },
      timeout: 10_000,
      redirect: "error",
      retry: 0,
    }).text();
  } catch (error) {
    throw error instanceof HTTPError ? fromHttpError(error, form) : new TemporaryFailure(
      "calendly_unavailable",
      "Calendly's authorization server does not answer.",
    );
  }
}

function fromHttpError(error: HTTPError, form: Record<string, string>): Error {
  const { status, headers } = error.response;
  if (status === 429) return rateLimited(headers);
  const { error: code, error_description } = (error.data ?? {}) as Record<string, unknown>;
  const reason = reasonOf(error_description, form);
  if (code === "invalid_grant") return new InvalidGrant(reason);
  const shown = reason ? `: ${reason}` : ".";
  if (code === "invalid_client" || code === "unauthorized_client") {
    return new ApiError(
      "not_configured",
      `Calendly does not accept this OAuth client${shown}`,
      "Check CALENDLY_CLIENT_ID and CALENDLY_CLIENT_SECRET.",
    );
  }
  const name = typeof code === "string" && /^[a-z_]{1,50}$/.test(code) ? ` (${code})` : "";
  return new TemporaryFailure(
    "calendly_unavailable",
    `Calendly's authorization server answers with HTTP ${status}${name}${shown}`,
  );
}

/** OAuth's `error_description`, without what was sent and without any other word that may be a token. */
function reasonOf(description: unknown, form: Record<string, string>): string {
  if (typeof description !== "string") return "";
  const { grant_type: _, redirect_uri: _address, client_id: _id, ...secrets } = form;
  return withoutSecrets(
    description,
    [...Object.values(secrets), setting("CALENDLY_CLIENT_SECRET")],
  ).replace(/[\w.~+/=-]{24,}/g, "…").trim();
}

/**
 * Id and secret, each form-encoded (RFC 6749, 2.3.1), so that neither a colon nor a letter outside
 * Latin-1 breaks the header. A space becomes %20, which every decoder reads, and not a plus sign.
 */
function basicAuthorization(): string {
  const pair = [setting("CALENDLY_CLIENT_ID"), setting("CALENDLY_CLIENT_SECRET")];
  return `Basic ${btoa(pair.map(encodeURIComponent).join(":"))}`;
}

function redirectUri(): string {
  return `${publicUrl()}/functions/v1/calendly-connect/oauth/callback`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
