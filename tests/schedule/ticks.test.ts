/** The schedule, run by the local stack's ticker as pg_cron runs it on the platform. */
import assert from "node:assert/strict";
import { projectTest } from "../functions/support.ts";
import {
  allSynced,
  nextMinute,
  people,
  takeRequests,
  tick,
  tickBetween,
  unfinished,
} from "./support.ts";

projectTest("one tick syncs the people who are due, and nobody else", async (project) => {
  const due = await people(project, 3, 2);
  await project.advance("15m");
  const [notDue] = await people(project, 1);
  takeRequests(project);
  await tick(project);
  await allSynced(project);
  for (const person of due) {
    assert.deepEqual(
      (await person.runs()).map(({ trigger, sync_type, status }) => [trigger, sync_type, status]),
      [["scheduled", "FULL", "complete"]],
    );
    assert.equal((await person.meetings()).length, 2);
  }
  assert.deepEqual(await notDue.runs(), []);
  assert.equal(
    takeRequests(project).total,
    3 * 3,
    "a page and the invitees of two events for each",
  );
});

projectTest(
  "everybody is synced every 15 minutes, by one run each time",
  async (project) => {
    const everybody = await people(project, 3);
    for (let minute = 0; minute < 46; minute++) {
      await nextMinute(project);
      await allSynced(project);
    }
    for (const person of everybody) {
      const begun = (await person.runs()).map(({ started_at }) => String(started_at).slice(11, 16));
      assert.deepEqual(begun, ["10:45", "10:30", "10:15"]);
    }
  },
);

projectTest("a person whose webhooks arrive is synced every six hours", async (project) => {
  const [person] = await people(project, 1);
  await project.advance("15m");
  await tick(project);
  await allSynced(project);
  await project.stack.sql(
    "update public.calendly_users set calendly_webhook_enabled = true where id = $1",
    [
      person.id,
    ],
  );
  await person.sync();
  await project.advance("5h");
  await tick(project);
  assert.equal(await unfinished(project), 0);
  assert.equal((await person.runs()).length, 2);
  await project.advance("1h");
  await tick(project);
  await allSynced(project);
  assert.equal((await person.runs()).length, 3);
});

projectTest(
  "after ten minutes of lost nudges everybody is synced once, and the alert ends",
  async (project) => {
    const everybody = await people(project, 5, 1);
    await project.advance("15m");
    const nudges: unknown[] = [];
    for (let minute = 0; minute < 10; minute++) {
      await project.advance("1m");
      nudges.push(...await project.stack.sql("select calendly.nudge() as sent"));
      await project.stack.sql("delete from net.http_request_queue");
    }
    assert.deepEqual(nudges, [5, 1, 1, 1, 1, 1, 0, 0, 0, 0].map((sent) => ({ sent })));
    const alerts = () => project.stack.sql("select code from public.calendly_alerts");
    assert.deepEqual(await alerts(), [{ code: "functions_unreachable" }]);
    await nextMinute(project); // the minute in which it tries again
    await allSynced(project);
    for (const person of everybody) {
      assert.deepEqual((await person.runs()).map(({ status }) => status), ["complete"]);
    }
    assert.deepEqual(await alerts(), []);
  },
);

projectTest(
  "the cleaning jobs delete more than one slice of each table",
  async (project) => {
    const { stack } = project;
    const [person] = await people(project, 1);
    await stack.sql(
      `insert into public.calendly_webhook_events (event_id, event_type, payload, created_at, status)
       select n, 'invitee.created', '{}', calendly.now() - interval '31 days', 'processed'
       from generate_series(1, 12000) n`,
    );
    await stack.sql(
      `insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type,
         min_start_time, max_start_time, status, started_at, heartbeat_at, finished_at)
       select id, user_id, 'x', 'scheduled', 'FULL', day, day, 'complete', day, day, day
       from public.calendly_connections, generate_series(1, 6000),
         (select calendly.now() - interval '91 days' as day) long_ago
       where user_id = $1`,
      [person.id],
    );
    await stack.sql(
      `insert into cron.job_run_details (jobid, runid, status, start_time, end_time)
       select jobid, 1000000 + jobid, 'succeeded', ended_at, ended_at
       from cron.job, (select now() - interval '8 days' as ended_at) long_ago`,
    );
    await tickBetween(project, "2026-03-02T03:00:00Z", "2026-03-02T04:00:00Z");
    assert.deepEqual(
      await stack.sql(
        `select j.jobname, d.status, d.return_message from cron.job_run_details d
         join cron.job j using (jobid) where j.jobname like 'calendly-clean%' order by j.jobname`,
      ),
      ["job-log", "runs", "webhook-events"].map((name) => ({
        jobname: `calendly-clean-${name}`,
        status: "succeeded",
        return_message: null,
      })),
    );
    assert.deepEqual(
      await stack.sql(
        `select (select count(*) from public.calendly_webhook_events)::integer as events,
           (select count(*) from public.calendly_sync_runs)::integer as runs,
           (select count(*) from cron.job_run_details where runid > 1000000)::integer as entries`,
      ),
      [{ events: 0, runs: 0, entries: 0 }],
    );
  },
);
