/** Migrations are applied once, in order, and recorded as the Supabase CLI records them. */
import assert from "node:assert/strict";
import { type Migration, readMigrations } from "../../cli/migrations.ts";
import { migrate, MigrationChanged, MigrationFailed } from "../../local/migrations.ts";
import { migrationScript } from "../../cli/migrations.ts";
import { databaseTest } from "../harness/databases.ts";

const first: Migration = {
  version: "20260101000000",
  name: "first",
  sql: `-- a comment; with a semicolon
create table public.first (body text default 'it''s; here'); -- trailing
create function public.one() returns integer language plpgsql as $body$
begin
  return 1; -- $$
end
$body$;
insert into public.first values (';'), (E'\\'');
`,
};
const second: Migration = {
  version: "20260102000000",
  name: "second_thing",
  sql: "alter table public.first add column extra integer;",
};
const none = { migrations: null };

databaseTest(
  "each migration is applied once and recorded with its statements",
  async (database) => {
    assert.deepEqual(await migrate(database, [first]), [first.version]);
    assert.deepEqual(await migrate(database, [first, second]), [second.version]);
    assert.deepEqual(await migrate(database, [first, second]), []);
    const rows = await database.query<{ version: string; name: string; statements: string[] }>(
      "select * from supabase_migrations.schema_migrations order by version",
    );
    assert.deepEqual(rows.map(({ version, name }) => [version, name]), [
      ["20260101000000", "first"],
      ["20260102000000", "second_thing"],
    ]);
    assert.deepEqual(rows[0].statements, [
      "-- a comment; with a semicolon\ncreate table public.first (body text default 'it''s; here')",
      "-- trailing\ncreate function public.one() returns integer language plpgsql as $body$\n" +
      "begin\n  return 1; -- $$\nend\n$body$",
      "insert into public.first values (';'), (E'\\'')",
    ]);
  },
  none,
);

databaseTest(
  "a migration that fails is rolled back, and the error names it",
  async (database) => {
    const broken = { ...second, sql: "create table public.half (id integer); select 1 / 0;" };
    await assert.rejects(migrate(database, [first, broken]), (error) => {
      assert.ok(error instanceof MigrationFailed);
      assert.match(error.message, /20260102000000_second_thing\.sql failed: division by zero/);
      return true;
    });
    assert.deepEqual(await database.query("select to_regclass('public.half') as half"), [{
      half: null,
    }]);
    assert.deepEqual(await migrate(database, [first, second]), [second.version]);
  },
  none,
);

databaseTest(
  "a migration that was edited after it was applied is refused",
  async (database) => {
    await migrate(database, [first]);
    const edited = { ...first, sql: first.sql.replace("return 1", "return 2") };
    await assert.rejects(migrate(database, [edited]), MigrationChanged);
  },
  none,
);

databaseTest(
  "the script for the SQL editor applies the missing migrations, however often it runs",
  async (database) => {
    const run = async (migrations: Migration[]) => {
      await database.command("postgres", migrationScript(migrations));
    };
    await run([first]);
    await run([first, second]);
    await run([first, second]);
    assert.deepEqual(await migrate(database, [first, second]), []);
    assert.deepEqual(await database.query("select * from public.first"), [
      { body: ";", extra: null },
      { body: "'", extra: null },
    ]);
  },
  none,
);

databaseTest(
  "the script refuses a database that was made from other files, and names them",
  async (database) => {
    const run = (migrations: Migration[]) =>
      database.command("postgres", migrationScript(migrations));
    const edited = { ...first, sql: first.sql.replace("return 1", "return 2") };
    await run([first]);
    await assert.rejects(run([edited, second]), {
      message: /^migration_changed: .*\n {2}- 20260101000000_first$/s,
      hint: /Released migrations never change/,
    });
    const columns = await database.query(
      "select column_name from information_schema.columns where table_name = 'first'",
    );
    assert.deepEqual(columns, [{ column_name: "body" }], "the second one is not applied");
  },
  none,
);

databaseTest(
  "the script recognizes its files however their statements were recorded",
  async (database) => {
    await migrate(database, [first, second]);
    const records = {
      "by another tool": [first.sql.replaceAll(";", ";\r\n\t"), ""],
      "at every word": first.sql.split(" "),
      "not at all": [],
      "as unknown": null,
    };
    for (const statements of Object.values(records)) {
      await database.query(
        `update supabase_migrations.schema_migrations set statements = case when $1 <> 'null'
          then array(select jsonb_array_elements_text($1::jsonb)) end where version = $2`,
        [JSON.stringify(statements), first.version],
      );
      await database.command("postgres", migrationScript([first, second]));
    }
  },
  none,
);

Deno.test("migrations apply in the order of their versions", async () => {
  const versions = (await readMigrations()).map(({ version }) => version);
  assert.ok(versions.length > 0);
  assert.deepEqual(versions, [...new Set(versions)].sort());
});
