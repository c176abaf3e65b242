/**
 * The Data API and Auth, served in process by @supabase/lite. All differences from the platform are
 * corrected in this file and nowhere else.
 */
import { App, RelationNotFoundError } from "@supabase/lite";
import { type Database } from "./database.ts";
import { type Keys } from "./keys.ts";
import { faultOfConnection } from "./postgres.ts";

/**
 * Answers requests to `/rest/v1` and `/auth/v1` as the platform does: API keys are required, a user's JWT
 * decides the role. `siteUrl` is where Auth's links lead.
 */
export async function createDataApi(
  database: Database,
  keys: Keys,
  siteUrl: string,
): Promise<(request: Request) => Promise<Response>> {
  const { connection } = database;
  keepGrants(connection);
  answerWithDatabaseErrors(connection);
  const app = new App({
    connection,
    auth: {
      enabled: true,
      site_url: siteUrl,
      jwt_secret: keys.jwtSecret,
      publishable_key: keys.publishableKey,
      secret_key: keys.secretKey,
      email: { enable_confirmations: false },
    },
    studio: { enabled: false },
    options: { server: { admin: false } },
    // deno-lint-ignore no-explicit-any -- its type wants every option, its code has defaults for them
  } as any);
  await app.init();
  await connection.clearSchemaCache(); // Migrations may have made types since the database was opened.

  return async (request) => {
    const again = request.clone();
    const response = await app.fetch(request);
    if (!await isNotInSchemaCache(response)) {
      discard(again);
      return response;
    }
    // Without Postgres there is no schema to read, so that everything would be missing.
    const away = await database.query("select").then(() => undefined, fromConnectionError);
    if (away) {
      discard(again);
      const { code, message, detail } = away;
      return Response.json({ code, message, details: detail, hint: null }, { status: 503 });
    }
    await connection.clearSchemaCache(); // It may have been made since the schema was read.
    return await app.fetch(again);
  };
}

/** Whether nothing was done, because the schema that was read does not have what was asked for. */
async function isNotInSchemaCache(response: Response): Promise<boolean> {
  if (response.status !== 404 && response.status !== 400) return false;
  const body = await response.clone().json().catch(() => undefined);
  return /^PGRST2\d\d$/.test(body?.code);
}

/** Not waited for: it ends when the body of the request itself ends, which nobody may read. */
function discard({ body }: Request): void {
  body?.cancel().catch(() => {});
}

type Connection = Database["connection"];

/**
 * On its first request it would grant everything in every schema with row level security to anon and
 * authenticated. With this state it takes that as done, and the migrations' grants stay.
 */
function keepGrants(connection: Connection): void {
  Object.assign(connection, { rlsState: "active" });
}

/**
 * It reports most errors that a SQL function raises as "SUP" without detail and hint, and prints every
 * error that it answers with. PostgREST's answer has all four fields, and an error that the caller gets is not printed.
 */
function answerWithDatabaseErrors(connection: Connection): void {
  const normalize = connection.normalizeDbError?.bind(connection) ?? ((error: unknown) => error);
  connection.normalizeDbError = (error: unknown) => {
    const normalized = fromConnectionError(error) ?? normalize(error);
    const answer = isDatabaseError(normalized) ? new DatabaseAnswer(normalized) : normalized;
    if (answer instanceof DatabaseAnswer || answer instanceof RelationNotFoundError) {
      answered.add(answer);
    }
    return answer;
  };
  silenceAnswered();
}

interface DatabaseError {
  code: string;
  message: string;
  detail?: string;
  hint?: string;
}

/** What PostgREST answers where it has no connection to Postgres; undefined: the error is another one. */
function fromConnectionError(error: unknown): (DatabaseError & { severity: string }) | undefined {
  const fault = faultOfConnection(error);
  if (!fault) return undefined;
  const answer = (code: string, what: string) => ({
    code,
    severity: "FATAL",
    message: `Database ${what} error. Retrying the connection.`,
    detail: (error as Error).message,
  });
  return fault === "refused" ? answer("PGRST000", "connection") : answer("PGRST001", "client");
}

function isDatabaseError(error: unknown): error is DatabaseError {
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  return typeof code === "string" && severity !== undefined;
}

/** An error of Postgres in a shape that is passed on whole: see "raise sqlstate 'PGRST'" of PostgREST. */
class DatabaseAnswer extends Error {
  readonly code: string;
  readonly detail?: string;
  readonly hint?: string;

  constructor(error: DatabaseError) {
    const status = statusOf(error.code);
    if (status === undefined) {
      super(error.message);
      this.code = error.code;
      this.detail = error.detail;
      this.hint = error.hint;
      return;
    }
    const { code, message, detail, hint } = error;
    super(JSON.stringify({ code, message, details: detail ?? null, hint: hint ?? null }));
    this.code = "PGRST";
    this.detail = JSON.stringify({ status, headers: {} });
  }
}

/** PostgREST's status for an SQLSTATE, or undefined where @supabase/lite itself answers as PostgREST does. */
function statusOf(code: string): number | undefined {
  const special: Record<string, number> = {
    P0001: 400,
    "53400": 500,
    "57P01": 503,
    PGRST000: 503,
    PGRST001: 503,
  };
  if (code in special) return special[code];
  if (/^(PGRST|PT|42|22|21|55)/.test(code) || ["23502", "23503", "23505", "25006"].includes(code)) {
    return undefined;
  }
  if (/^(08|53)/.test(code)) return 503;
  if (/^(0L|0P|28)/.test(code)) return 403;
  return /^(09|25|2D|38|39|3B|40|54|57|58|F0|HV|P0|XX)/.test(code) ? 500 : 400;
}

/** Errors that a caller has got. */
const answered = new WeakSet<object>();
let silenced = false;

function silenceAnswered(): void {
  if (silenced) return;
  silenced = true;
  const print = console.error;
  console.error = (...values: unknown[]) => {
    const [error] = values;
    if (typeof error !== "object" || error === null || !answered.has(error)) print(...values);
  };
}
