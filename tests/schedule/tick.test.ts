/** The setting tick on the pg_cron that is installed: it changes the job, or is refused by version. */
import assert from "node:assert/strict";
import { openPostgres, prepare } from "../../local/database.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing } from "../harness/requirements.ts";

Deno.test({
  ...needing("pg_cron ticks every few seconds, or the setting is refused", "postgresServer"),
  async fn() {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    try {
      await prepare(database, { seed: false });
      const [{ version, capable }] = await database.query<{ version: string; capable: boolean }>(
        `select e.extversion as version, calendly.ticks_in_seconds(e.extversion) as capable
         from pg_extension e where e.extname = 'pg_cron'`,
      );
      const change = () =>
        database.command("service_role", `select calendly_configure('{"tick": "20 seconds"}')`);
      const jobs = () =>
        database.query(
          "select schedule, username from cron.job where jobname = 'calendly-nudge'",
        );
      if (capable) await change();
      else {
        await assert.rejects(change, {
          message:
            `The tick cannot be 00:00:20: pg_cron ${version} runs a job once a minute at most.`,
          detail: "tick_not_supported",
          hint: /pg_cron 1\.5 or newer/,
        });
      }
      assert.deepEqual(await jobs(), [{
        schedule: capable ? "20 seconds" : "* * * * *",
        username: "postgres",
      }]);
      const [{ tick }] = await database.query("select tick from calendly.settings");
      assert.equal(tick, capable ? "00:00:20" : "00:01:00");

      // What a new pg_cron after an upgrade of Postgres lacks.
      await database.command("postgres", "select cron.unschedule('calendly-nudge')");
      await database.command("postgres", "select calendly.schedule_jobs()");
      assert.equal((await jobs()).length, 1);
      const [{ all }] = await database.query(
        "select count(*)::integer as all from cron.job where jobname like 'calendly-%'",
      );
      assert.equal(all, 6);
    } finally {
      await database.close();
    }
  },
});
