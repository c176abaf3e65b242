/**
 * The token of a connection while it is used: decrypted here, refreshed when it must be. Of any number of
 * instances one refreshes (Postgres says which), and the new pair is stored before anyone uses it.
 */
import { Interruption, type TokenSource } from "./api.ts";
import type { Database } from "./database.ts";
import { ApiError } from "./errors.ts";
import { type Grant, InvalidGrant, refreshGrant } from "./oauth.ts";
import { decryptToken, encryptToken, type Token } from "./tokens.ts";

/** See calendly.credential. */
export interface Credential {
  connection_id: string;
  kind: "personal_access_token" | "oauth";
  token_jwe: string;
  version: number;
  expires_soon: boolean;
}

export class ConnectionToken implements TokenSource {
  #refreshing: Promise<void> | undefined;

  constructor(readonly database: Database, public credential: Credential) {}

  /** Errors: token_unreadable, reconnect_required, Interruption. */
  async current(): Promise<string> {
    if (this.credential.kind === "oauth" && this.credential.expires_soon) await this.#refresh();
    const { token_jwe, connection_id } = this.credential;
    return (await decryptToken(token_jwe, connection_id)).access_token;
  }

  /** A new token in place of one that Calendly refused; undefined where there can be none. */
  async renewed(refused: string): Promise<string | undefined> {
    if (this.credential.kind !== "oauth") return undefined;
    // requests under way at once are refused at once: the first of them renews for all
    if (await this.current() === refused) await this.#refresh();
    return await this.current();
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshOnce().finally(() => this.#refreshing = undefined);
    return this.#refreshing;
  }

  async #refreshOnce(): Promise<void> {
    const { connection_id, version, token_jwe } = this.credential;
    for (let waited = 0; waited < 40; waited += 0.5) {
      const answer = await this.database.call("calendly_begin_refresh", {
        connection_id,
        version,
      }) as
        | { status: "refresh" | "wait" }
        | { status: "renewed"; credential: Credential };
      if (answer.status === "renewed") {
        this.credential = answer.credential;
        return;
      }
      if (answer.status === "refresh") {
        this.credential = await refresh(this.database, connection_id, version, token_jwe);
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    throw new Interruption("calendly_unavailable", "The token is being refreshed elsewhere.");
  }
}

async function refresh(
  database: Database,
  connection_id: string,
  version: number,
  jwe: string,
): Promise<Credential> {
  let error: Error;
  try {
    const { refresh_token } = await decryptToken(jwe, connection_id);
    const kept = await keepGrant(
      database,
      connection_id,
      version,
      await refreshGrant(refresh_token!),
    );
    if (!kept) throw new ApiError("not_connected", "This connection was ended.");
    return kept;
  } catch (caught) {
    error = caught instanceof InvalidGrant
      ? new ApiError(
        "reconnect_required",
        "Calendly knows this person's refresh token no more: access was withdrawn, or a new token was lost on the way.",
        "The person connects again: POST /functions/v1/calendly-connect/oauth/start.",
      )
      : caught as Error;
  }
  await database.call("calendly_fail_refresh", {
    connection_id,
    version,
    error: error instanceof ApiError
      ? error.toJSON()
      : { code: "calendly_unavailable", message: error.message },
  });
  throw error;
}

/** Stores what a refresh has brought; null where the connection has ended. Error: lease_lost. */
async function keepGrant(
  database: Database,
  connection_id: string,
  version: number,
  grant: Grant,
): Promise<Credential | null> {
  return await database.callUntilAnswered("calendly_finish_refresh", {
    connection_id,
    version,
    token_jwe: await encryptToken(grant, connection_id),
    expires_in: Math.floor(grant.expires_in),
  }) as Credential | null;
}

/** The token of a connection that has ended here, for what is left to be done at Calendly. */
export class LastToken implements TokenSource {
  #token: Token | undefined;

  constructor(readonly database: Database, readonly credential: Credential) {}

  /** The token to revoke: a refresh token takes its access token along. Error: token_unreadable. */
  async revocable(): Promise<string> {
    const { access_token, refresh_token } = await this.#read();
    return refresh_token ?? access_token;
  }

  /** Error: token_unreadable. */
  async current(): Promise<string> {
    return (await this.#read()).access_token;
  }

  async renewed(): Promise<string | undefined> {
    const { refresh_token } = await this.#read();
    if (!refresh_token) return undefined;
    const { connection_id } = this.credential;
    try {
      const grant = await refreshGrant(refresh_token);
      await keepGrant(this.database, connection_id, this.credential.version++, grant);
      this.#token = grant;
      return grant.access_token;
    } catch (error) {
      if (error instanceof InvalidGrant) return undefined;
      throw error;
    }
  }

  async #read(): Promise<Token> {
    const { token_jwe, connection_id } = this.credential;
    return this.#token ??= await decryptToken(token_jwe, connection_id);
  }
}
