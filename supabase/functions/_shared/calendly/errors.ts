/**
 * Errors that a caller can act on. Each has a code, a message for a person and, where there is one, a
 * hint; they travel as `{"error": {code, message, hint?, …}}`. error_codes.ts lists the codes, those that
 * SQL raises (calendly.raise_error) among them, with their HTTP status.
 */
import { ERROR_CODES, type ErrorCode, type ErrorCodeEntry } from "./error_codes.ts";

export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint?: string,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message);
  }

  get status(): number {
    // A newer database may raise a code that is not in the list.
    const entry: ErrorCodeEntry | undefined = ERROR_CODES[this.code];
    return entry?.status ?? 500;
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
  "Apply the migrations: `calendly-sync deploy`, or `npx supabase db push --remote`.";
