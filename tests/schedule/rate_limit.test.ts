/** Calendly's rate limit is kept: scheduled work leaves a fifth of it to a click, and 429 never comes. */
import assert from "node:assert/strict";
import { projectTest } from "../functions/support.ts";
import { allSynced, eventually, nextMinute, people, takeRequests, tick } from "./support.ts";

projectTest(
  "scheduled work leaves a fifth of the rate limit, and a click uses it",
  async (project) => {
    const [person] = await people(project, 1, 100);
    await project.set("worker_time", "30 seconds"); // too short to wait for a reset
    project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: 50 });
    await project.advance("15m");
    takeRequests(project);

    await tick(project);
    await eventually("the run pauses", async () => (await person.runs())[0]?.status === "paused");
    const [run] = await person.runs();
    assert.deepEqual(takeRequests(project), { total: 40, refused: 0 });
    assert.equal(run.error.code, "rate_limited");
    assert.equal(run.requests, 40);
    await tick(project);
    await allSynced(project);
    assert.equal(
      takeRequests(project).total,
      0,
      "the schedule does not resume it before the reset",
    );

    const { body } = await person.sync();
    assert.deepEqual([body.run_id, body.status, body.requests], [run.id, "paused", 50]);
    assert.deepEqual(takeRequests(project), { total: 10, refused: 0 });

    await nextMinute(project);
    await eventually("the run pauses again", async () => {
      const [{ status, requests }] = await person.runs();
      return status === "paused" && requests === 90;
    });
    assert.deepEqual(takeRequests(project), { total: 40, refused: 0 });
    await nextMinute(project);
    await allSynced(project);
    assert.deepEqual(takeRequests(project), { total: 11, refused: 0 });
    const runs = await person.runs();
    assert.deepEqual(
      runs.map(({ id, status, requests, created }) => [id, status, requests, created]),
      [[run.id, "complete", 101, 100]],
    );
  },
);

projectTest(
  "syncs of large and small calendars for 40 minutes are never answered with 429",
  async (project) => {
    const { control } = project.sandbox;
    const large = await project.person({ events: 300 });
    const everybody = [large, ...await people(project, 5, 20)];
    for (const person of everybody.slice(3)) {
      control.set_rate_limit({ user: person.host.uri, limit: 50 });
    }
    await project.set("worker_time", "30 seconds");
    takeRequests(project);
    let refused = 0;
    for (let minute = 0; minute < 40; minute++) {
      await nextMinute(project);
      await eventually("no run is running", async () => {
        const [{ n }] = await project.stack.sql(
          `select count(*)::integer as n from public.calendly_sync_runs where status = 'running'`,
        );
        return n === 0;
      });
      if (minute === 20) await Promise.all(everybody.map((person) => person.sync()));
      refused += takeRequests(project).refused;
    }
    assert.equal(refused, 0);
    for (const person of everybody) {
      assert.equal((await person.row()).calendly_initial_sync_complete, true);
    }
  },
  { on: "real" },
);
