/** Access to the API: personal access tokens, OAuth applications and what OAuth has given out. */
import { Clock, duration, formatTime, Micros, time } from "./clock.ts";
import { insufficientScope, SandboxError, unauthenticated } from "./errors.ts";
import { Random } from "./random.ts";
import { Uri } from "./resources.ts";
import { loadTime, saveTime, type TokensState } from "./state.ts";

const FAMILIES = {
  "read and write": [
    "availability",
    "contacts",
    "event_types",
    "meeting_recaps",
    "organizations",
    "scheduled_events",
    "webhooks",
  ],
  read: [
    "activity_log",
    "groups",
    "locations",
    "outgoing_communications",
    "routing_forms",
    "users",
  ],
  write: ["data_compliance", "scheduling_links", "shares"],
};

/** `default` is what tokens from before scopes carry: everything. */
export const SCOPES = [
  "default",
  ...FAMILIES["read and write"].flatMap((family) => [`${family}:read`, `${family}:write`]),
  ...FAMILIES.read.map((family) => `${family}:read`),
  ...FAMILIES.write.map((family) => `${family}:write`),
];

export interface OAuthApp {
  client_id: string;
  client_secret: string;
  /** A web app proves itself with its secret, a native one with PKCE alone. */
  kind: "web" | "native";
  name: string;
  redirect_uris: string[];
  /** One key signs every webhook of the app. */
  signing_key: string;
}

export interface AccessToken {
  token: string;
  user: Uri;
  scopes: string[];
  created_at: Micros;
  /** Null for a personal access token that never expires. */
  expires_at: Micros | null;
  revoked: boolean;
  /** Null for a personal access token. */
  app: OAuthApp | null;
  refresh_token: string | null;
  /** A refresh token works once. */
  refreshed: boolean;
}

export interface AuthorizationCode {
  code: string;
  app: OAuthApp;
  user: Uri;
  scopes: string[];
  redirect_uri: string;
  code_challenge: string;
  expires_at: Micros;
  used: boolean;
}

export class Tokens {
  readonly apps = new Map<string, OAuthApp>();
  readonly codes = new Map<string, AuthorizationCode>();
  readonly #byToken = new Map<string, AccessToken>();
  readonly #byRefreshToken = new Map<string, AccessToken>();
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  /** A new application; one of that id that is there already keeps what it was granted. */
  addApp(app: OAuthApp): void {
    const known = this.apps.get(app.client_id);
    if (known) Object.assign(known, app);
    else this.apps.set(app.client_id, app);
  }

  createPersonal(user: Uri, scopes: string[], token?: string, expiresAt?: Micros): AccessToken {
    return this.#add({
      token: token ?? `pat_${this.#random.secret(300)}`,
      user,
      scopes,
      created_at: this.#clock.now(),
      expires_at: expiresAt ?? null,
      revoked: false,
      app: null,
      refresh_token: null,
      refreshed: false,
    });
  }

  /** A two-hour access token with a refresh token beside it. */
  createOAuth(user: Uri, scopes: string[], app: OAuthApp): AccessToken {
    const now = this.#clock.now();
    return this.#add({
      token: `at_${this.#random.secret(300)}`,
      user,
      scopes,
      created_at: now,
      expires_at: now + duration("2h"),
      revoked: false,
      app,
      refresh_token: `rt_${this.#random.secret()}`,
      refreshed: false,
    });
  }

  createCode(grant: Omit<AuthorizationCode, "code" | "expires_at" | "used">): AuthorizationCode {
    const code = {
      ...grant,
      code: this.#random.secret(),
      expires_at: this.#clock.now() + duration("10m"),
      used: false,
    };
    this.codes.set(code.code, code);
    return code;
  }

  find(token: string): AccessToken | undefined {
    return this.#byToken.get(token);
  }

  findByRefreshToken(token: string): AccessToken | undefined {
    return this.#byRefreshToken.get(token);
  }

  isLive(token: AccessToken): boolean {
    return !token.revoked && (token.expires_at === null || this.#clock.now() < token.expires_at);
  }

  /** The token of an `authorization: Bearer …` header, or Calendly's 401. */
  authenticate(header: string | null): AccessToken {
    const [, value] = /^Bearer\s+(\S+)$/i.exec(header ?? "") ?? [];
    const token = value === undefined ? undefined : this.find(value);
    if (!token) throw unauthenticated("is invalid");
    if (token.revoked) throw unauthenticated("was revoked");
    if (!this.isLive(token)) throw unauthenticated("expired");
    return token;
  }

  /** What the control API shows of a token. */
  describe(token: AccessToken) {
    return {
      token: token.token,
      user: token.user,
      scopes: token.scopes,
      expires_at: token.expires_at === null ? null : formatTime(token.expires_at),
      revoked: token.revoked,
      client_id: token.app?.client_id ?? null,
    };
  }

  save(): TokensState {
    return {
      random: this.#random.state,
      apps: [...this.apps.values()],
      codes: [...this.codes.values()].map(({ app, expires_at, ...code }) => ({
        ...code,
        client_id: app.client_id,
        expires_at: formatTime(expires_at),
      })),
      tokens: [...this.#byToken.values()].map(({ app, created_at, expires_at, ...token }) => ({
        ...token,
        client_id: app?.client_id ?? null,
        created_at: formatTime(created_at),
        expires_at: saveTime(expires_at),
      })),
    };
  }

  load(state: TokensState): void {
    this.#random.state = state.random;
    for (const app of state.apps) this.apps.set(app.client_id, app);
    for (const { client_id, expires_at, ...code } of state.codes) {
      const app = this.app(client_id);
      this.codes.set(code.code, { ...code, app, expires_at: time(expires_at) });
    }
    for (const { client_id, created_at, expires_at, ...token } of state.tokens) {
      this.#add({
        ...token,
        app: client_id === null ? null : this.app(client_id),
        created_at: time(created_at),
        expires_at: loadTime(expires_at),
      });
    }
  }

  /** An application that must be there. */
  app(clientId: string): OAuthApp {
    const app = this.apps.get(clientId);
    if (app) return app;
    throw new SandboxError("not_found", `There is no application ${clientId}.`);
  }

  #add(token: AccessToken): AccessToken {
    this.#byToken.set(token.token, token);
    if (token.refresh_token) this.#byRefreshToken.set(token.refresh_token, token);
    return token;
  }
}

/** A write scope includes the read scope of its family. */
export function hasScope(granted: string[], required: string): boolean {
  return granted.includes("default") || granted.includes(required) ||
    granted.includes(required.replace(/:read$/, ":write"));
}

export function requireScopes(token: AccessToken, required: string[]): void {
  if (!required.every((scope) => hasScope(token.scopes, scope))) throw insufficientScope(required);
}
