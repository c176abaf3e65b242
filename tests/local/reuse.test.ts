/** An embedded database that a test uses after another test is as if it were new. */
import assert from "node:assert/strict";
import type { Database } from "../../local/database.ts";
import { borrowEmbedded, catalogHash } from "../harness/reuse.ts";

/** The rows and the session's state that a test can see. */
async function state(database: Database) {
  const [row] = await database.query(`
    select (select jsonb_agg(u order by u.id) from public.calendly_users u) as users,
      (select jsonb_agg(u order by u.id) from auth.users u) as accounts,
      (select jsonb_agg(s) from calendly.settings s) as settings,
      (select jsonb_agg(j order by j.jobid) from cron.job j) as jobs,
      (select count(*) from public.calendly_meetings) as meetings,
      (select array_agg(s order by s.schemaname, s.sequencename) from pg_sequences s) as sequences,
      (select count(*) from pg_prepared_statements) as prepared,
      (select count(*) from pg_locks where locktype = 'advisory') as locks,
      current_setting('search_path') as path, current_user as role`);
  return row;
}

async function use(
  work: (database: Database) => Promise<unknown>,
): Promise<Database["connection"]> {
  const database = await borrowEmbedded({});
  try {
    await work(database);
    return database.connection;
  } finally {
    await database.close();
  }
}

Deno.test("a database that is used again has the rows, sequences and settings of a new one", async () => {
  let fresh: unknown;
  const first = await use(async (database) => {
    fresh = await state(database);
    for (
      const sql of [
        `insert into auth.users (id, email, email_confirmed_at, aud, role)
         values (gen_random_uuid(), 'ana@example.com', now(), 'authenticated', 'authenticated')`,
        `insert into public.calendly_users (calendly_user_uri)
         values ('https://api.calendly.com/users/ana')`,
        "insert into public.calendly_meetings (user_id, start_time) select id, now() from public.calendly_users",
        `insert into public.calendly_meetings (user_id, calendly_event_uri, start_time)
         select 1, repeat('x', 100) || n, now() from generate_series(1, 2000) n`,
        "update calendly.settings set page_size = 3",
        "select calendly.set_clock('2026-03-02T10:00:00Z')",
        "delete from cron.job",
        "set search_path to public",
        "select pg_advisory_lock(1)",
        "prepare left_over as select 1",
        "create temp table left_over ()",
      ]
    ) await database.query(sql);
    assert.notDeepEqual(await state(database), fresh);
  });
  const second = await use(async (database) => {
    assert.deepEqual(await state(database), fresh);
    await database.query("delete from auth.users");
  });
  const third = await use(async (database) => assert.deepEqual(await state(database), fresh));
  assert.ok(second === first);
  assert.ok(third === first);
});

Deno.test("a database with a changed object is not used again", async () => {
  const changed = await use((database) => database.query("create table public.left_over ()"));
  const next = await use(() => Promise.resolve());
  assert.ok(next !== changed);
});

Deno.test("the hash changes with objects, rights and settings, and not with rows", async (t) => {
  const changes = [
    "create table public.left_over ()",
    "alter table public.calendly_meetings add left_over integer",
    "create or replace function calendly.now() returns timestamptz language sql as 'select now()'",
    "drop function calendly.set_clock(timestamptz, interval)",
    "create trigger left_over before update on public.calendly_meetings for each row execute function suppress_redundant_updates_trigger()",
    "alter table auth.users disable trigger all",
    "create policy left_over on public.calendly_meetings for select using (true)",
    "grant select on public.calendly_meetings to anon",
    "alter default privileges in schema public grant select on tables to anon",
    "create role left_over",
    "alter role anon set statement_timeout = 1",
    "create schema left_over",
    "alter table public.calendly_meetings disable row level security",
    "create index on public.calendly_meetings (start_time)",
    "alter table public.calendly_meetings alter calendly_event_uri set default 'x'",
    "comment on table public.calendly_meetings is 'x'",
  ];
  await use(async (database) => {
    let before = await catalogHash(database);
    await database.query("truncate public.calendly_meetings cascade");
    await database.query("vacuum analyze");
    assert.equal(await catalogHash(database), before);
    for (const change of changes) {
      await t.step(change, async () => {
        await database.query(change);
        const after = await catalogHash(database);
        assert.notEqual(after, before);
        before = after;
      });
    }
  });
});

Deno.test("a database that does not answer any more is not used again", async () => {
  const broken = await use((database) => database.connection.close());
  const next = await use((database) => database.query("select 1"));
  assert.ok(next !== broken);
});

Deno.test("two databases in use at once are independent", async () => {
  const [a, b] = [await borrowEmbedded({}), await borrowEmbedded({})];
  try {
    await a.query("update calendly.settings set page_size = 3");
    assert.notEqual((await b.query("select page_size from calendly.settings"))[0].page_size, 3);
  } finally {
    await a.close();
    await b.close();
  }
});
