/** The functions' only way to Postgres: one RPC, as the service role, with an answer by the contract. */
import { PostgrestClient } from "@supabase/postgrest-js";
import { type Answer, type Arguments, parseAnswer, RPC, type RpcName } from "./contract.ts";
import { secretKey, setting } from "./environment.ts";
import { ApiError, DatabaseError } from "./errors.ts";

/** How much longer an answer is waited for than Postgres lets the statement run, in milliseconds. */
const MARGIN = 4_000;
/** No further attempt is made after so many milliseconds: another worker may soon have the lease. */
const RETRY_TIME = 60_000;

export class Database {
  readonly #client: PostgrestClient;

  constructor(key = secretKey()) {
    this.#client = new PostgrestClient(`${setting("SUPABASE_URL")}/rest/v1`, {
      headers: { apikey: key, authorization: `Bearer ${key}` },
    });
  }

  /**
   * Calls one of our SQL functions. Errors: what the function raises by its own code, and
   * migrations_missing, database_outdated, functions_outdated, database_unavailable, not_configured;
   * DatabaseError for what nobody expects.
   */
  async call<Name extends RpcName>(name: Name, args: Arguments<Name>): Promise<Answer<Name>> {
    const { data, error, status } = await this.#client.rpc(name, args)
      .abortSignal(AbortSignal.timeout(RPC[name].seconds * 1000 + MARGIN));
    if (!error) return parseAnswer(RPC[name].answer, data, name) as Answer<Name>;
    // Raised by calendly.raise_error: its code is the detail. An app's own trigger has no such detail.
    if (error.code === "P0001" && /^[a-z_]+$/.test(error.details ?? "")) {
      throw new ApiError(error.details, error.message, error.hint || undefined);
    }
    // A trigger of the app's own may miss a function, too: only the name tells whose it is.
    const isMissing = error.code === "42883" && /\bcalendly[._]/.test(error.message);
    if (error.code === "PGRST202" || isMissing) {
      throw new ApiError(
        "migrations_missing",
        "The database does not have this project's functions yet.",
        "Apply the migrations: npx supabase db push, or the output of `npx -y deno@2.9.6 task sql`.",
      );
    }
    if (status === 401) {
      throw new ApiError(
        "not_configured",
        "The Data API does not accept the secret key.",
        "Is it a secret key of this project, and not revoked? The platform sets SUPABASE_SECRET_KEYS anew when the functions are deployed.",
      );
    }
    if (!error.code || status >= 500 || /^(08|53|55P03|57|40)/.test(error.code)) {
      throw new ApiError(
        "database_unavailable",
        "The database does not answer.",
        "Try again in a moment. If it lasts, see whether the project's database is up and not overloaded.",
        { reason: error.code || undefined },
      );
    }
    throw new DatabaseError(error.code, `${name}: ${error.code} ${error.message}`);
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
        const isAway = error instanceof ApiError && error.code === "database_unavailable";
        if (!isAway || attempt === 4 || performance.now() - began > RETRY_TIME) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250 * 3 ** (attempt - 1)));
      }
    }
  }
}
