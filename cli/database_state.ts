/** What a project's database has of the product. Reads tables only, so that a role that may only read can. */
import { readFile } from "node:fs/promises";
import { Problem } from "./problem.ts";
import type { Migration } from "./migrations.ts";
import { explainSqlError, type SqlDatabase, SqlError } from "./sql_database.ts";

export interface DatabaseState {
  postgres: string;
  isInstalled: boolean;
  /** The product's version, as calendly.version() says it; null: there is none. */
  version: string | null;
  /** Whether tokens are stored, which are of no use without the key that encrypted them. */
  hasTokens: boolean;
  /** What deploy has noted of the functions that it has put in place. */
  deployed: Record<string, string>;
  /** Tables that an earlier uninstall has kept. */
  keptTables: string[];
  /** Versions of all migrations that are recorded as applied. */
  recorded: string[];
}

/** The tables with people's data, which stay unless they are to be dropped. */
export const DATA_TABLES = ["calendly_users", "calendly_meetings", "calendly_invitees"];

const STATE = `
  select jsonb_build_object(
    'postgres', current_setting('server_version'),
    'isInstalled', to_regclass('calendly.project') is not null,
    -- Read, not called: see SqlDatabase.
    'version', (select substring(p.prosrc from '[0-9]+[.][0-9]+[.][0-9]+')
      from pg_catalog.pg_proc p
      where p.oid = to_regprocedure('calendly.version()')),
    'hasRecord', to_regclass('supabase_migrations.schema_migrations') is not null,
    'keptTables', array(
      select c.relname from pg_catalog.pg_class c
      where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and c.relname = any ('{${DATA_TABLES}}')
        and starts_with(pg_catalog.obj_description(c.oid, 'pg_class'),
          'Kept when Calendly Sync was uninstalled on ')
      order by 1)) as state`;

const INSTALLED = `
  select p.deployed, exists (select from calendly.credentials)
    or exists (select from calendly.pending_revocations) as "hasTokens"
  from calendly.project p`;

export async function readDatabaseState(database: SqlDatabase): Promise<DatabaseState> {
  const [{ state }] = await read<
    { state: Omit<DatabaseState, "hasTokens" | "deployed" | "recorded"> & { hasRecord: boolean } }
  >(database, STATE);
  const { hasRecord, ...rest } = state;
  const rows = hasRecord
    ? await read<{ version: string }>(
      database,
      "select version from supabase_migrations.schema_migrations order by 1",
    )
    : [];
  const [installed] = state.isInstalled
    ? await read<Pick<DatabaseState, "hasTokens" | "deployed">>(database, INSTALLED)
    : [{ hasTokens: false, deployed: {} }];
  return { ...rest, ...installed, recorded: rows.map(({ version }) => version) };
}

/** Notes what of the functions is in place now; null: what nobody can compare. */
export async function noteDeployed(
  database: SqlDatabase,
  digests: Record<string, string | null>,
): Promise<void> {
  const json = JSON.stringify(digests).replaceAll("'", "''");
  await database.query(
    `update calendly.project p set deployed = jsonb_strip_nulls(p.deployed || '${json}')`,
  ).catch((error) => {
    throw explainSqlError(error);
  });
}

async function read<Row>(database: SqlDatabase, sql: string): Promise<Row[]> {
  return await database.query<Row>(sql, { readOnly: true }).catch((error) => {
    throw explainSqlError(error);
  });
}

/** Rows of the tables that hold people's data. */
export async function countData(
  database: SqlDatabase,
  tables: string[],
): Promise<Record<string, number>> {
  if (tables.length === 0) return {};
  const pairs = tables.map((table) => `'${table}', (select count(*) from public.${table})`);
  const [{ counts }] = await read<{ counts: Record<string, number> }>(
    database,
    `select jsonb_build_object(${pairs.join(", ")}) as counts`,
  );
  return counts;
}

/** Users with a connection, and connections that Calendly has not been told of the end of. */
export async function countConnections(
  database: SqlDatabase,
): Promise<{ connected: number; pending: number }> {
  const [{ counts }] = await read<{ counts: { connected: number; pending: number } }>(
    database,
    `select jsonb_build_object(
      'connected', (select count(*) from public.calendly_connections c
        where c.state <> 'disconnected'),
      'pending', (select count(*) from calendly.pending_revocations)) as counts`,
  );
  return counts;
}

/** The last tick of the schedule, and the database's clock. */
export async function readTick(
  database: SqlDatabase,
): Promise<{ ticked_at: string | null; now: string }> {
  const [row] = await read<{ ticked_at: string | null; now: string }>(
    database,
    `select to_jsonb(p.ticked_at) #>> '{}' as ticked_at, to_jsonb(now()) #>> '{}' as now
      from calendly.project p`,
  );
  return row;
}

/** The statement of the first migration that stops where something of the project's is in the way. */
const MAKE_ROOM = "select pg_temp.calendly_make_room();";

/**
 * Checks as the first migration does whether all of its names are free, and takes everything back.
 * Error: names_taken, which lists what is in the way.
 */
export async function checkNames(database: SqlDatabase, migrations: Migration[]): Promise<void> {
  const [{ sql }] = migrations;
  const end = sql.indexOf(MAKE_ROOM);
  if (end < 0) throw new Error("The first migration has no check of names.");
  const check = sql.slice(0, end + MAKE_ROOM.length);
  try {
    await database.query(`begin;\n${check}\nrollback;`);
  } catch (error) {
    if (!(error instanceof SqlError) || error.sqlstate !== "42710") throw explainSqlError(error);
    throw new Problem(
      "names_taken",
      error.message,
      "Then run this again.",
      { cause: error },
    );
  }
}

/** The script that takes the product out of a database; its last line says whether the data goes. */
export async function uninstallScript(dropData: boolean): Promise<string> {
  const sql = await readFile(new URL("./uninstall.sql", import.meta.url), "utf8");
  const parameter = "drop_data => false";
  if (sql.split(parameter).length !== 2) throw new Error("uninstall.sql has another last line.");
  return sql.replace(parameter, `drop_data => ${dropData}`);
}
