/** README's way out of a project that was in use, as it stands there. */
import assert from "node:assert/strict";
import { openPostgres, prepare } from "../../local/database.ts";
import { HISTORY_TABLE, readMigrations } from "../../cli/migrations.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { catalogue, contents, lacking } from "./catalogue.ts";
import { asOwner, attempt, DISCONNECT, install, LEAVE, undone } from "./project.ts";
import { PLATFORM_REST } from "./shapes.ts";

/** What an app has beside us, under names like ours. */
const APP = `
  create table public.notes (id serial primary key, calendly_meeting_title text);
  create table public.calendly_tokens (id integer primary key);
  create function public.calendly_event_count() returns integer language sql as 'select 1';
  create policy "People receive their own notes" on realtime.messages for select using (false);
  select cron.schedule('nightly', '0 3 * * *', 'select 1');
  insert into public.notes (calendly_meeting_title) values ('Review');
  insert into supabase_migrations.schema_migrations (version, name)
    values ('20261101000000', 'earlier'), ('20261101001000', 'later');`;

/** Two people with meetings, invitees, runs, deliveries and tokens. */
const IN_USE = `
  select calendly.set_clock('2026-06-01T12:00:00Z');
  select tests.add_person('eva'), tests.add_person('finn');
  select tests.sync('eva', array[tests.event('E1', tests.hosted_by('eva'))],
    jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]));
  select tests.begin('finn');
  insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
    values ('1', 'invitee.created', '{}', calendly.now(), 'processed');`;

const RECORD = "select version from supabase_migrations.schema_migrations order by 1";

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
      const refusal = async () =>
        await attempt(transaction, () => asOwner(transaction, LEAVE)) as Error & {
          detail?: string;
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
        const references: Record<string, RegExp> = {
          "create view public.board as select * from calendly_sync_health": /view board depends/,
          [
            `create table public.tags (user_id integer, meeting_id bigint,
            foreign key (meeting_id, user_id) references calendly_meetings (id, user_id))`
          ]: /tags_meeting_id_user_id_fkey on table tags/,
        };
        for (const [statement, named] of Object.entries(references)) {
          await transaction.exec("savepoint reference");
          await asOwner(transaction, statement);
          assert.match((await refusal()).detail ?? "", named);
          await transaction.exec("rollback to savepoint reference");
        }
        assert.deepEqual(await catalogue(transaction), installed, "nothing was taken");
      });
      await t.step("then all of it, and nothing else", async () => {
        await asOwner(transaction, LEAVE);
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

Deno.test({
  ...needing("the real pg_cron is rid of our jobs as well", "postgresServer"),
  async fn() {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    try {
      await prepare(database);
      const jobs = () => database.query("select jobname from cron.job order by 1");
      await database.command(
        "postgres",
        "select cron.schedule('nightly', '0 3 * * *', 'select 1')",
      );
      assert.ok((await jobs()).length > 1);
      await database.command("postgres", LEAVE);
      assert.deepEqual(await jobs(), [{ jobname: "nightly" }]);
    } finally {
      await database.close();
    }
  },
});
