/**
 * Restored in place: a real Postgres whose files are those of an earlier time. Its schedule notices at
 * the next tick, and everybody is synced anew; after an ordinary restart nobody is.
 */
import assert from "node:assert/strict";
import { openPostgres, prepare } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "./support.ts";

/** Two people who have been synced, and a first tick at 12:00. */
const IN_USE = `
  select cron.unschedule(jobid) from cron.job; -- this test ticks by itself
  select calendly.set_clock('2026-06-01T12:00:00Z');
  select tests.add_person('ana'), tests.add_person('ben');
  update public.calendly_connections
    set last_full_sync_at = calendly.now(), next_sync_at = calendly.now() + interval '6 hours';
  update calendly.project set url = 'https://project.example.com';
  select calendly.nudge();`;

Deno.test({
  ...needing("a Postgres that was restored in place syncs everybody anew", "postgresServer"),
  async fn(t) {
    await using cluster = await Cluster.start();
    const backup = `${cluster.folder}/backup`;
    const query = async (...statements: string[]) => {
      const sql = cluster.connect();
      try {
        let rows;
        for (const statement of statements) rows = await sql.unsafe(statement);
        return rows![0];
      } finally {
        await sql.end();
      }
    };
    /** A tick at this time of the day; how many are due, FULL, and the page size. */
    const tickAt = (time: string) =>
      query(
        `select calendly.set_clock('2026-06-01T${time}Z')`,
        "select calendly.nudge()",
        `select count(*) filter (where c.next_sync_at <= calendly.now()
             and c.last_full_sync_at is null)::integer as anew,
           public.calendly_schedule() ->> 'restored_at' is not null as shown,
           (select s.page_size from calendly.settings s) as page_size
         from public.calendly_connections c`,
      );
    const restore = (change: (data: string) => Promise<void> = async () => {}) =>
      cluster.whileStopped(async (data) => {
        await copy(backup, data);
        await change(data);
      });

    const database = await openPostgres(cluster.url);
    await prepare(database, { seed: false });
    await database.script(FIXTURES);
    await database.close();
    await query(IN_USE);
    await cluster.whileStopped((data) => copy(data, backup));
    await query(`select calendly_configure('{"page_size": 77}')`);

    await t.step("an ordinary restart changes nothing", async () => {
      assert.deepEqual(await tickAt("12:10:00"), { anew: 0, shown: false, page_size: 77 });
      await cluster.restart("immediate");
      assert.deepEqual(await tickAt("12:50:00"), { anew: 0, shown: false, page_size: 77 });
    });
    await t.step("a recovery to an earlier time is noticed by its timeline", async () => {
      await restore(async (data) => {
        await Deno.writeTextFile(`${data}/recovery.signal`, "");
        await Deno.writeTextFile(`${data}/postgresql.conf`, "restore_command = 'false'\n", {
          append: true,
        });
      });
      await eventually(
        "the recovery has ended",
        async () => !(await query("select pg_is_in_recovery() as recovers")).recovers,
      );
      assert.deepEqual(await tickAt("12:55:00"), { anew: 2, shown: true, page_size: 100 });
    });
    await t.step("a copy of the files is noticed after an hour", async () => {
      await restore();
      assert.deepEqual(await tickAt("13:00:00"), { anew: 2, shown: true, page_size: 100 });
    });
  },
});

/** Puts a copy of a folder, with owners and rights, in the place of another. */
async function copy(from: string, to: string): Promise<void> {
  await Deno.remove(to, { recursive: true }).catch(() => {});
  const { success } = await new Deno.Command("cp", { args: ["--archive", from, to] }).output();
  assert.ok(success, `cp ${from} ${to}`);
}
