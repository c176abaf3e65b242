/** A project's database, as deploy and uninstall ask it: by the Supabase CLI, or directly by its address. */
import postgres from "postgres";
import { Problem } from "./problem.ts";
import type { ProblemCode } from "./problem_codes.ts";

export interface SqlDatabase {
  /**
   * Runs SQL as the project's owner and returns the rows of its last statement. `readOnly`: one SELECT or
   * WITH, of tables only: the role that may read everything may call none of our functions.
   */
  query<Row>(sql: string, options?: { readOnly?: boolean }): Promise<Row[]>;
  close(): Promise<void>;
}

/** What Postgres answered in place of rows. */
export class SqlError extends Error {
  override name = "SqlError";
  constructor(
    readonly sqlstate: string,
    message: string,
    readonly detail?: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}

/** A project's database by its address: the one of `supabase start`, or any other. */
export function openByUrl(url: string, password?: string): SqlDatabase {
  const connection = postgres(url, {
    max: 1,
    onnotice: () => {},
    connect_timeout: 10,
    ...password ? { password } : {},
  });
  return {
    async query<Row>(sql: string): Promise<Row[]> {
      try {
        const result = await connection.unsafe(sql).simple() as unknown as Row[] | Row[][];
        // Several statements give several results.
        const rows = Array.isArray(result[0]) ? (result as Row[][]).at(-1)! : result as Row[];
        return [...rows];
      } catch (error) {
        if (error instanceof postgres.PostgresError) {
          throw new SqlError(error.code, error.message, error.detail, error.hint);
        }
        throw new Problem(
          "database_unreachable",
          `The database does not answer: ${(error as Error).message || "no connection"}.`,
          "The address is postgresql://user@host:port/database, and PGPASSWORD has the password; the " +
            "database of `supabase start` is found by --local.",
          { cannotTell: true, cause: error },
        );
      }
    },
    close: () => connection.end({ timeout: 5 }),
  };
}

/** What an error of Postgres means where no statement expects it. */
export function explainSqlError(error: unknown): unknown {
  if (!(error instanceof SqlError)) return error;
  const { sqlstate, message, detail, hint } = error;
  if (sqlstate === "25006") {
    return new Problem(
      "database_read_only",
      "The database takes no writes at present. Nothing was changed by this step.",
      "A project whose disk is full is read-only: see Database, Reports in the dashboard. A read " +
        "replica takes none ever. Then run this again.",
      { cause: error },
    );
  }
  // Our own errors have a code, before the message or as the detail.
  const [, code, text] = message.match(/^([a-z_]+): ([^]*)$/) ??
    [, detail?.match(/^[a-z_]+$/)?.[0] ?? "database_error", message];
  return new Problem(
    code as ProblemCode,
    text!,
    hint || `Postgres says it (SQLSTATE ${sqlstate}). Nothing was changed by this step.`,
    { cause: error },
  );
}
