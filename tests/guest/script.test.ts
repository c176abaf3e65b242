/**
 * The output of `deno task sql`, whatever runs it: as one statement (the SQL editor) or by psql, which
 * goes on after an error. It makes what the migrations make, or nothing.
 */
import assert from "node:assert/strict";
import { type Database } from "../../local/database.ts";
import { readMigrations } from "../../cli/migrations.ts";
import { migrate } from "../../local/migrations.ts";
import { openTestDatabase, testOnEach } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { catalogue, contents } from "./catalogue.ts";
import { OURS } from "./project.ts";

const ROOT = new URL("../../", import.meta.url);
const UNMIGRATED = { migrations: null };
const SCRIPT = await printed();

testOnEach("the script makes what the migrations make, once", "both", async (kind, t) => {
  await using database = await openTestDatabase(kind, UNMIGRATED);
  await paste(database);
  const made = await catalogue(database);
  const rows = await contents(database);

  await t.step("a second time it changes nothing", async () => {
    await paste(database);
    assert.deepEqual(await catalogue(database), made);
    assert.deepEqual(await contents(database), rows);
  });
  await t.step("the migrations find all of it on record", async () => {
    assert.deepEqual(await migrate(database, OURS), []);
  });
  await t.step("the migrations make the same, and the same record", async () => {
    const record = "select * from supabase_migrations.schema_migrations order by version";
    await using other = await openTestDatabase(kind, UNMIGRATED);
    await migrate(other, OURS);
    assert.deepEqual(await catalogue(other), made);
    assert.deepEqual(await other.query(record), await database.query(record));
  });
  await t.step("--original-names adds the views, then and there", async () => {
    await paste(database, await printed("--original-names"));
    const ours = await readMigrations();
    assert.deepEqual(await migrate(database, ours), []);
    await using other = await openTestDatabase(kind, UNMIGRATED);
    await migrate(other, ours);
    assert.deepEqual(await catalogue(database), await catalogue(other));
  });
});

testOnEach("a half migrated database is completed by the script", "both", async (kind) => {
  await using database = await openTestDatabase(kind, UNMIGRATED);
  const half = OURS.slice(0, OURS.length / 2);
  await migrate(database, half);
  await paste(database);
  assert.deepEqual(await migrate(database, OURS), []);
});

/** What is in the way, and what is said of it. */
const IN_THE_WAY = `create table public.calendly_meetings (id integer);
  create function public.calendly_configure() returns integer language sql as 'select 1';`;
const LIST = "\n  - function public.calendly_configure\n  - table public.calendly_meetings";

testOnEach(
  "what is in the way of the script is listed, and nothing is made",
  "both",
  async (kind) => {
    await using database = await openTestDatabase(kind, UNMIGRATED);
    await database.command("postgres", IN_THE_WAY);
    const before = await catalogue(database);
    await assert.rejects(paste(database), (error: Error) => error.message.endsWith(LIST));
    assert.deepEqual(await catalogue(database), before);
  },
);

Deno.test({
  ...needing("psql that goes on after an error leaves nothing half done", "realPostgres", "psql"),
  async fn() {
    await using database = await openTestDatabase("real", UNMIGRATED);
    await database.command("postgres", IN_THE_WAY);
    const before = await catalogue(database);
    const refused = await psql(database.url);
    const [error, ...context] = refused.split("\nCONTEXT: ");
    assert.ok(error.endsWith(LIST), refused);
    assert.equal(context.length, 1, "one error, and not one for each statement that follows");
    assert.ok(context[0].length < 400, "the list is not buried");
    assert.deepEqual(await catalogue(database), before);

    await database.command(
      "postgres",
      "drop table public.calendly_meetings; drop function public.calendly_configure()",
    );
    assert.equal(await psql(database.url), "");
    assert.deepEqual(await migrate(database, OURS), []);
  },
});

Deno.test("an option that the script does not have is refused", async () => {
  const { code, stdout, stderr } = await run("--orignal-names");
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /unknown_option .*--orignal-names/);
});

/** One simple query, outside of a transaction: as the SQL editor sends it. */
function paste(database: Database, script = SCRIPT): Promise<void> {
  return database.command("postgres", script);
}

/** What psql says of errors, with its own defaults. */
async function psql(url: string): Promise<string> {
  const address = new URL(url);
  address.username = "postgres";
  const process = new Deno.Command("psql", {
    args: ["--no-psqlrc", "--quiet", address.href],
    env: { PGOPTIONS: "-c client_min_messages=warning" },
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const input = process.stdin.getWriter();
  await input.write(new TextEncoder().encode(SCRIPT));
  await input.close();
  const { stderr } = await process.output();
  return new TextDecoder().decode(stderr);
}

async function printed(...options: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(...options);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function run(...options: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "sql", ...options],
    cwd: ROOT,
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decode(stdout), stderr: decode(stderr) };
}
