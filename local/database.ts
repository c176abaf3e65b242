/**
 * The stack's database: the embedded Postgres, on disk or in memory, or a real one by its URL; either one
 * prepared like a Supabase project's, migrated and seeded. The rest of the stack does not see which it is.
 */
import { createPgliteConnection, type PgliteConnection } from "@supabase/lite/pglite";
import type { PostgresConnection } from "@supabase/lite/postgres";
import { pgtap } from "@electric-sql/pglite/pgtap";
import { CompiledQuery } from "kysely";
import { isolateExitCode, Session, shareSession } from "./embedded.ts";
import { type Migration, readMigrations } from "../cli/migrations.ts";
import { AS_OWNER, migrate, PLATFORM, REALTIME, SEED } from "./migrations.ts";
import { Connections, dataApiConnection, isoTime, parseFloating } from "./postgres.ts";
import { servePostgresWire } from "./wire.ts";

/** Statements of one transaction. */
export interface Transaction {
  /** Several statements without parameters. */
  exec(sql: string): Promise<void>;
  /** One statement, with `$1` for parameters. */
  query<T = Record<string, unknown>>(sql: string, parameters?: unknown[]): Promise<T[]>;
}

/** An open database. Times come back as PostgREST writes them, jsonb parsed. */
export interface Database {
  kind: "embedded" | "postgres";
  /** Where psql and the Supabase CLI reach it. */
  url: string;
  /** What the Data API and Auth use. */
  connection: PgliteConnection | PostgresConnection;
  /** One statement, with `$1` for parameters. */
  query<T = Record<string, unknown>>(sql: string, parameters?: unknown[]): Promise<T[]>;
  /** Runs `work` in a transaction, which an error takes back. */
  transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Several statements in one transaction. */
  script(sql: string): Promise<void>;
  /** One command by itself as a role, not in a transaction: it may commit. Its settings go. */
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

/** Takes back a command's transaction, settings, role and temporary objects. */
const END_COMMAND = "rollback; reset all; reset role; discard temp";

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
      parsers: { 700: parseFloating, 701: parseFloating, 1114: isoTime, 1184: isoTime },
    },
  });
  const pglite = await isolateExitCode(connection.driver);
  const session = new Session(pglite);
  shareSession(connection, session);
  const wire = options.port === undefined
    ? undefined
    : servePostgresWireNear(session, options.port);
  const transaction: Database["transaction"] = (work) =>
    session.use((pglite) =>
      pglite.transaction((transaction) =>
        work({
          exec: async (sql) => void await transaction.exec(sql),
          query: async <T>(sql: string, parameters?: unknown[]) =>
            (await transaction.query<T>(sql, parameters)).rows,
        })
      )
    );

  return {
    kind: "embedded",
    url: wire ? `postgresql://postgres@127.0.0.1:${wire.port}/postgres` : "",
    connection,
    query: (sql, parameters) => run(connection, sql, parameters),
    transaction,
    script: (sql) => transaction(({ exec }) => exec(sql)),
    command: (role, sql) =>
      session.use(async (pglite) => {
        await pglite.exec(`set role "${role}"`);
        try {
          await pglite.exec(sql);
        } finally {
          await pglite.exec(END_COMMAND);
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
  const connections = new Connections(url);
  signal?.addEventListener("abort", () => connections.cut(), { once: true });
  try {
    await connections.learnArrays();
  } catch (error) {
    await connections.close();
    throw error;
  }
  const connection = dataApiConnection(connections, url);
  const transaction: Database["transaction"] = (work) =>
    connections.transaction((client) =>
      work({
        exec: async (sql) => void await client.query(sql),
        query: async (sql, parameters) => (await client.query(sql, parameters)).rows,
      })
    );
  return {
    kind: "postgres",
    url,
    connection,
    query: (sql, parameters) => run(connection, sql, parameters),
    transaction,
    script: (sql) => transaction(({ exec }) => exec(sql)),
    command: (role, sql) =>
      connections.use(async (client) => {
        try {
          await client.query(`set role "${role}"`);
          await client.query(sql);
        } finally {
          // It fails only without its connection, which is then used no more.
          await client.query(END_COMMAND).catch(() => {});
        }
      }),
    listen: (...listener) => connections.listen(...listener),
    close: () => connections.close(),
  };
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
