/**
 * The real pg_cron on a real Postgres: it runs the jobs of the migrations once a minute of real time, they
 * nudge the functions, and go on after Postgres crashed in the middle of a tick.
 */
import assert from "node:assert/strict";
import { type Person, Project } from "../functions/support.ts";
import { Cluster } from "../harness/cluster.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "./support.ts";

/** Seconds within which a tick comes: each full minute. */
const A_TICK = 75;

Deno.test({
  ...needing(
    "pg_cron runs the schedule, and goes on after a crash of Postgres",
    "postgresServer",
    "longRun",
  ),
  async fn(t) {
    await using cluster = await Cluster.start();
    await using project = await Project.start("embedded", {
      databaseUrl: cluster.url,
      cron: true,
    });
    const { stack } = project;
    const admin = cluster.connect();
    await stack.sql("select calendly.set_clock(null)"); // pg_cron uses real time
    try {
      await t.step("the migrations schedule their jobs with pg_cron", async () => {
        const [{ extversion }] = await admin`
          select extversion from pg_extension where extname = 'pg_cron'`;
        assert.ok(extversion);
        const jobs = await admin`
          select jobname, username, active from cron.job where jobname like 'calendly-%' order by 1`;
        assert.deepEqual(
          jobs.map(({ jobname, username, active }) => [jobname, username, active]),
          [
            "accounts",
            "clean-job-log",
            "clean-runs",
            "clean-webhook-events",
            "nudge",
            "settle-deliveries",
          ]
            .map((name) => [`calendly-${name}`, "postgres", true]),
        );
      });

      const everybody: Person[] = [];
      while (everybody.length < 3) everybody.push(await project.person());
      const makeDue = () =>
        admin`update public.calendly_connections set next_sync_at = calendly.now()`;
      const synced = async (times: number) => {
        const runs = await Promise.all(everybody.map((person) => person.runs()));
        return runs.every((runs) =>
          runs.length === times && runs.every(({ status }) => status === "complete")
        );
      };
      await admin`insert into public.calendly_webhook_events
          (event_id, event_type, payload, created_at, status)
        select n, 'invitee.created', '{}', now() - interval '5 years', 'processed'
        from generate_series(1, 12000) n`;
      await admin`insert into cron.job_run_details (jobid, runid, username, status, start_time, end_time)
        select jobid, 1000000 + jobid, username, 'succeeded', ended_at, ended_at
        from cron.job, (select now() - interval '8 days' as ended_at) long_ago`;
      // hourly and nightly jobs, too, run within a minute
      await admin`select cron.alter_job(jobid, schedule := '* * * * *') from cron.job`;

      await t.step("the jobs sync the people who are due, and clean up", async () => {
        await makeDue();
        await eventually("everybody is synced", () => synced(1), A_TICK);
        await eventually("all is clean", async () => {
          const [{ events, entries }] = await admin`
            select (select count(*) from public.calendly_webhook_events)::integer as events,
              (select count(*) from cron.job_run_details where runid > 1000000)::integer as entries`;
          return events === 0 && entries === 0;
        });
        const failures = await admin`
          select return_message from cron.job_run_details where status = 'failed'`;
        assert.deepEqual([...failures], []);
      });

      await t.step(
        "after a crash in the middle of a tick, the next tick syncs everybody",
        async () => {
          await makeDue();
          const holder = cluster.connect();
          const session = await holder.reserve();
          await session`begin`;
          await session`select from calendly.project for update`;
          await eventually("a tick is in the middle", async () => {
            const [{ n }] = await admin`
            select count(*)::integer as n from pg_stat_activity
            where query = 'select calendly.nudge()' and wait_event_type = 'Lock'`;
            return n > 0;
          }, A_TICK);
          await cluster.restart("immediate");
          await holder.end({ timeout: 1 });
          await eventually(
            "everybody is synced again",
            // connections from before the crash fail once
            () => synced(2).catch(() => false),
            A_TICK * 2,
          );
        },
      );

      await t.step("nobody was synced twice at once, and no run is active", async () => {
        const [{ overlaps, active }] = await stack.sql(
          `select (select count(*)::integer from public.calendly_sync_runs a
               join public.calendly_sync_runs b on a.user_id = b.user_id and a.id < b.id
                 and (a.started_at, a.finished_at) overlaps (b.started_at, b.finished_at)) as overlaps,
             (select count(*)::integer from calendly.active_runs) as active`,
        );
        assert.deepEqual([overlaps, active], [0, 0]);
      });
    } finally {
      await admin.end();
    }
  },
});
