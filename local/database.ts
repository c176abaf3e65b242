/**
 * The stack's database: the embedded Postgres, on disk or in memory, or a real one by its URL; either one
 * prepared like a Supabase project's, migrated and seeded. The rest of the stack does not see which it is.
 */
import { createPgliteConnection, type PgliteConnection } from "@supabase/lite/pglite";
import { createPostgresConnection, type PostgresConnection } from "@supabase/lite/postgres";
import { pgtap } from "@electric-sql/pglite/pgtap";
import { CompiledQuery } from "kysely";
import postgres from "postgres"; // The driver of @supabase/lite/postgres, which leaves its choice to us.
import { isolateExitCode, Session, shareSession } from "./embedded.ts";
import { type Migration, readMigrations } from "../cli/migrations.ts";
import { AS_OWNER, migrate, PLATFORM, REALTIME, SEED } from "./migrations.ts";
import { servePostgresWire } from "./wire.ts";

/** An open database. Times come back as PostgREST writes them, jsonb parsed. */
export interface Database {
  kind: "embedded" | "postgres";
  /** Where psql and the Supabase CLI reach it. */
  url: string;
  /** What the Data API and Auth use. */
  connection: PgliteConnection | PostgresConnection;
  /** One statement, with `$1` for parameters. */
  query<T = Record<string, unknown>>(sql: string, parameters?: unknown[]): Promise<T[]>;
  /** Several statements, and perhaps one with parameters after them, in one transaction. */
  script(sql: string, last?: { sql: string; parameters: unknown[] }): Promise<void>;
  /** One command by itself as a role, not in a transaction: it may commit. */
  command(role: string, sql: string): Promise<void>;
  /**
   * Calls `notified` with the payload of each NOTIFY on the channel, until the function that it returns is
   * called, and `resumed` when it listens again after notifications may have been missed.
   */
  listen(
    channel: string,
    notified: (payload: string) => void,
    resumed?: () => void,
  ): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

/** Postgres's numbers of these types. */
const TIMESTAMP = 1114;
const TIMESTAMPTZ = 1184;
const TIME_TYPES = [TIMESTAMP, TIMESTAMPTZ];

/** "2026-11-26 11:15:00+00" as Postgres has it in JSON: 2026-11-26T11:15:00+00:00. */
function isoTime(text: string): string {
  return text.replace(" ", "T").replace(/([+-]\d\d)(?=$| BC$)/, "$1:00");
}

/** What a database is prepared with. */
export interface Preparation {
  /** What a project's default privileges grant on new objects in public: old projects all, new ones none. */
  defaultPrivileges?: "all" | "none";
  /** Folder of the migrations, or null for none at all. */
  migrations?: URL | null;
  seed?: boolean;
  /** Whether it has what Realtime makes in a database: by default not. */
  realtime?: boolean;
  onApply?: (migration: Migration) => void;
}

/** Makes an open database like a Supabase project's, migrates and seeds it. Returns what was applied. */
export async function prepare(database: Database, options: Preparation = {}): Promise<string[]> {
  const { defaultPrivileges = "none", migrations, seed = true, realtime = false, onApply } =
    options;
  await database.script(await platformSql(defaultPrivileges));
  if (realtime) await database.script(await Deno.readTextFile(REALTIME));
  if (migrations === null) return [];
  const applied = await migrate(database, await readMigrations(migrations), onApply);
  if (realtime) await enableLiveUpdates(database);
  if (seed) await database.script(AS_OWNER + await Deno.readTextFile(SEED));
  return applied;
}

/** In a database that was migrated before it had Realtime, as the README says. */
async function enableLiveUpdates(database: Database): Promise<void> {
  const [{ missing }] = await database.query(
    `select to_regprocedure('calendly.enable_live_updates()') is not null and not exists (
       select from pg_catalog.pg_policies p
       where p.schemaname = 'realtime' and p.policyname = 'People receive their own Calendly updates'
     ) as missing`,
  );
  if (missing) await database.script(AS_OWNER + "select calendly.enable_live_updates()");
}

/**
 * Opens the embedded Postgres: in `folder`, or in memory, there from an `image` if there is one. `port`
 * serves the wire protocol: where it is taken or 0, a free one is used; undefined: it is not served.
 */
export async function openEmbedded(
  options: { folder?: string; image?: Blob; port?: number } = {},
): Promise<Database & { image: () => Promise<Blob> }> {
  const connection = await createPgliteConnection({
    url: options.folder,
    pgliteOptions: {
      loadDataDir: options.image,
      extensions: { pgtap },
      parsers: Object.fromEntries(TIME_TYPES.map((type) => [type, isoTime])),
    },
  });
  const pglite = await isolateExitCode(connection.driver);
  const session = new Session(pglite);
  shareSession(connection, session);
  const wire = options.port === undefined
    ? undefined
    : servePostgresWireNear(session, options.port);

  return {
    kind: "embedded",
    url: wire ? `postgresql://postgres@127.0.0.1:${wire.port}/postgres` : "",
    connection,
    query: (sql, parameters) => run(connection, sql, parameters),
    script: (sql, last) =>
      session.use((pglite) =>
        pglite.transaction(async (transaction) => {
          await transaction.exec(sql);
          if (last) await transaction.query(last.sql, last.parameters);
        })
      ),
    command: (role, sql) =>
      session.use(async (pglite) => {
        await pglite.exec(`set role "${role}"`);
        try {
          await pglite.exec(sql);
        } finally {
          await pglite.exec("rollback");
          await pglite.exec("reset role");
        }
      }),
    listen: (channel, notified) => session.listen(channel, notified),
    image: () =>
      session.use(async (pglite) => {
        await pglite.exec("checkpoint"); // Without it, each start from the image would replay the log.
        return await pglite.dumpDataDir("none");
      }),
    async close() {
      await wire?.stop();
      await connection.close();
    },
  };
}

function servePostgresWireNear(session: Session, port: number) {
  try {
    return servePostgresWire(session, port);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    return servePostgresWire(session, 0);
  }
}

/** Opens a real Postgres. Once `signal` aborts, whatever waits for its answers gets an error instead. */
export async function openPostgres(url: string, signal?: AbortSignal): Promise<Database> {
  signal?.throwIfAborted();
  // The Data API and the driver would both encode a jsonb argument: text is passed on unchanged.
  const encode = (value: unknown) => typeof value === "string" ? value : JSON.stringify(value);
  let onclose = () => {};
  const connection = createPostgresConnection({
    url,
    postgresOptions: {
      onnotice: () => {},
      onclose: () => onclose(),
      types: {
        json: { to: 114, from: [114], serialize: encode, parse: JSON.parse },
        jsonb: { to: 3802, from: [3802], serialize: encode, parse: JSON.parse },
        timestamp: {
          to: TIMESTAMP,
          from: [TIMESTAMP],
          serialize: (text: string) => text,
          parse: isoTime,
        },
        timestamptz: {
          to: TIMESTAMPTZ,
          from: [TIMESTAMPTZ],
          serialize: (text: string) => text,
          parse: isoTime,
        },
      },
    },
  });
  onclose = retryAfterDisconnect(connection.driver);
  signal?.addEventListener("abort", () => connection.driver.end({ timeout: 0 }), { once: true });
  try {
    await run(connection, "select 1");
  } catch (error) {
    await connection.close();
    throw error;
  }
  return {
    kind: "postgres",
    url,
    connection,
    query: (sql, parameters) => run(connection, sql, parameters),
    script: async (sql, last) => {
      await connection.driver.begin(async (transaction) => {
        await transaction.unsafe(sql).simple();
        if (last) await transaction.unsafe(last.sql, last.parameters as never[]);
      });
    },
    command: async (role, sql) => {
      const session = await connection.driver.reserve();
      try {
        await session.unsafe(`set role "${role}"`);
        await session.unsafe(sql).simple();
      } finally {
        await session.unsafe("rollback");
        await session.unsafe("reset role");
        session.release();
      }
    },
    listen: async (channel, notified, resumed) => {
      let listens = false;
      // On a connection of its own, which the driver makes again whenever it is lost.
      const { unlisten } = await connection.driver.listen(channel, notified, () => {
        if (listens) resumed?.();
        listens = true;
      });
      return async () => void await unlisten();
    },
    close: () => connection.driver.end({ timeout: 5 }),
  };
}

/**
 * Makes the driver usable after a restart of Postgres; returns what the driver must call whenever it loses
 * a connection. With each lost connection the driver drops one caller that waits for a free one, so the
 * callers ask again; and it does not fail the statements of a caller that has reserved the lost one: see
 * `failWhenDisconnected`.
 */
function retryAfterDisconnect(driver: postgres.Sql): () => void {
  const [reserve, end] = [driver.reserve.bind(driver), driver.end.bind(driver)];
  const waiting = new Set<() => void>();
  let isAsking = false;
  let hasEnded = false;
  driver.end = (options) => {
    hasEnded = true;
    return end(options);
  };
  driver.reserve = () =>
    new Promise((resolve, reject) => {
      const ask = async () => {
        try {
          if (hasEnded) throw new Error("The connections to Postgres have been closed.");
          const session = await reserve();
          if (!waiting.delete(ask)) session.release(); // asked twice, and both were answered
          else resolve(failWhenDisconnected(session));
        } catch (error) {
          waiting.delete(ask);
          reject(error);
        }
      };
      waiting.add(ask);
      ask();
    });
  return () => {
    if (isAsking) return;
    isAsking = true;
    setTimeout(() => {
      isAsking = false;
      for (const ask of [...waiting]) ask();
    });
  };
}

/**
 * A reserved connection whose statements fail once it is lost, and which is not released then: the driver
 * has released it already.
 */
function failWhenDisconnected(session: postgres.ReservedSql): postgres.ReservedSql {
  const { unsafe, release } = session;
  let query: { reject(reason: Error): void } | undefined;
  let disconnected: Error | undefined;
  // The same hook that the driver's own transactions use.
  const onexecute = (connection: { onclose: (reason: Error) => void }) => {
    connection.onclose = (reason) => {
      disconnected = reason;
      query?.reject(reason);
    };
    return true;
  };
  session.unsafe = ((text: string, parameters?: never[], options?: postgres.UnsafeQueryOptions) => {
    if (disconnected) return Promise.reject(disconnected);
    const answer = unsafe(text, parameters, { ...options, onexecute } as typeof options);
    query = answer as unknown as typeof query;
    answer.catch((error) => {
      if (error.severity === "FATAL") disconnected ??= error; // Postgres ends the session after it.
    });
    return answer;
  }) as typeof unsafe;
  session.release = () => {
    if (!disconnected) release();
  };
  return session;
}

async function run<T>(
  connection: PgliteConnection | PostgresConnection,
  sql: string,
  parameters: unknown[] = [],
): Promise<T[]> {
  const { rows } = await connection.kysely.executeQuery<T>(CompiledQuery.raw(sql, parameters));
  return rows;
}

async function platformSql(defaultPrivileges: "all" | "none"): Promise<string> {
  return `set local platform.default_privileges = '${defaultPrivileges}';\n` +
    await Deno.readTextFile(PLATFORM);
}
