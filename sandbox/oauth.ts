/**
 * Calendly's authorization server: authorization code with PKCE (S256), refresh tokens that work once
 * and rotate, introspection, revocation. Form-encoded requests; errors are {error, error_description}.
 */
import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import { Clock, duration, formatTime, Micros, time } from "./clock.ts";
import type { SavedState } from "./state.ts";
import { AccessToken, AuthorizationCode, OAuthApp, SCOPES, Tokens } from "./tokens.ts";
import { World } from "./world.ts";

/** Calendly allows a user eight token requests a minute. */
const TOKEN_REQUESTS = 8;

const INVALID_GRANT =
  "The provided authorization grant is invalid, expired, revoked, does not match the redirection URI used in the authorization request, or was issued to another client.";

class OAuthError extends Error {
  constructor(readonly status: number, readonly error: string, description: string) {
    super(description);
  }
}

export class OAuth {
  readonly #world: World;
  readonly #tokens: Tokens;
  readonly #clock: Clock;
  readonly #base: string;
  readonly #tokenRequests = new Map<string, Micros[]>();

  /** `base` precedes the path of the consent page's form; empty for the host that served it. */
  constructor(world: World, tokens: Tokens, base: string) {
    this.#base = base;
    this.#world = world;
    this.#tokens = tokens;
    this.#clock = world.clock;
  }

  /** When each user's recent token requests were. */
  save(): SavedState["token_requests"] {
    return [...this.#tokenRequests].map(([user, at]) => ({ user, at: at.map(formatTime) }));
  }

  load(state: SavedState["token_requests"]): void {
    for (const { user, at } of state) this.#tokenRequests.set(user, at.map(time));
  }

  /** Answers a request below /oauth. */
  async handle(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const route = `${request.method} ${url.pathname}`;
    try {
      if (route === "GET /oauth/authorize") return this.#consentPage(url.searchParams);
      if (route === "POST /oauth/authorize") return this.#decide(await form(request));
      if (route === "POST /oauth/token") return this.#token(request, await form(request));
      if (route === "POST /oauth/introspect") return this.#introspect(request, await form(request));
      if (route === "POST /oauth/revoke") return this.#revoke(request, await form(request));
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      return Response.json(
        { error: error.error, error_description: error.message },
        { status: error.status, headers: { "cache-control": "no-store" } },
      );
    }
    return Response.json(
      { error: "not_found", error_description: "There is no such endpoint." },
      { status: 404 },
    );
  }

  /** The page on which a person allows or denies; it posts its own query back. */
  #consentPage(query: URLSearchParams): Response {
    const { app, scopes } = this.#authorizationRequest(query);
    const hidden = [...query].map(([name, value]) =>
      `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`
    );
    const users = [...this.#world.users.values()].map((user) =>
      `<option value="${user.uri}">${escape(user.name)} (${escape(user.email)})</option>`
    );
    return new Response(
      `<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Authorize ${
        escape(app.name)
      }</title>
<h1>${escape(app.name)} asks for access to Calendly (sandbox)</h1>
<p>Scopes: ${escape(scopes.join(" "))}</p>
<form method="post" action="${escape(this.#base)}/oauth/authorize">${hidden.join("")}
<label>Sign in as <select name="user">${users.join("")}</select></label>
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button>
</form></html>`,
      { headers: { "content-type": "text/html; charset=utf-8" } },
    );
  }

  #decide(fields: URLSearchParams): Response {
    const { app, scopes, redirectUri, challenge } = this.#authorizationRequest(fields);
    const user = this.#world.users.get(fields.get("user") ?? "");
    if (!user) throw new OAuthError(400, "invalid_request", "The user is missing or unknown.");
    const target = new URL(redirectUri);
    if (fields.get("decision") === "deny") {
      target.searchParams.set("error", "access_denied");
      target.searchParams.set(
        "error_description",
        "The resource owner or authorization server denied the request.",
      );
    } else {
      const { code } = this.#tokens.createCode({
        app,
        user: user.uri,
        scopes,
        redirect_uri: redirectUri,
        code_challenge: challenge,
      });
      target.searchParams.set("code", code);
    }
    const state = fields.get("state");
    if (state !== null) target.searchParams.set("state", state);
    return new Response(null, { status: 302, headers: { location: target.href } });
  }

  #authorizationRequest(query: URLSearchParams) {
    const app = this.#tokens.apps.get(query.get("client_id") ?? "");
    if (!app) {
      throw new OAuthError(401, "invalid_client", "Client authentication failed: unknown client.");
    }
    const redirectUri = query.get("redirect_uri") ?? "";
    if (!allowsRedirect(app, redirectUri)) {
      throw new OAuthError(400, "invalid_redirect_uri", "The redirect uri included is not valid.");
    }
    if (query.get("response_type") !== "code") {
      throw new OAuthError(400, "unsupported_response_type", "The response type must be code.");
    }
    const challenge = query.get("code_challenge");
    if (!challenge || query.get("code_challenge_method") !== "S256") {
      throw new OAuthError(
        400,
        "invalid_request",
        "PKCE with code_challenge_method S256 is needed.",
      );
    }
    const scopes = (query.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
    if (scopes.some((scope) => !SCOPES.includes(scope))) {
      throw new OAuthError(400, "invalid_scope", "The requested scope is invalid or unknown.");
    }
    return { app, scopes, redirectUri, challenge };
  }

  #token(request: Request, fields: URLSearchParams): Response {
    const app = this.#client(request, fields);
    const type = fields.get("grant_type");
    const earlier = type === "authorization_code"
      ? this.#code(app, fields)
      : type === "refresh_token"
      ? this.#refreshable(app, fields)
      : null;
    if (!earlier) {
      throw new OAuthError(
        400,
        "unsupported_grant_type",
        "The authorization grant type is not supported by the authorization server.",
      );
    }
    this.#countTokenRequest(earlier.user);
    if ("code" in earlier) earlier.used = true;
    else earlier.refreshed = true;
    const token = this.#tokens.createOAuth(earlier.user, earlier.scopes, app);
    return Response.json({
      access_token: token.token,
      created_at: Number(token.created_at / 1_000_000n),
      expires_in: 7200,
      organization: this.#world.user(token.user).current_organization,
      owner: token.user,
      refresh_token: token.refresh_token,
      scope: token.scopes.join(" "),
      token_type: "Bearer",
    }, { headers: { "cache-control": "no-store" } });
  }

  #code(app: OAuthApp, fields: URLSearchParams): AuthorizationCode {
    const code = this.#tokens.codes.get(fields.get("code") ?? "");
    const challenge = createHash("sha256").update(fields.get("code_verifier") ?? "")
      .digest("base64url");
    const good = code && code.app === app && !code.used &&
      this.#clock.now() < code.expires_at &&
      code.redirect_uri === fields.get("redirect_uri") &&
      code.code_challenge === challenge;
    if (!good) throw new OAuthError(400, "invalid_grant", INVALID_GRANT);
    return code;
  }

  #refreshable(app: OAuthApp, fields: URLSearchParams): AccessToken {
    const token = this.#tokens.findByRefreshToken(fields.get("refresh_token") ?? "");
    const good = token && token.app === app && !token.revoked && !token.refreshed;
    if (!good) throw new OAuthError(400, "invalid_grant", INVALID_GRANT);
    return token;
  }

  #introspect(request: Request, fields: URLSearchParams): Response {
    const app = this.#client(request, fields);
    const token = this.#tokens.find(fields.get("token") ?? "");
    if (!token || token.app !== app || !this.#tokens.isLive(token)) {
      return Response.json({ active: false });
    }
    return Response.json({
      active: true,
      client_id: app.client_id,
      exp: Number(token.expires_at! / 1_000_000n),
      iat: Number(token.created_at / 1_000_000n),
      organization: this.#world.user(token.user).current_organization,
      owner: token.user,
      scope: token.scopes.join(" "),
      token_type: "Bearer",
    });
  }

  /** Revoking either of a pair ends both; an unknown token is no error. */
  #revoke(request: Request, fields: URLSearchParams): Response {
    const app = this.#client(request, fields);
    const value = fields.get("token") ?? "";
    const token = this.#tokens.find(value) ?? this.#tokens.findByRefreshToken(value);
    if (token && token.app === app) token.revoked = true;
    return Response.json({});
  }

  /** A web app shows its secret, in a Basic header or the body; a native one only its id. */
  #client(request: Request, fields: URLSearchParams): OAuthApp {
    const [, basic] = /^Basic\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
    const [id, secret] = basic
      ? Buffer.from(basic, "base64").toString().split(":").map(decodeURIComponent)
      : [fields.get("client_id"), fields.get("client_secret")];
    const app = this.#tokens.apps.get(id ?? "");
    if (!app || (app.kind === "web" && app.client_secret !== secret)) {
      throw new OAuthError(
        401,
        "invalid_client",
        "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method.",
      );
    }
    return app;
  }

  #countTokenRequest(user: string): void {
    const now = this.#clock.now();
    const recent = (this.#tokenRequests.get(user) ?? [])
      .filter((at) => now - at < duration("1m") && at <= now);
    if (recent.length >= TOKEN_REQUESTS) {
      throw new OAuthError(429, "too_many_requests", "Too many token requests for this user.");
    }
    this.#tokenRequests.set(user, [...recent, now]);
  }
}

async function form(request: Request): Promise<URLSearchParams> {
  const type = request.headers.get("content-type") ?? "";
  if (!type.startsWith("application/x-www-form-urlencoded")) {
    throw new OAuthError(400, "invalid_request", "The body must be form-encoded.");
  }
  return new URLSearchParams(await request.text());
}

/** An app without registered addresses is in development: any loopback address will do. */
function allowsRedirect(app: OAuthApp, redirectUri: string): boolean {
  if (app.redirect_uris.length > 0) return app.redirect_uris.includes(redirectUri);
  return URL.canParse(redirectUri) &&
    ["127.0.0.1", "localhost"].includes(new URL(redirectUri).hostname);
}

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
