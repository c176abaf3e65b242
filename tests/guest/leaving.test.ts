/** cli/uninstall.sql: the way out of a project that was in use, with the data and without. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { type Database, openPostgres, prepare, type Transaction } from "../../local/database.ts";
import { HISTORY_TABLE, readMigrations } from "../../cli/migrations.ts";
import { AS_OWNER, migrate } from "../../local/migrations.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "../schedule/support.ts";
import { catalogue, contents, lacking } from "./catalogue.ts";
import { asOwner, attempt, DISCONNECT, install, LEAVE, LEAVE_DATA, undone } from "./project.ts";
import { PLATFORM_REST } from "./shapes.ts";

/** What an app has beside us, under names like ours. */
const APP = `
  create table public.notes (id serial primary key, calendly_meeting_title text);
  create table public.calendly_tokens (id integer primary key);
  create function public.calendly_event_count() returns integer language sql as 'select 1';
  create policy "People receive their own notes" on realtime.messages for select using (false);
  select cron.schedule('nightly', '0 3 * * *', 'select 1'),
    cron.schedule('calendly-report', '0 4 * * *', 'select 1');
  insert into public.notes (calendly_meeting_title) values ('Review');
  insert into supabase_migrations.schema_migrations (version, name)
    values ('20261101000000', 'earlier'), ('20261101000015', 'between'), ('20261101001000', 'later');`;

/** Two people with meetings, invitees, runs, deliveries and tokens. */
const IN_USE = `
  select calendly.set_clock('2026-06-01T12:00:00Z');
  select tests.add_person('eva'), tests.add_person('finn');
  select tests.sync('eva', array[tests.event('E1', tests.hosted_by('eva'))],
    jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
  select tests.begin('finn');
  insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
    values ('1', 'invitee.created', '{}', calendly.now(), 'processed');`;

/** What the app has granted to a role of its own. */
const GRANTS = `
  create role leaving_reporter;
  set role postgres;
  grant select on public.calendly_meetings to leaving_reporter with grant option;
  grant select (id, name) on public.calendly_users to leaving_reporter;
  set role leaving_reporter;
  grant select on public.calendly_meetings to authenticated;
  reset role;`;

/** What is left where the data is kept: three tables with their columns, keys and indexes. */
const KEPT =
  /^(relation|column|constraint|index|trigger) public\.calendly_(users|meetings|invitees)/;

/** What of the app's refers to something of ours that goes in any case, as Postgres names it. */
const REFERENCES = {
  "create view public.board as select * from calendly_sync_health": "view board",
  "create view public.board as select tick from calendly.settings": "view board",
  "create materialized view public.board as select tick from calendly.settings":
    "materialized view board",
  "alter table public.notes add body text default calendly.now()::text":
    "default value for column body of table notes",
  "alter table public.notes add days text generated always as (calendly.humanize_days(7)) stored":
    "default value for column days of table notes",
  "create policy mine on public.notes using (id = any (calendly.readable_user_ids()))":
    "policy mine on table notes",
  "alter table public.notes add run_id uuid references calendly.active_runs":
    "constraint notes_run_id_fkey on table notes",
  "alter table public.notes add run_id uuid references public.calendly_sync_runs":
    "constraint notes_run_id_fkey on table notes",
  "create function public.ticks() returns interval begin atomic select tick from calendly.settings; end":
    "function ticks()",
  "create function public.ticks(claim calendly.claim) returns integer language sql as 'select 1'":
    "function ticks(calendly.claim)",
  "alter table public.notes add claim calendly.claim": "column claim of table notes",
  "create domain public.claimed as calendly.claim": "type claimed",
  "create trigger told after insert on public.notes execute function calendly.announce_changes()":
    "trigger told on table notes",
};

/** What refers to the data, and so stops whoever drops the data. */
const REFERENCES_TO_DATA = {
  "create view public.board as select * from calendly_meetings": "view board",
  [
    `create table public.tags (user_id integer, meeting_id bigint,
    foreign key (meeting_id, user_id) references calendly_meetings (id, user_id))`
  ]: "constraint tags_meeting_id_user_id_fkey on table tags",
  "create function public.held(m calendly_meetings) returns integer language sql as 'select 1'":
    "function held(calendly_meetings)",
  "create policy mine on public.notes using (id in (select u.id from calendly_users u))":
    "policy mine on table notes",
};

const RECORD = "select version from supabase_migrations.schema_migrations order by 1";

/** Uninstalls as the owner, and returns what the script answers. */
async function leave(transaction: Transaction, script: string): Promise<unknown> {
  const last = script.lastIndexOf("\nselect ");
  await transaction.exec(AS_OWNER + script.slice(0, last));
  const [{ uninstalled }] = await transaction.query(script.slice(last).trim().replace(/;$/, ""));
  await transaction.exec("reset role");
  return uninstalled;
}

databaseTest(
  "what was put into a project is taken out again, whole or not at all",
  async (database, t) => {
    await undone(database, async (transaction) => {
      await transaction.exec(PLATFORM_REST);
      await asOwner(transaction, HISTORY_TABLE + APP);
      const before = await catalogue(transaction);
      const rows = async () => {
        const { "auth.users": _, ...rest } = await contents(transaction);
        return rest;
      };
      const notes = await rows();
      const record = await transaction.query(RECORD);
      await install(transaction, await readMigrations());
      const installed = await catalogue(transaction);
      await transaction.exec(FIXTURES + IN_USE);
      const refusal = async (script = LEAVE) =>
        await attempt(transaction, () => asOwner(transaction, script)) as Error & {
          detail?: string;
          hint?: string;
        };

      await t.step("not before everybody is disconnected at Calendly, too", async () => {
        assert.match((await refusal()).message, /^still_connected/);
        await asOwner(transaction, DISCONNECT);
        assert.match((await refusal()).message, /^still_connected/);
        await transaction.exec(
          `select public.calendly_finish_revocation(r.id) from calendly.pending_revocations r;
        -- what is announced when a transaction ends
        set constraints all immediate;`,
        );
      });
      await t.step("not while something of the app's refers to it, which is named", async () => {
        await transaction.exec("drop schema tests cascade");
        for (const [statement, named] of Object.entries(REFERENCES)) {
          for (const script of [LEAVE, LEAVE_DATA]) {
            await transaction.exec("savepoint reference");
            await asOwner(transaction, statement);
            const { message, detail, hint } = await refusal(script);
            assert.equal(detail, "still_used", `${statement}: ${message}`);
            assert.deepEqual(message.split("\n  - ").slice(1), [named]);
            assert.match(hint!, /^Drop them or change them/);
            await transaction.exec("rollback to savepoint reference");
          }
        }
        for (const [statement, named] of Object.entries(REFERENCES_TO_DATA)) {
          await transaction.exec("savepoint reference");
          await asOwner(transaction, statement);
          assert.deepEqual((await refusal()).message.split("\n  - ").slice(1), [named]);
          await leave(transaction, LEAVE_DATA);
          await transaction.exec("rollback to savepoint reference");
        }
        assert.deepEqual(await catalogue(transaction), installed, "nothing was taken");
      });
      const { calendly_users, calendly_meetings, calendly_invitees } = await rows();
      const data = { calendly_users, calendly_meetings, calendly_invitees };
      await transaction.exec("savepoint in_use");
      await transaction.exec(GRANTS);
      await t.step("by default the data stays, as plain tables", async () => {
        assert.deepEqual(await leave(transaction, LEAVE_DATA), {
          status: "uninstalled",
          kept: { calendly_users: 2, calendly_meetings: 1, calendly_invitees: 1 },
          dropped: { calendly_connections: 2, calendly_sync_runs: 2, calendly_webhook_events: 1 },
        });
        assert.deepEqual(await rows(), { ...notes, ...data });
        const left = lacking(await catalogue(transaction), before);
        assert.deepEqual(left.filter((line) => !KEPT.test(line)), []);
        assert.deepEqual(left.filter((line) => /\bcalendly\./.test(line)), []);
        assert.deepEqual(lacking(before, await catalogue(transaction)), []);
        assert.deepEqual(await transaction.query(RECORD), record);
      });
      await t.step("which nobody but the owner and service_role reads", async () => {
        const reads = (role: string, sql = "select from public.calendly_meetings") =>
          attempt(transaction, () => transaction.exec(`set local role ${role}; ${sql}`));
        assert.equal(await reads("service_role"), undefined);
        assert.match((await reads("authenticated"))!.message, /permission denied/);
        assert.match((await reads("anon"))!.message, /permission denied/);
        for (const sql of [undefined, "select name from public.calendly_users"]) {
          assert.match((await reads("leaving_reporter", sql))!.message, /permission denied/);
        }
        const write = "update public.calendly_users set calendly_initial_sync_complete = false";
        assert.match((await reads("service_role", write))!.message, /permission denied/);
        assert.equal(
          await reads("postgres", `${write}; delete from public.calendly_users`),
          undefined,
        );
      });
      await t.step("which say since when they are not synced", async () => {
        const comments = await transaction.query<{ comment: string }>(
          `select obj_description(c.oid, 'pg_class') as comment from pg_class c
           where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
             and c.relname in ('calendly_users', 'calendly_meetings', 'calendly_invitees')`,
        );
        const today = new Date().toISOString().slice(0, 8);
        assert.equal(comments.length, 3);
        for (const { comment } of comments) {
          assert.match(
            comment,
            /^Kept when Calendly Sync was uninstalled on \d{4}-\d\d-\d\d: not /,
          );
          assert.ok(comment.includes(` ${today}`), comment);
        }
      });
      await t.step("and are in the way of an installation, which says what to do", async () => {
        const error = await attempt(
          transaction,
          async () => install(transaction, await readMigrations()),
        );
        const [text, ...list] = error!.message.split("\n  - ");
        assert.match(
          text,
          /uninstall kept: drop it, move it .* or run `calendly-sync uninstall/,
        );
        assert.deepEqual(
          list,
          ["invitees", "meetings", "users"].map((name) =>
            `table public.calendly_${name}, kept when Calendly Sync was uninstalled`
          ),
        );
      });
      await t.step("until they are moved to another schema", async () => {
        await transaction.exec("savepoint moved");
        await asOwner(
          transaction,
          `create schema archive;
          alter table public.calendly_users set schema archive;
          alter table public.calendly_meetings set schema archive;
          alter table public.calendly_invitees set schema archive;`,
        );
        await install(transaction, await readMigrations());
        await transaction.exec("rollback to savepoint moved");
      });
      await t.step("or dropped by a later run; other runs change nothing", async () => {
        const kept = { calendly_users: 2, calendly_meetings: 1, calendly_invitees: 1 };
        const nothing = { status: "not_installed", kept: {}, dropped: {} };
        assert.deepEqual(await leave(transaction, LEAVE_DATA), { ...nothing, kept });
        assert.deepEqual(await rows(), { ...notes, ...data });
        assert.deepEqual(await leave(transaction, LEAVE), {
          status: "uninstalled",
          kept: {},
          dropped: kept,
        });
        assert.deepEqual(await catalogue(transaction), before);
        await asOwner(transaction, "create table public.calendly_users (id integer)");
        assert.deepEqual(await leave(transaction, LEAVE), nothing);
        assert.deepEqual((await rows()).calendly_users, []);
        await transaction.exec("rollback to savepoint in_use");
      });
      await t.step("with the data all of it goes, and nothing else", async () => {
        assert.deepEqual(await leave(transaction, LEAVE), {
          status: "uninstalled",
          kept: {},
          dropped: {
            calendly_users: 2,
            calendly_meetings: 1,
            calendly_invitees: 1,
            calendly_connections: 2,
            calendly_sync_runs: 2,
            calendly_webhook_events: 1,
          },
        });
        assert.deepEqual(lacking(await catalogue(transaction), before), []);
        assert.deepEqual(lacking(before, await catalogue(transaction)), []);
        assert.deepEqual(await rows(), notes);
        assert.deepEqual(await transaction.query(RECORD), record);
      });
      await t.step("and it can come back", async () => {
        await install(transaction, await readMigrations());
        assert.deepEqual(await catalogue(transaction), installed);
      });
    });
  },
  { migrations: null },
);

Deno.test("uninstalling forgets the records of our migrations, by version and name", async () => {
  const list = LEAVE_DATA.match(/m\.version \|\| '_' \|\| m\.name = any \('\{([^}]*)\}'/)![1];
  assert.deepEqual(
    list.trim().split(/,\s*/),
    (await readMigrations()).map(({ version, name }) => `${version}_${name}`),
  );
});

/** Somebody who connects, as calendly_connect does. */
const CONNECT = `
  insert into public.calendly_users (calendly_user_uri, email, name)
    values ('https://api.calendly.com/users/EVA', 'eva@example.com', 'Eva');
  insert into public.calendly_connections
      (id, connected_at, created_at, updated_at, user_id, calendly_user_uri,
        calendly_organization_uri)
    select gen_random_uuid(), now(), now(), now(), u.id, u.calendly_user_uri,
      'https://api.calendly.com/organizations/O'
    from public.calendly_users u`;

/** Waits until uninstalling waits for a lock. */
async function waits(database: Database): Promise<void> {
  await eventually("uninstalling waits", async () => {
    const waiting = await database.query(
      `select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'`,
    );
    return waiting.length === 1;
  });
}

Deno.test({
  ...needing("on a real server with pg_cron", "postgresServer"),
  async fn(t) {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    try {
      await prepare(database);
      await t.step("whoever connects at this moment is not lost", async () => {
        const connecting = postgres(cluster.url, { max: 1 });
        let left: Promise<unknown>;
        await connecting.begin(async (transaction) => {
          await transaction.unsafe(CONNECT).simple();
          left = database.command("postgres", LEAVE).catch((error) => error);
          await waits(database);
        });
        await connecting.end();
        assert.match(String(await left!), /still_connected/);
        await database.command("postgres", "delete from public.calendly_users");
      });
      await t.step("whoever reads one of our tables may read the others meanwhile", async () => {
        const reader = postgres(cluster.url, { max: 1 });
        let left: Promise<unknown>;
        await reader.begin(async (transaction) => {
          const own = await transaction`select name from calendly.own_objects
            where kind = 'relation' and grant_kind = 'table' order by name desc`;
          await transaction.unsafe(`select from ${own[0].name}`);
          left = database.command("postgres", LEAVE).catch((error) => error);
          await waits(database);
          for (const { name } of own) await transaction.unsafe(`select from ${name}`);
        });
        await reader.end();
        assert.equal(await left!, undefined);
        await migrate(database, await readMigrations());
      });
      await t.step("whoever reads for long is left alone, and uninstalling says so", async () => {
        const reader = postgres(cluster.url, { max: 1 });
        await reader.begin(async (transaction) => {
          await transaction`select from public.calendly_sync_runs`;
          const impatient = LEAVE.replace("interval '30 seconds'", "interval '0 seconds'");
          assert.notEqual(impatient, LEAVE);
          const error = await database.command("postgres", impatient).catch((error) => error);
          assert.match(error.message, /^tables_in_use: .* Nothing was changed\.$/);
          assert.equal(error.code, "55P03");
          assert.match(error.hint, /pg_stat_activity/);
        });
        await reader.end();
        await database.query("select from public.calendly_sync_runs");
      });
      await t.step(
        "another role than the owner is refused, and told whose turn it is",
        async () => {
          for (const role of ["supabase_admin", "authenticated"]) {
            const error = await database.command(role, LEAVE).catch((error) => error);
            assert.match(error.message, /^not_owner: Calendly Sync belongs to postgres/);
            assert.match(error.message, new RegExp(`runs as ${role}`));
            assert.match(error.hint, /set role postgres/);
          }
        },
      );
      await t.step("our jobs are gone, and the app's stay", async () => {
        const jobs = () => database.query("select jobname from cron.job order by 1");
        await database.command(
          "postgres",
          `select cron.schedule('nightly', '0 3 * * *', 'select 1'),
            cron.schedule('calendly-report', '0 4 * * *', 'select 1')`,
        );
        assert.ok((await jobs()).length > 2);
        await database.command("postgres", LEAVE);
        assert.deepEqual(await jobs(), [{ jobname: "calendly-report" }, { jobname: "nightly" }]);
      });
    } finally {
      await database.close();
    }
  },
});
