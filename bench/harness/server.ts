/**
 * The Postgres that is measured: that of TEST_DATABASE_URL, else one that is started for it, of what is
 * installed or of npm. Each benchmark has a database of its own on it, with the product's migrations.
 */
import { cpus } from "node:os";
import postgres from "postgres";
import { openPostgres } from "../../local/database.ts";
import { FIXTURES } from "../../tests/database/fixtures/fixtures.ts";
import { Cluster } from "../../tests/harness/cluster.ts";
import { createDatabase } from "../../tests/harness/databases.ts";
import { PLATFORM_POSTGRES, startNpmPostgres } from "../../tests/harness/npm_postgres.ts";
import { SERVER_PROGRAMS } from "../../tests/harness/requirements.ts";
import type { Circumstances } from "./result.ts";
import { Session } from "./session.ts";

const DATA = new URL("data.sql", import.meta.url);

/** Memory and log as a small server has them; fsync is on, as by default. */
const SETTINGS = { max_connections: 200, shared_buffers: "1GB", max_wal_size: "4GB" };

/** Settings that the figures depend on. */
const TOLD_SETTINGS = [
  "fsync",
  "synchronous_commit",
  "shared_buffers",
  "max_wal_size",
  "work_mem",
  "jit",
  "autovacuum",
];

const WITHOUT_AUTOVACUUM = `
  do $$
  declare
    each regclass;
  begin
    for each in
      select c.oid from pg_class c
      where c.relkind = 'r' and c.relnamespace in ('public'::regnamespace, 'calendly'::regnamespace)
    loop
      execute format('alter table %s set (autovacuum_enabled = false)', each);
    end loop;
  end $$`;

/** Makes sure that there is a server, and that the harness of the tests finds it. */
export async function startServer(): Promise<AsyncDisposable> {
  if (Deno.env.get("TEST_DATABASE_URL")) return { [Symbol.asyncDispose]: async () => {} };
  const server = SERVER_PROGRAMS
    ? await Cluster.start(SERVER_PROGRAMS, SETTINGS)
    : await startNpmPostgres(PLATFORM_POSTGRES);
  Deno.env.set("TEST_DATABASE_URL", server.url);
  return server;
}

export async function describeMachine(): Promise<
  Pick<Circumstances, "cores" | "processor" | "deno" | "postgres" | "settings">
> {
  const sql = postgres(Deno.env.get("TEST_DATABASE_URL")!, { max: 1, onnotice: () => {} });
  try {
    const [{ version }] = await sql`select current_setting('server_version') as version`;
    const settings = await sql`
      select name, current_setting(name) as setting from pg_settings
      where name = any (${TOLD_SETTINGS}) order by name`;
    return {
      cores: cpus().length,
      processor: cpus()[0].model.trim(),
      deno: Deno.version.deno,
      postgres: version.split(" ")[0],
      settings: Object.fromEntries(settings.map(({ name, setting }) => [name, setting])),
    };
  } finally {
    await sql.end();
  }
}

/** A database with the product, the fixtures of the tests and bench's data. */
export class Database implements AsyncDisposable {
  private constructor(
    readonly url: string,
    /** Of the superuser, for what is not measured. */
    readonly admin: Session,
    readonly drop: () => Promise<void>,
  ) {}

  /** Without `autovacuum` nothing is analyzed but by `settle`: what is counted is the same each time. */
  static async create({ autovacuum = true } = {}): Promise<Database> {
    const { url, drop } = await createDatabase({ seed: false });
    const prepared = await openPostgres(url);
    try {
      await prepared.script(FIXTURES + await Deno.readTextFile(DATA));
      if (!autovacuum) await prepared.script(WITHOUT_AUTOVACUUM);
    } finally {
      await prepared.close();
    }
    return new Database(url, await Session.open(url, "none"), drop);
  }

  /** A warm connection as the functions have it. */
  session(): Promise<Session> {
    return Session.open(this.url);
  }

  /** As after the work of autovacuum, and with the log written out. */
  async settle(): Promise<void> {
    await this.admin.script("vacuum analyze");
    await this.admin.script("checkpoint");
  }

  /** How many bytes of WAL the server has written: the difference of two is what came in between. */
  async walBytes(): Promise<number> {
    const { rows: [{ bytes }] } = await this.admin.run(
      "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float as bytes",
    );
    return bytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin[Symbol.asyncDispose]();
    await this.drop();
  }
}
