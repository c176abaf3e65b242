/** The functions' only way to Postgres: one RPC, one jsonb in, one jsonb out, as the service role. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { secretKeys, supabaseUrl } from "./environment.ts";
import { ApiError } from "./errors.ts";
import type { Database as Schema } from "./database.types.ts";

type Functions = Schema["public"]["Functions"];
type Arguments<Name extends keyof Functions> = { [Key in keyof Functions[Name]["Args"]]: unknown };

/** Longer than Postgres lets an API role's statement run. */
const TIMEOUT = 12_000;

export class Database {
  #client: SupabaseClient<Schema>;

  constructor() {
    const { default: first, service_role: legacy, ...others } = secretKeys();
    const key = first ?? Object.values(others)[0] ?? legacy;
    if (!key) {
      throw new ApiError(
        "not_configured",
        "No secret key is set.",
        "The platform sets SUPABASE_SECRET_KEYS.",
      );
    }
    this.#client = createClient<Schema>(supabaseUrl(), key, {
      auth: { persistSession: false, autoRefreshToken: false },
    });
  }

  /**
   * Calls one of our SQL functions. Errors: what the function raises by its own code, and
   * migrations_missing, database_unavailable.
   */
  async call<Name extends keyof Functions & string>(
    name: Name,
    args: Arguments<Name>,
  ): Promise<unknown> {
    const { data, error, status } = await this.#client.rpc(name, args as never)
      .abortSignal(AbortSignal.timeout(TIMEOUT));
    if (!error) return data;
    // raised by calendly.fail: its code is the detail
    if (error.code === "P0001") {
      throw new ApiError(error.details, error.message, error.hint || undefined);
    }
    if (/^PGRST(202|00\d)$/.test(error.code ?? "") || error.code === "42883") {
      throw new ApiError(
        "migrations_missing",
        "The database does not have this project's functions yet.",
        "Apply the migrations: supabase db push, or the output of `deno task sql`.",
      );
    }
    if (!error.code || status >= 500 || /^(08|53|55P03|57|40)/.test(error.code)) {
      throw new ApiError(
        "database_unavailable",
        "The database does not answer.",
        "Try again in a moment.",
        { reason: error.code || undefined },
      );
    }
    throw new Error(`${name}: ${error.code} ${error.message}`);
  }

  /** The same, tried again while the database is away: only for what Postgres applies once however often it comes. */
  async callUntilAnswered<Name extends keyof Functions & string>(
    name: Name,
    args: Arguments<Name>,
  ): Promise<unknown> {
    for (let attempt = 1;; attempt++) {
      try {
        return await this.call(name, args);
      } catch (error) {
        if (
          !(error instanceof ApiError && error.code === "database_unavailable") || attempt === 4
        ) throw error;
        await new Promise((resolve) => setTimeout(resolve, 250 * 3 ** (attempt - 1)));
      }
    }
  }
}
