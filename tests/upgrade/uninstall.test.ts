/** The README's way out, as it stands there: people and meetings stay, all else of ours goes, for good or not. */
import assert from "node:assert/strict";
import { type Database, openPostgres, prepare } from "../../local/database.ts";
import { migrate, readMigrations } from "../../local/migrations.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { adopt, asOwner, earlierApp } from "./fixtures/earlier_app.ts";
import { contents, structure } from "./snapshot.ts";

const README = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
const [DISCONNECT, LEAVE] = README.split("\n## ")
  .filter((section) => section.startsWith("Leaving\n"))
  .flatMap((section) => [...section.matchAll(/```sql\n(.*?)```/gs)].map(([, sql]) => sql));

/** As the platform has it, where live updates go. */
const REALTIME = `
  create schema realtime;
  create table realtime.messages (topic text, extension text, payload jsonb, event text, private boolean);
  alter table realtime.messages enable row level security;
  create function realtime.topic() returns text language sql as 'select null::text';
  create function realtime.send(jsonb, text, text, boolean default true) returns void language sql as '';`;

/** What an app has beside us, under names like ours. */
const APP = `
  create table public.notes (id serial primary key, meeting_title text);
  create function public.on_note() returns trigger language plpgsql as 'begin return new; end';
  create trigger on_note before insert on public.notes for each row execute function public.on_note();
  create policy own on public.notes for select using (false);
  select cron.schedule('nightly', '0 3 * * *', 'select 1');
  insert into supabase_migrations.schema_migrations (version, name) values ('20270101000000', 'notes');`;

/** Calendly has two events of eva's, one of them canceled. */
const SYNC = `tests.sync('eva', array[tests.event('E1', tests.hosted_by('eva')),
    tests.event('E2', tests.hosted_by('eva') || tests.canceled())],
  jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]))`;

/** Two people with meetings, invitees, runs, deliveries and tokens. */
const IN_USE = `
  select calendly.set_clock('2026-06-01T12:00:00Z');
  select tests.add_person('eva'), tests.add_person('finn');
  select ${SYNC};
  select tests.begin('finn');
  insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
    values ('1', 'invitee.created', '{}', calendly.now(), 'ignored');`;

const LEFT = `
  select 'schema ' || nspname as what from pg_namespace where nspname = 'calendly'
  union all select 'relation ' || oid::regclass from pg_class
    where relnamespace = 'public'::regnamespace and (relname like 'calendly%' or relname like 'calendly_invitees%')
  union all select 'index ' || indexname from pg_indexes where schemaname = 'public' and indexdef like '%calendly.%'
  union all select 'function ' || oid::regprocedure from pg_proc
    where proname like 'calendly%' or proname = 'clean_old_webhook_events'
  union all select 'trigger ' || tgname from pg_trigger where tgname like 'calendly%'
  union all select 'job ' || jobname from cron.job where jobname <> 'nightly'
  union all select 'policy ' || policyname from pg_policies where policyname like '%Calendly%'
  union all select 'record ' || version from supabase_migrations.schema_migrations where name <> 'notes'`;

for (
  const [start, beginning] of Object.entries({
    "an empty project": "",
    "an earlier app": earlierApp(),
  })
) {
  databaseTest(`what was put into ${start} is taken out again`, async (database, t) => {
    await asOwner(database, beginning + REALTIME);
    await adopt(database);
    await asOwner(database, APP);
    await database.script(FIXTURES + IN_USE);
    const installed = await structure(database);

    await t.step("not before everybody is disconnected at Calendly, too", async () => {
      await assert.rejects(leave(database), /still_connected/);
      await asOwner(database, DISCONNECT);
      await assert.rejects(leave(database), /still_connected/);
      await database.script("select public.calendly_finish_revocation(id) from calendly.pending_revocations");
    });
    await t.step("not while something of the app's hangs on it", async () => {
      await assert.rejects(leave(database), {
        detail: /^function tests\.connection_of.* depends on/m,
      });
      await database.script("drop schema tests cascade");
      await asOwner(database, "create view public.board as select * from calendly_sync_health");
      await assert.rejects(leave(database), { detail: /^view board depends on/m });
      await asOwner(database, "drop view public.board");
      assert.deepEqual(await structure(database), installed, "and nothing was taken");
    });

    const before = await contents(database);
    await leave(database);
    await t.step("nothing of ours is left, and all of the app's", async () => {
      assert.deepEqual(await database.query(LEFT), []);
      const [app] = await database.query(`select
        (select count(*)::integer from cron.job) as jobs,
        (select count(*)::integer from pg_trigger where tgname = 'on_note') as triggers,
        (select count(*)::integer from pg_policies where tablename = 'notes') as policies,
        (select count(*)::integer from supabase_migrations.schema_migrations) as records`);
      assert.deepEqual(app, { jobs: 1, triggers: 1, policies: 1, records: 1 });
    });
    await t.step("every person and meeting is as it was", async () => {
      const after = await contents(database);
      assert.deepEqual(people(after), people(before));
      assert.deepEqual(after["calendly_meetings"], before["calendly_meetings"]);
      assert.ok(after["calendly_meetings"].length >= 2);
    });
    await t.step("and readable by that person alone", async () => {
      for (const [name, meetings] of [["eva", 2], ["finn", 0]] as const) {
        assert.equal(await readable(database, name), meetings, name);
      }
    });
    await t.step(
      "people sign up, change their e-mail and go",
      () =>
        database.script(`set local role supabase_auth_admin;
        insert into auth.users (id, email) values (gen_random_uuid(), 'gus@example.com');
        update auth.users set email_confirmed_at = now() where email = 'gus@example.com';
        update auth.users set email = 'gus@example.org' where email = 'gus@example.com';
        delete from auth.users where email = 'finn@example.com';`),
    );

    await t.step("the migrations can be applied again, and adopt every row", async () => {
      const ours = await readMigrations();
      assert.deepEqual(await migrate(database, ours), ours.map(({ version }) => version));
      assert.deepEqual(await structure(database), installed);
      await database.script(`${FIXTURES}
        select calendly.set_clock('2026-06-01T13:00:00Z');
        select tests.connect('eva');`);
      const [{ result }] = await database.query<{ result: Record<string, unknown> }>(
        `select ${SYNC} -> 'result' as result`,
      );
      assert.equal(result.sync_type, "FULL");
      assert.equal(result.created, 0);
      const keys = (rows: string[]) => rows.map((row) => JSON.parse(row).id).sort();
      const after = await contents(database);
      assert.deepEqual(keys(after["calendly_meetings"]), keys(before["calendly_meetings"]));
      assert.equal(after["calendly_users"].length, before["calendly_users"].length + 1, "and the new account's");
    });
  }, { migrations: null });
}

Deno.test({
  ...needing("the real pg_cron is rid of our jobs as well", "postgresServer"),
  async fn() {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    try {
      await prepare(database);
      await asOwner(database, APP);
      const jobs = () => database.query("select jobname from cron.job order by 1");
      assert.ok((await jobs()).length > 1);
      await leave(database);
      assert.deepEqual(await jobs(), [{ jobname: "nightly" }]);
    } finally {
      await database.close();
    }
  },
});

function leave(database: Database): Promise<void> {
  return asOwner(database, LEAVE);
}

/** Rows of users without the two flags of a sync that is over. */
function people(found: Record<string, string[]>): unknown[] {
  return found["calendly_users"].map((row) => {
    const { calendly_initial_sync_complete: _, calendly_webhook_enabled: __, ...person } = JSON
      .parse(row);
    return person;
  }).sort((one, other) => one.id - other.id);
}

/** How many meetings a person sees. */
async function readable(database: Database, name: string): Promise<number> {
  await database.script(`
    create or replace function public.seen_by(account uuid) returns integer language plpgsql as $$
    begin
      perform set_config('request.jwt.claims', jsonb_build_object('sub', account)::text, true), set_config('role', 'authenticated', true);
      return (select count(*) from public.calendly_meetings);
    end
    $$;`);
  const [{ seen }] = await database.query<{ seen: number }>(
    "select public.seen_by(id) as seen from auth.users where email = $1",
    [`${name}@example.com`],
  );
  await database.script("drop function public.seen_by(uuid)");
  return seen;
}
