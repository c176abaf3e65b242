/** The functions' only way to Postgres: one RPC, as the service role, with an answer by the contract. */
import { z } from "zod";
import { type Answer, type Arguments, parseAnswer, RPC, type RpcName } from "./contract.ts";
import { secretKey, setting } from "./environment.ts";
import type { ErrorCode } from "./error_codes.ts";
import { ApiError, APPLY_MIGRATIONS, DatabaseError } from "./errors.ts";

/** How much longer an answer is waited for than Postgres lets the statement run, in milliseconds. */
const MARGIN = 4_000;
/** No further attempt is made after so many milliseconds: another worker may soon have the lease. */
const RETRY_TIME = 60_000;

/** An error as the Data API tells it, Postgres's own or PostgREST's (PGRST…). */
const Refusal = z.object({
  code: z.string().catch(""),
  message: z.string().catch(""),
  details: z.string().catch(""),
  hint: z.string().catch(""),
}).catch({ code: "", message: "", details: "", hint: "" });
type Refusal = z.infer<typeof Refusal>;

export class Database {
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(key = secretKey()) {
    this.#url = `${setting("SUPABASE_URL")}/rest/v1/rpc/`;
    this.#headers = {
      apikey: key,
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      // Our functions are there, whichever schema the project exposes first.
      "content-profile": "public",
    };
  }

  /**
   * Calls one of our SQL functions. Errors: what the function raises by its own code, and
   * migrations_missing, schema_not_exposed, database_outdated, functions_outdated, database_unavailable,
   * key_claims_refused, not_configured; DatabaseError for what nobody expects.
   */
  async call<Name extends RpcName>(name: Name, args: Arguments<Name>): Promise<Answer<Name>> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url + name, {
        method: "POST",
        headers: this.#headers,
        body: JSON.stringify(args),
        signal: AbortSignal.timeout(RPC[name].seconds * 1000 + MARGIN),
      });
      text = await response.text();
    } catch {
      throw unavailable("");
    }
    const body = parse(text);
    if (!response.ok) throw errorOf(name, response.status, Refusal.parse(body));
    // Something else answers in the Data API's place.
    if (body === undefined) throw unavailable("");
    return parseAnswer(RPC[name].answer, body, name) as Answer<Name>;
  }

  /**
   * The same, tried again while the database is away. Only for functions that Postgres applies once
   * however often they are called: an answer that was lost is asked for again.
   */
  async callUntilAnswered<Name extends RpcName>(
    name: Name,
    args: Arguments<Name>,
  ): Promise<Answer<Name>> {
    const began = performance.now();
    for (let attempt = 1;; attempt++) {
      try {
        return await this.call(name, args);
      } catch (error) {
        const isAway = error instanceof ApiError && TEMPORARY.includes(error.code);
        if (!isAway || attempt === 4 || performance.now() - began > RETRY_TIME) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250 * 3 ** (attempt - 1)));
      }
    }
  }
}

const TEMPORARY = ["database_unavailable", "key_claims_refused"];

/** What a JSON text says, null where it is empty; undefined where it is no JSON. */
function parse(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Why the Data API, or the gateway before it, refuses a call. */
function errorOf(name: string, status: number, { code, message, details, hint }: Refusal): Error {
  // Raised by calendly.raise_error: its code is the detail. An app's own trigger has no such detail.
  if (code === "P0001" && /^[a-z_]+$/.test(details)) {
    return new ApiError(details as ErrorCode, message, hint || undefined);
  }
  // A trigger of the app's own may miss a function, too: only the name tells whose it is.
  if (code === "PGRST202" || (code === "42883" && /\bcalendly[._]/.test(message))) {
    return new ApiError(
      "migrations_missing",
      "The database does not have this project's functions yet.",
      APPLY_MIGRATIONS,
    );
  }
  if (code === "PGRST106") {
    return new ApiError(
      "schema_not_exposed",
      "The Data API does not expose the schema public.",
      "Add public to the exposed schemas: Project Settings > Data API, or `schemas` under [api] in supabase/config.toml. Other schemas may stay.",
    );
  }
  if (code === "PGRST303") {
    return new ApiError(
      "key_claims_refused",
      `The Data API refuses what the secret key says of itself: ${message}`,
      "If the time in it is wrong, clocks of the platform differ for a moment: try again. If it lasts, make a new secret key in Project Settings > API Keys and deploy the functions again.",
    );
  }
  if (status === 401) {
    return new ApiError(
      "not_configured",
      "The Data API does not accept the secret key.",
      "Is it a secret key of this project, and not revoked? The platform sets SUPABASE_SECRET_KEYS anew when the functions are deployed.",
    );
  }
  if (CANNOT_WRITE.test(code)) return writesRefused(code);
  const isAway = !code || (status >= 500 && !SQLSTATE.test(code)) || AWAY.test(code) ||
    (INTERNAL.test(code) && PASSES.test(message));
  if (isAway) return unavailable(code);
  return new DatabaseError(code, message, name);
}

const SQLSTATE = /^[0-9A-Z]{5}$/;
/**
 * SQLSTATEs of a database that does not answer now and may later: no connection or none that may log in,
 * an administrator's stop, a statement or lock that took too long, transactions in each other's way,
 * a prepared statement that a pooler has lost.
 */
const AWAY = /^(08|28|40|57|58|25P0|3D000|53|55P03|26000|42P05)/;
/** SQLSTATEs of a database that can be read and not written: read-only, or its disk is full. */
const CANNOT_WRITE = /^(25006|53100)/;
/** Codes that say nothing: then the message tells whether it passes. */
const INTERNAL = /^(XX000|0A000|55000)/;
/** What poolers say in Postgres's place, and what Postgres says while migrations are applied. */
const PASSES = new RegExp(
  [
    "not currently accepting connections",
    "tenant",
    "server login",
    "clients? connections?",
    "max clients",
    "connections? (pool|closed|terminated)",
    "check ?out",
    "authentication query",
    "authentication error",
    "circuit breaker",
    "shut(ting)? ?down",
    "dbhandler",
    "cached plan",
    "cache lookup failed",
    "tuple concurrently",
  ].join("|"),
  "i",
);

function unavailable(reason: string): ApiError {
  return new ApiError(
    "database_unavailable",
    "The database does not answer.",
    "Try again in a moment. If it lasts, see whether the project's database is up and not overloaded.",
    { reason: reason || undefined },
  );
}

function writesRefused(reason: string): ApiError {
  return new ApiError(
    "database_unavailable",
    "The database takes no writes now. Nothing is lost: what is missing is synced when it takes them again.",
    "The disk may be full: see Project Settings > Compute and Disk. Supabase makes a project read-only at 95 %.",
    { reason },
  );
}
