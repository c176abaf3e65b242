/**
 * The publication of docs/scale.md, as it stands there, and a copy that follows it: what leaves the project,
 * and what erasing does to it.
 */
import assert from "node:assert/strict";
import { openPostgres, prepare } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing, SERVER_PROGRAMS } from "../harness/requirements.ts";
import { eventually } from "../schedule/support.ts";

const PAGE = await Deno.readTextFile(new URL("../../docs/scale.md", import.meta.url));
const [WITHOUT_PEOPLE, WITH_PEOPLE, ...MORE] = [...PAGE.matchAll(/```sql\n(.*?)```/gs)]
  .map(([, sql]) => sql);

/** What says who somebody is, or could. */
const PERSONAL = ["email", "name", "timezone", "questions_and_answers", "tracking", "payment"];

Deno.test({
  ...needing("the publication for analytics", "postgresServer"),
  async fn(t) {
    assert.deepEqual(MORE, []);
    await using cluster = await Cluster.start(SERVER_PROGRAMS!, {
      max_connections: 50,
      wal_level: "logical",
    });
    const project = await openPostgres(cluster.url);
    try {
      await prepare(project, { seed: false });
      await project.script(`${FIXTURES} select calendly.set_clock('2026-06-01T12:00:00Z');`);
      await project.query("select tests.add_person('ana')");
      const published = async () => {
        const tables = await project.query<{ tablename: string; attnames: string[] }>(
          `select tablename, to_jsonb(attnames) as attnames from pg_publication_tables
           where pubname = 'calendly_analytics' order by 1`,
        );
        return Object.fromEntries(tables.map(({ tablename, attnames }) => [tablename, attnames]));
      };

      await t.step("lists two tables without raw, and without invitees' data", async () => {
        await project.command("postgres", WITHOUT_PEOPLE);
        const { calendly_invitees, calendly_meetings, ...more } = await published();
        assert.deepEqual(more, {});
        for (const columns of [calendly_invitees, calendly_meetings]) {
          assert.ok(["id", "user_id"].every((column) => columns.includes(column)));
          assert.ok(!columns.includes("raw"));
        }
        assert.deepEqual(calendly_invitees.filter((column) => PERSONAL.includes(column)), []);
      });

      await t.step("sends nothing that it does not list", async () => {
        await project.query(
          "select pg_create_logical_replication_slot('shorter_list', 'pgoutput')",
        );
        await project.query(SYNC);
        const sent = await changes();
        assert.match(sent, /\/scheduled_events\/E1/);
        assert.match(sent, /\/invitees\/ines/);
        assert.doesNotMatch(sent, /guest\.example\.com|invitees_counter|Phone\?/);
      });

      await t.step("an erased invitee is erased in the copy that has names", async () => {
        await project.command("postgres", WITH_PEOPLE);
        assert.deepEqual(
          (await published()).calendly_invitees.filter((column) => PERSONAL.includes(column)),
          ["email", "name", "timezone"],
        );
        await using copy = await follow();
        const invitees = () =>
          copy.database.query("select email, name, timezone, status from calendly_invitees");
        await eventually("the copy has the invitee", async () => (await invitees()).length === 1);
        assert.deepEqual(await invitees(), [{
          email: "ines@guest.example.com",
          name: "Ines",
          timezone: "Europe/Lisbon",
          status: "active",
        }]);

        await project.query("select public.calendly_erase_invitee('ines@guest.example.com')");
        await eventually(
          "the copy has forgotten who it was",
          async () => (await invitees())[0].email === null,
        );
        assert.deepEqual(await invitees(), [
          { email: null, name: null, timezone: null, status: "active" },
        ]);

        await project.query(`select public.calendly_disconnect(
          tests.account('ana') || '{"erase": true}')`);
        await eventually("the copy is empty", async () => {
          const [{ rows }] = await copy.database.query(`select (
            (select count(*) from calendly_meetings)
            + (select count(*) from calendly_invitees))::integer as rows`);
          return rows === 0;
        });
      });
    } finally {
      await project.close();
    }

    /** What a subscriber would have been sent by now, as text. */
    async function changes(): Promise<string> {
      const rows = await project.query<{ data: string }>(
        `select encode(data, 'escape') as data from pg_logical_slot_get_binary_changes(
           'shorter_list', null, null, 'proto_version', '1', 'publication_names', 'calendly_analytics')`,
      );
      return rows.map(({ data }) => data).join("\n");
    }

    /** A database on the same server with the columns that are published, and a subscription. */
    async function follow() {
      const columns = await project.query<{ table: string; columns: string }>(`
        select p.tablename as table, string_agg(format('%I %s', a.attname,
            format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum) as columns
        from pg_publication_tables p
        join pg_attribute a on a.attrelid = format('public.%I', p.tablename)::regclass
          and a.attname = any (p.attnames)
        where p.pubname = 'calendly_analytics' group by 1`);
      await project.command("supabase_admin", "create database copy");
      const url = cluster.url.replace(/postgres$/, "copy");
      const database = await openPostgres(url);
      for (const { table, columns: list } of columns) {
        await database.query(`create table public.${table} (${list}, primary key (id, user_id))`);
      }
      // On one server a subscription cannot make its own slot.
      await project.query("select pg_create_logical_replication_slot('copy', 'pgoutput')");
      const { hostname, port } = new URL(cluster.url);
      await database.command(
        "supabase_admin",
        `create subscription copy
          connection 'host=${hostname} port=${port} user=supabase_admin dbname=postgres'
          publication calendly_analytics with (create_slot = false)`,
      );
      return { database, [Symbol.asyncDispose]: () => database.close() };
    }
  },
});

const SYNC = `select tests.sync('ana', array[tests.event('E1')],
  jsonb_build_object('E1', array[tests.invitee('E1', 'ines')]))`;
