/**
 * Errors that a caller can act on. Each has a code, a message for a person and, where there is one, a
 * hint; they travel as `{"error": {code, message, hint?, …}}`. Codes raised in SQL (calendly.raise_error)
 * have their HTTP status here.
 */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly hint?: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }

  get status(): number {
    return STATUS[this.code] ?? 500;
  }

  toJSON(): Record<string, unknown> {
    return {
      code: this.code,
      message: this.message,
      ...(this.hint ? { hint: this.hint } : {}),
      ...this.details,
    };
  }
}

/** Postgres refused a call, and not by a rule of ours. Its message is for the log, not for a caller. */
export class DatabaseError extends Error {
  /** `reported`: Postgres's message. */
  constructor(readonly code: string, readonly reported: string, readonly rpc: string) {
    super(`${rpc}: ${code} ${reported}`);
  }
}

/** The error that a caller gets. An unexpected one may name a table, a path or a token: it is kept back. */
export function toApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError(
    "internal",
    "Something went wrong here.",
    error instanceof DatabaseError ? hintOf(error) : "The function's log has the details.",
  );
}

/** Classes of SQLSTATE with which an app's own trigger or constraint refuses a row. */
const OF_THE_APP = /^(09|2[1237]|38|39|42|44|P0)/;

/** These write nothing, so that no trigger or constraint has a part in them. */
const READING = ["calendly_connection_status", "calendly_health", "calendly_metrics"];

/** What is missing or denied is ours or the platform's: an app's trigger names the app's own. */
const NOT_OF_THE_APP = /\b(calendly[._]|(auth|cron|extensions|net|pg_catalog|vault)\.)/;

function hintOf({ code, reported, rpc }: DatabaseError): string {
  const isOurs = READING.includes(rpc) || (code.startsWith("42") && NOT_OF_THE_APP.test(reported));
  return OF_THE_APP.test(code) && !isOurs
    ? `The database refuses it (${code}), perhaps by a trigger or a constraint of yours: the function's log has its message.`
    : `The database failed (${code}): the function's log has its message, and the database's own log what led to it.`;
}

/** What to do where the database lacks something that these functions ask for. */
export const APPLY_MIGRATIONS =
  "Apply the migrations: `npx sync-for-calendly deploy`, or `npx supabase db push --remote`.";

const STATUS: Record<string, number> = {
  invalid_body: 400,
  invalid_query: 400,
  body_incomplete: 400,
  user_id_required: 400,
  not_authenticated: 401,
  invalid_jwt: 401,
  invalid_key: 401,
  not_authentic: 401,
  another_user: 403,
  account_closed: 403,
  not_found: 404,
  unknown_user: 404,
  method_not_allowed: 405,
  sync_in_progress: 409,
  lease_lost: 409,
  not_connected: 409,
  reconnect_required: 409,
  calendly_user_taken: 409,
  another_calendly_user: 409,
  connection_changed: 409,
  synced_by_organization: 409,
  project_moved: 409,
  subscription_ended: 410,
  body_too_large: 413,
  oauth_state_invalid: 409,
  no_organization: 422,
  token_invalid: 422,
  oauth_code_invalid: 422,
  scopes_missing: 422,
  organization_left: 424,
  token_refused: 424,
  scope_missing: 424,
  calendly_refused: 424,
  webhooks_need_plan: 424,
  webhooks_need_role: 424,
  webhooks_refused: 424,
  token_unreadable: 500,
  internal: 500,
  calendly_unavailable: 502,
  not_configured: 503,
  auth_unavailable: 503,
  database_unavailable: 503,
  key_claims_refused: 503,
  schema_not_exposed: 503,
  migrations_missing: 503,
  database_outdated: 503,
  functions_outdated: 503,
};
