/** One connection to Postgres: times a call as a client sees it, or counts what it reads and writes. */
import postgres from "postgres";

/** What a statement read and wrote. */
export interface Counts {
  ms: number;
  /** Pages of 8 kB that it looked at, in memory or not. */
  buffers: number;
  /** Bytes of WAL. */
  wal: number;
  /** Rows that it read of a table from end to end, by table; the product's tables only. */
  scanned: Record<string, number>;
}

/** A call of an SQL function, such as `public.calendly_finish_sync($1, $2)`. */
export interface Call {
  expression: string;
  parameters?: unknown[];
}

/** jsonb is passed as text, or the driver would encode it a second time. */
const TEXT_AS_JSON = {
  to: 3802,
  from: [114, 3802],
  serialize: (value: unknown) => typeof value === "string" ? value : JSON.stringify(value),
  parse: JSON.parse,
};

export class Session implements AsyncDisposable {
  private constructor(readonly sql: postgres.Sql) {}

  /** Its statements run as `role`, by default the service role, as those of the functions do. */
  static async open(url: string, role = "service_role"): Promise<Session> {
    const session = new Session(postgres(url, {
      max: 1,
      onnotice: () => {},
      types: { jsonb: TEXT_AS_JSON },
    }));
    await session.sql.unsafe(`set role "${role}"`);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sql.end();
  }

  /** Runs a statement, prepared, and returns its rows and how long they took to come. */
  async run(
    statement: string,
    parameters: unknown[] = [],
    // deno-lint-ignore no-explicit-any -- rows of any statement
  ): Promise<{ rows: any[]; ms: number }> {
    const began = performance.now();
    const rows = await this.sql.unsafe(statement, parameters as never[], { prepare: true });
    return { rows, ms: performance.now() - began };
  }

  /** Several statements, without parameters. */
  async script(statements: string): Promise<void> {
    await this.sql.unsafe(statements).simple();
  }

  // deno-lint-ignore no-explicit-any -- answers of any function
  async call({ expression, parameters }: Call): Promise<{ answer: any; ms: number }> {
    const { rows: [{ answer }], ms } = await this.run(`select ${expression} as answer`, parameters);
    return { answer, ms };
  }

  /** Does a call and counts. `ms` has the commit in it, and the other statements of counting. */
  // deno-lint-ignore no-explicit-any -- answers of any function
  async count({ expression, parameters }: Call): Promise<{ answer: any } & Counts> {
    const statement = `insert into bench.answers (answer) select to_jsonb(${expression})`;
    return await this.#counted(statement, parameters, async (sql) => {
      const [{ answer }] = await sql`delete from bench.answers returning answer`;
      return answer;
    });
  }

  /** Runs a statement and counts, whatever it returns. */
  async countStatement(statement: string, parameters: unknown[] = []): Promise<Counts> {
    return await this.#counted(statement, parameters, () => Promise.resolve());
  }

  async #counted<T>(
    statement: string,
    parameters: unknown[] = [],
    take: (sql: postgres.TransactionSql) => Promise<T>,
  ): Promise<{ answer: T } & Counts> {
    const began = performance.now();
    const counted = await this.sql.begin(async (sql) => {
      const before = await scans(sql);
      const [{ "QUERY PLAN": [{ Plan }] }] = await sql.unsafe(
        `explain (analyze, buffers, wal, timing off, format json) ${statement}`,
        parameters as never[],
      );
      const after = await scans(sql);
      const scanned = Object.entries(after)
        .map(([table, rows]) => [table, rows - (before[table] ?? 0)] as const)
        .filter(([, rows]) => rows > 0);
      return {
        answer: await take(sql),
        buffers: Plan["Shared Hit Blocks"] + Plan["Shared Read Blocks"],
        wal: Plan["WAL Bytes"] ?? 0,
        scanned: Object.fromEntries(scanned),
      };
    });
    return { ...counted, ms: performance.now() - began } as { answer: T } & Counts;
  }
}

/** Rows that this transaction has read of each table from end to end. */
async function scans(sql: postgres.TransactionSql): Promise<Record<string, number>> {
  const rows = await sql`
    select schemaname || '.' || relname as table, seq_tup_read::integer as rows
    from pg_stat_xact_user_tables
    where schemaname in ('public', 'calendly', 'auth') and seq_tup_read > 0`;
  return Object.fromEntries(rows.map(({ table, rows }) => [table, rows]));
}
