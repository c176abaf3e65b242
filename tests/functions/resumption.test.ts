/** A sync that is put down is taken up where it stands: budgets, lost answers, another kind of sync in its place. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { type Person, projectTests } from "./support.ts";
import { thirty } from "./interrupted_person.ts";

function failListing(person: Person): void {
  person.project.sandbox.control.faults({
    path: "/scheduled_events",
    user: person.host.uri,
    times: 3,
    effect: { kind: "status", status: 500 },
  });
}

projectTests("Resumption", {
  "an instance stops before the platform ends it": async (project, t) => {
    await t.step(
      "when its requests are spent; clicks finish the work, none of it twice",
      async () => {
        const { person } = await thirty(project);
        await project.set("worker_requests", 10);
        const spent: number[] = [];
        let answer;
        do {
          answer = (await person.sync()).body;
          spent.push(person.requests());
          assert.equal(answer.requests, spent.reduce((sum, requests) => sum + requests));
          if (answer.status === "paused") {
            assert.equal(answer.resume_at, project.now, "due at once");
          }
        } while (answer.status === "paused" && spent.length < 10);
        assert.deepEqual([answer.status, answer.created, answer.requests], ["complete", 30, 33]);
        assert.deepEqual(spent, [10, 10, 10, 3]);
        assert.equal((await person.runs()).length, 1);
        await assertMirrors(person);
        await project.set("worker_requests", 800);
      },
    );

    await t.step("when its time is up, after the step that it is at", async () => {
      const { person } = await thirty(project);
      const held = project.wire.hold("calendly_apply_step", 1);
      const running = person.sync();
      await held.arrived;
      await project.advance("61s");
      held.release();
      const paused = (await running).body;
      assert.deepEqual([paused.status, paused.resume_at, paused.created], [
        "paused",
        project.now,
        20,
      ]);
      assert.equal(paused.reason, undefined);
      const { body } = await person.sync();
      assert.deepEqual([body.run_id, body.status, body.created, body.requests], [
        paused.run_id,
        "complete",
        30,
        33,
      ]);
      await assertMirrors(person);
    });
  },

  "an answer of Postgres that is lost counts once": async (project, t) => {
    await t.step("of a page or of invitees", async () => {
      const { person } = await thirty(project);
      project.wire.loseAnswer("calendly_apply_step", 1);
      project.wire.loseAnswer("calendly_apply_step", 3);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33]);
      assert.deepEqual(body.fetched, { active: 30, canceled: 0 });
      assert.equal(person.requests(), 33);
      await assertMirrors(person);
    });

    await t.step("of a step after which the sync pauses", async () => {
      const { person } = await thirty(project);
      await project.set("worker_requests", 10);
      project.wire.loseAnswer("calendly_apply_step", 3);
      const { status, body } = await person.sync();
      assert.deepEqual([status, body.status, body.requests], [200, "paused", 10]);
      await project.set("worker_requests", 800);
      assert.equal((await person.sync()).body.requests, 33);
    });

    await t.step("of the end", async () => {
      const { person } = await thirty(project);
      project.wire.loseAnswer("calendly_finish_sync");
      const { status, body } = await person.sync();
      assert.deepEqual([status, body.status, body.created], [200, "complete", 30]);
      assert.equal((await person.runs())[0].status, "complete");
    });

    await t.step("of the beginning: the next click goes on when the lease has ended", async () => {
      const { person } = await thirty(project);
      project.wire.loseAnswer("calendly_begin_sync");
      const lost = await person.sync();
      assert.deepEqual([lost.status, lost.body.error.code], [503, "database_unavailable"]);
      assert.ok(lost.body.error.hint);
      const refused = await person.sync();
      assert.deepEqual([refused.status, refused.body.error.code], [409, "sync_in_progress"]);
      await project.advance("3m");
      const { body } = await person.sync();
      assert.equal(body.run_id, refused.body.error.run_id);
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33]);
    });
  },

  "a database that is away": async (project, t) => {
    await t.step("for a moment is waited for", async () => {
      const { person } = await thirty(project);
      project.wire.refuse("calendly_apply_step", 2);
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33]);
    });

    await t.step("for longer ends the call with 503, and the run is taken up later", async () => {
      const { person } = await thirty(project);
      project.wire.next("calendly_apply_step", (forward) => forward());
      project.wire.refuse("calendly_apply_step", 4);
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [503, "database_unavailable"]);
      await project.advance("3m");
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created], ["complete", 30]);
      assert.equal((await person.runs()).length, 1);
      await assertMirrors(person);
    });
  },

  "a paused sync": async (project, t) => {
    const { person } = await thirty(project);
    await person.sync();
    await person.sync();

    await t.step(
      "is resumed by the next click, whatever has happened at Calendly meanwhile",
      async () => {
        await project.advance("1m");
        project.sandbox.control.faults({
          path: "/scheduled_events",
          user: person.host.uri,
          skip: 1,
          times: null,
          effect: { kind: "status", status: 500 },
        });
        const paused = (await person.sync()).body;
        project.sandbox.control.clear_faults();
        assert.deepEqual([paused.status, paused.unchanged], ["paused", 10]);
        const [first] = await person.meetings();
        const [last] = (await person.meetings()).slice(-1);
        project.sandbox.control.cancel({ event: first.calendly_event_uri });
        project.sandbox.control.cancel({ event: last.calendly_event_uri });
        const { body } = await person.sync();
        assert.deepEqual(
          [body.run_id, body.status, body.deleted, body.unchanged],
          [paused.run_id, "complete", 1, 29],
          "the page that was done is done",
        );
        assert.equal((await person.sync()).body.deleted, 1);
        await assertMirrors(person);
      },
    );

    await t.step("that is INCREMENTAL gives way to a forced FULL", async () => {
      failListing(person);
      const paused = (await person.sync()).body;
      assert.equal(paused.status, "paused");
      const { body } = await person.sync({ full: true });
      assert.deepEqual([body.sync_type, body.status], ["FULL", "complete"]);
      assert.notEqual(body.run_id, paused.run_id);
      const replaced = (await person.runs()).find(({ id }) => id === paused.run_id);
      assert.deepEqual([replaced.status, replaced.error.code], ["failed", "replaced"]);
    });

    await t.step("that is INCREMENTAL gives way to a FULL when the flag is cleared", async () => {
      failListing(person);
      const paused = (await person.sync()).body;
      assert.deepEqual([paused.sync_type, paused.status], ["INCREMENTAL", "paused"]);
      await project.stack.sql(
        `update calendly_users set calendly_initial_sync_complete = false where id = ${person.id}`,
      );
      const { body } = await person.sync();
      assert.deepEqual([body.sync_type, body.status], ["FULL", "complete"]);
      assert.notEqual(body.run_id, paused.run_id);
    });

    await t.step("that is FULL is replaced by a forced one, which reads all invitees", async () => {
      const { person } = await thirty(project);
      await project.set("worker_requests", 20);
      assert.equal((await person.sync()).body.requests, 20);
      await project.set("worker_requests", 800);
      const { body } = await person.sync({ full: true });
      assert.deepEqual([body.status, body.requests, body.created], ["complete", 3 + 30, 0]);
    });

    await t.step("keeps the range that it was given", async () => {
      failListing(person);
      const paused = (await person.sync()).body;
      await project.advance("1h");
      assert.deepEqual((await person.sync()).body.range, paused.range);
    });
  },
});
