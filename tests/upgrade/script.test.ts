/**
 * The output of `deno task sql`, pasted into the SQL editor: whatever the database was before, it ends like
 * one that the migrations made, no row is lost, and running it again changes nothing.
 */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { migrate, readMigrations } from "../../local/migrations.ts";
import { databaseTest, openTestDatabase, testOnEach } from "../harness/databases.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { adopt, asOwner, earlierApp } from "./fixtures/earlier_app.ts";
import { contents, counted, structure } from "./snapshot.ts";

const SCRIPT = await printed();
const UNMIGRATED = { migrations: null };
const PROJECTS = [["a new", "none"], ["an old", "all"]] as const;
const EARLIER_APP = "a database of an earlier app";

/** What people may have when they paste it. */
const BEGINNINGS: Record<string, (database: Database) => Promise<void>> = {
  "an empty database": () => Promise.resolve(),
  [EARLIER_APP]: (database) => asOwner(database, livedIn()),
  "a migrated database": adopt,
  "a half migrated database": async (database) => {
    const migrations = await readMigrations();
    await migrate(database, migrations.slice(0, migrations.length / 2));
  },
};

for (const [beginning, prepare] of Object.entries(BEGINNINGS)) {
  for (const [project, defaultPrivileges] of PROJECTS) {
    databaseTest(
      `the script makes of ${beginning} in ${project} project what the migrations make of it`,
      async (database, t) => {
        await prepare(database);
        await apply(database);
        const made = await structure(database);
        await t.step("the same objects with the same rights", async () => {
          await using another = await openTestDatabase(kindOf(database), {
            ...UNMIGRATED,
            defaultPrivileges,
          });
          await prepare(another);
          await adopt(another);
          assert.deepEqual(made, await structure(another));
          assert.ok(made.length > 500);
        });
        await t.step("with nothing left for the migrations to apply", async () => {
          assert.deepEqual(await migrate(database, await readMigrations()), []);
        });
        await t.step("and a second time changes nothing", async () => {
          const before = await contents(database);
          await apply(database);
          assert.deepEqual(await contents(database), before);
          assert.deepEqual(await structure(database), made);
        });
      },
      {
        ...UNMIGRATED,
        defaultPrivileges,
        long: defaultPrivileges === "all" || beginning === EARLIER_APP,
      },
    );
  }
}

for (const [project, defaultPrivileges] of PROJECTS) {
  for (const [way, upgrade] of Object.entries({ migrations: adopt, script: apply })) {
    databaseTest(
      `no row of an earlier app in ${project} project is lost by the ${way}`,
      async (database) => {
        await asOwner(database, livedIn());
        const before = await contents(database);
        await upgrade(database);
        const after = await contents(database);
        for (const table of Object.keys(before)) assertHolds(after[table], before[table], table);
        const { users, ...others } = counted(before);
        const now = counted(after);
        assert.equal(now.users, users + 1, "an account that had no row has got one");
        for (const [table, count] of Object.entries(others)) assert.equal(now[table], count, table);
      },
      { ...UNMIGRATED, defaultPrivileges, long: true },
    );
  }
}

databaseTest("on a database in use the script changes no row", async (database) => {
  await adopt(database);
  await database.script(`${FIXTURES}
    select calendly.set_clock('2026-06-01T12:00:00Z');
    select tests.add_person('ana'), tests.add_person('ben');
    select tests.sync('ana', array[tests.event('E1'), tests.event('E2', tests.canceled())],
      jsonb_build_object('E1', array[tests.invitee('E1', 'ines')], 'E2', array[tests.invitee('E2', 'jo')]));
    select tests.begin('ben');
    insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
      select n::text, 'invitee.created', '{}', calendly.now(), 'ignored' from generate_series(1, 100) n;`);
  const before = await contents(database);
  await apply(database);
  assert.deepEqual(await contents(database), before);
  const counts = counted(before);
  for (
    const [table, least] of [
      ["calendly_meetings", 2],
      ["calendly_invitees", 2],
      ["calendly_sync_runs", 2],
      [
        "calendly_webhook_events",
        100,
      ],
      ["calendly_connections", 2],
      ["calendly.credentials", 2],
    ] as const
  ) assert.ok(counts[table] >= least, `${table}: ${counts[table]}`);
}, UNMIGRATED);

testOnEach("what cannot be adopted, the script refuses as a whole", "both", async (kind) => {
  await using database = await openTestDatabase(kind, UNMIGRATED);
  await asOwner(
    database,
    `${livedIn()}
    alter table public.calendly_meetings add status integer;
    create policy open on public.calendly_users for select using (true);`,
  );
  const before = [await contents(database), await structure(database)];
  await assert.rejects(
    apply(database),
    /2 to mend first:\n {2}- meetings\.status .*\n {2}- policy "open"/,
  );
  assert.deepEqual([await contents(database), await structure(database)], before);
  const [{ made }] = await database.query(
    "select to_regnamespace('supabase_migrations') is not null as made",
  );
  assert.equal(made, false, "not even the record of what was applied");
  await asOwner(
    database,
    "alter table public.calendly_meetings drop status; drop policy open on public.calendly_users",
  );
  await apply(database);
}, { long: true });

/** An earlier app with some years behind it: many rows, and things of its own that hang on ours. */
function livedIn(): string {
  return `${earlierApp("bigint")}
    alter table public.calendly_meetings
      add fee numeric(10, 2), add tags text[], add slot tstzrange,
      add label text generated always as (upper(title)) stored;
    insert into public.calendly_meetings (user_id, title, start_time, fee, tags, slot)
      select 1 + n % 5, 'Meeting ' || n, timestamptz '2020-01-01' + n * interval '1 day', n / 7.0, array['a', n::text],
        tstzrange(now(), now() + n * interval '1 minute')
      from generate_series(1, 1000) n;
    create table public.invoices (
      id serial primary key,
      meeting_id bigint not null references public.calendly_meetings (id) on delete cascade,
      user_id integer not null references public.calendly_users (id) on delete cascade
    );
    insert into public.invoices (meeting_id, user_id) select m.id, m.user_id from public.calendly_meetings m where m.fee > 10;
    create view public.agenda as
      select u.full_name, m.title, m.start_time from public.calendly_meetings m join public.calendly_users u on u.id = m.user_id;
    create function public.touch() returns trigger language plpgsql as 'begin new.updated_at := now(); return new; end';
    create trigger touch before update on public.calendly_meetings for each row execute function public.touch();`;
}

async function apply(database: Database): Promise<void> {
  await asOwner(database, SCRIPT);
}

/** Fails unless each row is there still, with all that it said. */
function assertHolds(after: string[], before: string[], table: string): void {
  const rows = new Map(after.map((row) => JSON.parse(row)).map((row) => [row.id, row]));
  for (const row of before.map((text) => JSON.parse(text))) {
    const now = rows.get(row.id) ?? {};
    for (const [column, value] of Object.entries(row)) {
      assert.deepEqual(now[column], value, `${table} ${row.id}: ${column}`);
    }
  }
}

function kindOf({ kind }: Database) {
  return kind === "embedded" ? "embedded" as const : "real" as const;
}

async function printed(): Promise<string> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "sql"],
    cwd: new URL("../../", import.meta.url),
    stdin: "null",
    stderr: "inherit",
  }).output();
  assert.equal(code, 0);
  return new TextDecoder().decode(stdout);
}
