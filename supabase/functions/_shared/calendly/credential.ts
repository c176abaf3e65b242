/**
 * The token of a connection while it is used: decrypted once, refreshed when it must be. Of any number of
 * workers one refreshes (Postgres says which), and the new pair is stored before anyone uses it.
 */
import { TemporaryFailure, type TokenSource } from "./api.ts";
import type { Credential } from "./contract.ts";
import type { Database } from "./database.ts";
import { ApiError } from "./errors.ts";
import { type Grant, InvalidGrant, refreshGrant, withReason } from "./oauth.ts";
import { decryptToken, encryptToken, type Token } from "./tokens.ts";

/** How long another worker's refresh is waited for, and how often it is looked at, in milliseconds. */
const REFRESH_PATIENCE = 40_000;
const REFRESH_POLL = 500;

export class ConnectionToken implements TokenSource {
  readonly #database: Database;
  #credential: Credential;
  #decrypted: Promise<Token> | undefined;
  #refreshing: Promise<void> | undefined;

  constructor(database: Database, credential: Credential) {
    this.#database = database;
    this.#credential = credential;
  }

  /** Errors: token_unreadable, reconnect_required, TemporaryFailure. */
  async current(): Promise<string> {
    if (this.#credential.kind === "oauth" && this.#credential.expires_soon) await this.#refresh();
    return (await this.#token()).access_token;
  }

  /** A new token in place of one that Calendly refused; undefined where there can be none. */
  async renewed(refused: string): Promise<string | undefined> {
    if (this.#credential.kind !== "oauth") return undefined;
    // Requests that run side by side are refused side by side: the first of them renews for all.
    if (await this.current() === refused) await this.#refresh();
    return await this.current();
  }

  #token(): Promise<Token> {
    const { token_jwe, connection_id } = this.#credential;
    return this.#decrypted ??= decryptToken(token_jwe, connection_id);
  }

  #replace(credential: Credential): void {
    this.#credential = credential;
    this.#decrypted = undefined;
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#refreshOnce().finally(() => this.#refreshing = undefined);
    return this.#refreshing;
  }

  async #refreshOnce(): Promise<void> {
    const { connection_id, version } = this.#credential;
    for (let waited = 0; waited < REFRESH_PATIENCE; waited += REFRESH_POLL) {
      const answer = await this.#database.call("calendly_begin_refresh", {
        connection_id,
        version,
      });
      switch (answer.status) {
        case "renewed":
          return this.#replace(answer.credential);
        case "refresh":
          return this.#replace(await this.#spendRefreshToken());
        case "wait":
          await new Promise((resolve) => setTimeout(resolve, REFRESH_POLL));
      }
    }
    throw new TemporaryFailure(
      "calendly_unavailable",
      "Another worker is refreshing the token and has not finished.",
    );
  }

  async #spendRefreshToken(): Promise<Credential> {
    const { connection_id, version } = this.#credential;
    let error: Error;
    try {
      const { refresh_token } = await this.#token();
      const grant = await refreshGrant(refresh_token!);
      const stored = await storeGrant(this.#database, connection_id, version, grant);
      if (!stored) throw new ApiError("not_connected", "This connection was ended.");
      return stored;
    } catch (caught) {
      error = caught instanceof InvalidGrant
        ? new ApiError(
          "reconnect_required",
          withReason(
            "Calendly no longer accepts this person's refresh token: access was withdrawn, or a new token was lost on the way.",
            caught,
          ),
          "The person connects again: POST /functions/v1/calendly-connect/oauth/start.",
        )
        : caught as Error;
    }
    await this.#database.call("calendly_fail_refresh", {
      connection_id,
      version,
      error: error instanceof ApiError
        ? error.toJSON()
        : { code: "calendly_unavailable", message: error.message },
    });
    throw error;
  }
}

/** Stores what a refresh has brought; null where the connection has ended. Error: lease_lost. */
async function storeGrant(
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
  });
}

/** The token of a connection that has ended here, for what is left to be ended at Calendly. */
export class RevocableToken implements TokenSource {
  readonly #database: Database;
  readonly #credential: Credential;
  #decrypted: Token | undefined;
  #isRenewed = false;

  constructor(database: Database, credential: Credential) {
    this.#database = database;
    this.#credential = credential;
  }

  /** The token to revoke: revoking a refresh token revokes its access token, too. Error: token_unreadable. */
  async revocable(): Promise<string> {
    const { access_token, refresh_token } = await this.#token();
    return refresh_token ?? access_token;
  }

  /** Error: token_unreadable. */
  async current(): Promise<string> {
    return (await this.#token()).access_token;
  }

  /**
   * Once: a token that is refused although it is new is refused for good. The refreshed token is stored
   * with the pending revocation, for the next attempt.
   */
  async renewed(): Promise<string | undefined> {
    const { refresh_token } = await this.#token();
    if (!refresh_token || this.#isRenewed) return undefined;
    const { connection_id, version } = this.#credential;
    try {
      const grant = await refreshGrant(refresh_token);
      await storeGrant(this.#database, connection_id, version, grant);
      this.#decrypted = grant;
      this.#isRenewed = true;
      return grant.access_token;
    } catch (error) {
      if (error instanceof InvalidGrant) return undefined;
      throw error;
    }
  }

  async #token(): Promise<Token> {
    const { token_jwe, connection_id } = this.#credential;
    return this.#decrypted ??= await decryptToken(token_jwe, connection_id);
  }
}
