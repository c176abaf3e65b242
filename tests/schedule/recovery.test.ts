/** What stops in the middle is taken up by the schedule, once, where it stopped. */
import assert from "node:assert/strict";
import { type Project, projectTest } from "../functions/support.ts";
import { allSynced, asked, eventually, nextMinute, people, tick, working } from "./support.ts";

const SYNC = "calendly-sync";

/** From now on, after `skip` requests, Calendly never answers who lists events. */
function stall(project: Project, skip = 0): void {
  project.sandbox.control.faults({
    path: "/scheduled_events",
    skip,
    times: null,
    effect: { kind: "stall" },
  });
}

/** Once so many instances wait for Calendly, ends them; then Calendly answers again. */
async function killStalled(project: Project, instances: number): Promise<void> {
  const { control } = project.sandbox;
  await eventually(
    `${instances} instances wait for Calendly`,
    () => Promise.resolve(control.faults()[0].struck >= instances),
  );
  await project.stack.functions.kill(SYNC);
  control.clear_faults();
}

projectTest(
  "an instance whose fetch never returns is taken over when its lease ends",
  async (project) => {
    const [person] = await people(project, 1, 12);
    await project.set("page_size", 5);
    await project.advance("15m");
    stall(project, 1);
    await tick(project);
    await killStalled(project, 1);

    const [dead] = await person.runs();
    assert.deepEqual([dead.status, dead.fetched_active], ["running", 5]);
    await nextMinute(project);
    assert.equal((await person.runs()).length, 1, "after a minute its lease still holds");
    asked(project);
    await nextMinute(project);
    await allSynced(project);

    const runs = await person.runs();
    assert.deepEqual(runs.map(({ id, status }) => [id, status]), [[dead.id, "complete"]]);
    assert.equal((await person.meetings()).length, 12);
    assert.equal(asked(project).total, 2 + 12, "the first page is not read again");
  },
);

projectTest(
  "twenty instances die at once, and everybody is synced all the same",
  async (project) => {
    const everybody = await people(project, 25, 1);
    await project.advance("15m");
    stall(project);
    await tick(project);
    await killStalled(project, 20);
    await nextMinute(project);
    assert.equal(await working(project), 25, "for two minutes all places are taken by the dead");
    await nextMinute(project);
    await allSynced(project);
    for (const person of everybody) {
      assert.deepEqual((await person.runs()).map(({ status }) => status), ["complete"]);
      assert.equal((await person.meetings()).length, 1);
    }
  },
);

projectTest(
  "one that wakes up after it was taken over cannot write, and goes on with others",
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
      "its heir is done",
      async () => (await person.runs())[0].status === "complete",
    );
    const before = JSON.stringify(await person.runs());
    await project.advance("15m");
    held.release();
    await eventually(
      "the late one is synced by whoever woke up",
      async () => (await late.runs())[0]?.status === "complete",
    );
    await eventually("it has noticed", () =>
      Promise.resolve(
        project.stack.functions.logs(SYNC).some((line) => line.includes("lease_lost")),
      ));
    assert.equal(JSON.stringify((await person.runs()).slice(-1)), before);
  },
);

projectTest("what goes wrong with one connection is nobody else's trouble", async (project, t) => {
  const [broken, ...others] = await people(project, 4);
  await project.advance("15m");
  await t.step(
    "what no rule foresees",
    async () => {
      // such as a connection without a credential
      await project.stack.sql(
        `delete from calendly.credentials where connection_id =
         (select id from public.calendly_connections where user_id = $1)`,
        [broken.id],
      );
      await project.set("instances", 1);
      await tick(project);
      await eventually("all others are synced by the one instance", async () => {
        const runs = await Promise.all(others.map((person) => person.runs()));
        return runs.every(([run]) => run?.status === "complete");
      });
    },
  );
  await t.step("it is tried less and less often, and alerts somebody", async () => {
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

projectTest("a click beside the schedule: one of them runs", async (project) => {
  const [person] = await people(project, 1);
  await project.advance("15m");
  const held = project.wire.hold("calendly_apply_step");
  await tick(project);
  await held.arrived;
  const [run] = await person.runs();
  const { status, body } = await person.sync();
  assert.deepEqual([status, body.error.code, body.error.run_id], [409, "sync_in_progress", run.id]);
  held.release();
  await allSynced(project);
  assert.deepEqual((await person.runs()).map(({ status }) => status), ["complete"]);
});
