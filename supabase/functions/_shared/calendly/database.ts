/** The functions' only way to Postgres: one RPC, one jsonb in, one jsonb out, as the service role. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import { secretKeys, supabaseUrl } from "./environment.ts";
import { ApiError, DatabaseError } from "./errors.ts";
import type { Database as Schema } from "./database.types.ts";

type Functions = Schema["public"]["Functions"];
type Arguments<Name extends keyof Functions> = { [Key in keyof Functions[Name]["Args"]]: unknown };

/** Longer than Postgres lets an API role's statement run. */
const TIMEOUT = 12_000;

export class Database {
  #client: SupabaseClient<Schema>;

  constructor(key = secretKey()) {
    this.#client = createClient<Schema>(supabaseUrl(), key, {
      auth: { persistSession: false, autoRefreshToken: false },
    });
  }

  /**
   * Calls one of our SQL functions. Errors: what the function raises by its own code, and
   * migrations_missing, database_unavailable, not_configured; DatabaseError for what nobody expects.
   */
  async call<Name extends keyof Functions & string>(
    name: Name,
    args: Arguments<Name>,
  ): Promise<unknown> {
    const { data, error, status } = await this.#client.rpc(name, args as never)
      .abortSignal(AbortSignal.timeout(TIMEOUT));
    if (!error) return data;
    // raised by calendly.fail: its code is the detail, which a trigger of the app's own does not have
    if (error.code === "P0001" && /^[a-z_]+$/.test(error.details ?? "")) {
      throw new ApiError(error.details, error.message, error.hint || undefined);
    }
    // a trigger of the app's own may miss a function, too
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

/** The one that the platform gives the functions. Error: not_configured. */
function secretKey(): string {
  const { default: first, service_role: legacy, ...others } = secretKeys();
  const key = first ?? Object.values(others)[0] ?? legacy;
  if (!key) {
    throw new ApiError(
      "not_configured",
      "No secret key is set.",
      "The platform sets SUPABASE_SECRET_KEYS.",
    );
  }
  return key;
}
