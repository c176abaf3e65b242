/**
 * Fresh, migrated databases for tests: from an image in memory, or from a template on a real Postgres.
 *
 *     databaseTest("a former host gets no row", async (database) => { … });
 */
import postgres from "postgres";
import { type Database, openPostgres, type Preparation, prepare } from "../../local/database.ts";
import { preparationHash } from "../../local/image.ts";
import { needing, REQUIREMENTS } from "./requirements.ts";
import { borrowEmbedded } from "./reuse.ts";

/** Databases that a test can run on. */
export type Kind = "embedded" | "real";

export interface DatabaseTestOptions extends Preparation {
  /** Databases to run on: both (the default), or the one that the behaviour needs. */
  on?: Kind | "both";
  /** Only with REQUIRE_ALL=1. */
  long?: boolean;
}

/** Registers a test once per database, with a new one each time. */
export function databaseTest(
  name: string,
  test: (database: Database, t: Deno.TestContext) => Promise<unknown>,
  { on = "both", long, ...preparation }: DatabaseTestOptions = {},
): void {
  testOnEach(name, on, async (kind, t) => {
    await using database = await openTestDatabase(kind, preparation);
    await test(database, t);
  }, { long });
}

/** Registers a test per database; TEST_ONCE=1: on one only, the real one if there is one. */
export function testOnEach(
  name: string,
  on: Kind | "both",
  test: (kind: Kind, t: Deno.TestContext) => Promise<unknown>,
  { long = false }: { long?: boolean } = {},
): void {
  const once = REQUIREMENTS.realPostgres.met ? "real" : "embedded";
  const kinds: Kind[] = on !== "both"
    ? [on]
    : Deno.env.get("TEST_ONCE")
    ? [once]
    : ["embedded", "real"];
  for (const kind of kinds) {
    Deno.test({
      ...needing(
        kind === "embedded" ? `${name} [embedded Postgres]` : name,
        ...kind === "real" ? ["realPostgres" as const] : [],
        ...long ? ["longRun" as const] : [],
      ),
      async fn(t) {
        await test(kind, t);
      },
    });
  }
}

/** A new database; it is gone when it is disposed of. `onWire`: an embedded one has a URL, too. */
export async function openTestDatabase(
  kind: Kind,
  preparation: Preparation = {},
  onWire = false,
): Promise<Database & AsyncDisposable> {
  if (kind === "embedded") {
    const database = await borrowEmbedded(preparation, { onWire });
    return { ...database, [Symbol.asyncDispose]: () => database.close() };
  }
  const { url, drop } = await createDatabase(preparation);
  const database = await openPostgres(url);
  return {
    ...database,
    async [Symbol.asyncDispose]() {
      await database.close();
      await drop();
    },
  };
}

/** A new database on the Postgres of TEST_DATABASE_URL, migrated and seeded; dropped by `drop`. */
export async function createDatabase(
  preparation: Preparation = {},
): Promise<{ url: string; drop: () => Promise<void> }> {
  const server = Deno.env.get("TEST_DATABASE_URL")!;
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  await administer(server, async (sql) => {
    const template = await makeTemplate(server, sql, preparation);
    // As on the platform. A database's rights and settings do not come with the template.
    await sql.unsafe(`create database ${name} template ${template} owner postgres`);
    await sql.unsafe(`alter database ${name} set search_path to "$user", public, extensions`);
  });
  return {
    url: databaseUrl(server, name),
    drop: () => administer(server, (sql) => sql.unsafe(`drop database ${name} with (force)`)),
  };
}

async function makeTemplate(
  server: string,
  sql: postgres.ReservedSql,
  preparation: Preparation,
): Promise<string> {
  const template = `template_${(await preparationHash(preparation)).slice(0, 24)}`;
  // Test files run in parallel: one of them makes it, the others wait.
  await sql`select pg_advisory_lock(hashtext('calendly sync test template'))`;
  try {
    const [made] = await sql`select from pg_database where datname = ${template}`;
    if (made) return template;
    await sql.unsafe(`drop database if exists ${template}_unfinished`);
    await sql.unsafe(`create database ${template}_unfinished`);
    const database = await openPostgres(databaseUrl(server, `${template}_unfinished`));
    try {
      await prepare(database, preparation);
    } finally {
      await database.close();
    }
    await sql.unsafe(`alter database ${template}_unfinished rename to ${template}`);
    return template;
  } finally {
    await sql`select pg_advisory_unlock(hashtext('calendly sync test template'))`;
  }
}

async function administer(server: string, work: (sql: postgres.ReservedSql) => Promise<unknown>) {
  const pool = postgres(server, { max: 1, onnotice: () => {} });
  try {
    const sql = await pool.reserve();
    try {
      await work(sql);
    } finally {
      sql.release(); // Or the pool would wait for it for ever.
    }
  } finally {
    await pool.end();
  }
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
