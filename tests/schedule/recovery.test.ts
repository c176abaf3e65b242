/** The schedule takes up a run that stopped in the middle, once, where it stopped. */
import assert from "node:assert/strict";
import { type Project, projectTest } from "../functions/support.ts";
import {
  allSynced,
  eventually,
  nextMinute,
  people,
  takeRequests,
  tick,
  unfinished,
} from "./support.ts";

const SYNC = "calendly-sync";

/** After `skip` requests, Calendly never answers a listing of events. */
function stall(project: Project, skip = 0): void {
  project.sandbox.control.faults({
    path: "/scheduled_events",
    skip,
    times: null,
    effect: { kind: "stall" },
  });
}

/** Kills the function once so many workers wait for Calendly; then Calendly answers again. */
async function killStalled(project: Project, workers: number): Promise<void> {
  const { control } = project.sandbox;
  await eventually(
    `${workers} workers wait for Calendly`,
    () => Promise.resolve(control.faults()[0].struck >= workers),
  );
  await project.stack.functions.kill(SYNC);
  control.clear_faults();
}

projectTest(
  "a run whose worker hangs in a request is taken over when its lease ends",
  async (project) => {
    const [person] = await people(project, 1, 12);
    await project.set("page_size", 5);
    await project.advance("15m");
    stall(project, 1);
    await tick(project);
    // The second page is asked for while Postgres applies the first.
    await eventually(
      "the first page is applied",
      async () => (await person.runs())[0]?.fetched_active === 5,
    );
    await killStalled(project, 1);

    const [stopped] = await person.runs();
    assert.deepEqual([stopped.status, stopped.fetched_active], ["running", 5]);
    await nextMinute(project);
    assert.equal((await person.runs()).length, 1, "its lease has not ended after a minute");
    takeRequests(project);
    await nextMinute(project);
    await allSynced(project);

    const runs = await person.runs();
    assert.deepEqual(runs.map(({ id, status }) => [id, status]), [[stopped.id, "complete"]]);
    assert.equal((await person.meetings()).length, 12);
    assert.equal(takeRequests(project).total, 2 + 12, "the first page is not listed again");
  },
);

projectTest(
  "after all workers crashed at once, everybody is synced",
  async (project) => {
    const everybody = await people(project, 25, 1);
    await project.set("max_workers", 2);
    await project.advance("15m");
    stall(project);
    await tick(project);
    await killStalled(project, 2);
    await nextMinute(project);
    assert.equal(
      await unfinished(project),
      25,
      "the crashed workers keep all slots until their leases end",
    );
    await nextMinute(project);
    await allSynced(project);
    for (const person of everybody) {
      assert.deepEqual((await person.runs()).map(({ status }) => status), ["complete"]);
      assert.equal((await person.meetings()).length, 1);
    }
  },
);

projectTest(
  "a worker that answers after its run was taken over cannot write, and claims another run",
  async (project) => {
    const [person] = await people(project, 1);
    await project.advance("15m");
    const held = project.wire.hold("calendly_apply_step");
    await tick(project);
    await held.arrived;
    await nextMinute(project);
    const [late] = await people(project, 1);
    await nextMinute(project);
    await eventually(
      "the worker that took over is done",
      async () => (await person.runs())[0].status === "complete",
    );
    const before = JSON.stringify(await person.runs());
    await project.advance("15m");
    held.release();
    await eventually(
      "the person who connected later is synced by the worker that answered late",
      async () => (await late.runs())[0]?.status === "complete",
    );
    await eventually("it logs lease_lost", () =>
      Promise.resolve(
        project.stack.functions.logs(SYNC).some((line) => line.includes("lease_lost")),
      ));
    assert.equal(JSON.stringify((await person.runs()).slice(-1)), before);
  },
);

projectTest("a failing connection does not delay the others", async (project, t) => {
  const [broken, ...others] = await people(project, 4, 1);
  await project.advance("15m");
  await t.step(
    "an unforeseen error of one connection",
    async () => {
      // such as a trigger of the app that fails for this person's meetings
      await project.stack.sql(
        `create function public.app_trigger() returns trigger language plpgsql
         as 'begin perform 1 / 0; return new; end'`,
      );
      await project.stack.sql(
        `create trigger app_trigger before insert on public.calendly_meetings
         for each row when (new.user_id = ${broken.id}) execute function public.app_trigger()`,
      );
      await project.set("max_workers", 1);
      await tick(project);
      await eventually("all others are synced by the one worker", async () => {
        const runs = await Promise.all(others.map((person) => person.runs()));
        return runs.every(([run]) => run?.status === "complete");
      });
    },
  );
  await t.step("it is tried less and less often, and there is an alert", async () => {
    for (let minute = 0; minute < 10; minute++) {
      await nextMinute(project);
      await allSynced(project);
    }
    const runs = await broken.runs();
    assert.ok(runs.length >= 3 && runs.length <= 6, `${runs.length} tries in ten minutes`);
    assert.deepEqual([...new Set(runs.map(({ status }) => status))], ["failed"]);
    assert.deepEqual(
      await project.stack.sql("select code, user_id from public.calendly_alerts"),
      [{ code: "failing", user_id: broken.id }],
    );
  });
});

projectTest(
  "a click during a scheduled run is answered with 409 and that run's id",
  async (project) => {
    const [person] = await people(project, 1);
    await project.advance("15m");
    const held = project.wire.hold("calendly_apply_step");
    await tick(project);
    await held.arrived;
    const [run] = await person.runs();
    const { status, body } = await person.sync();
    assert.deepEqual([status, body.error.code, body.error.run_id], [
      409,
      "sync_in_progress",
      run.id,
    ]);
    held.release();
    await allSynced(project);
    assert.deepEqual((await person.runs()).map(({ status }) => status), ["complete"]);
  },
);
