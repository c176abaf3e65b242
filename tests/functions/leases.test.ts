/** One run per person at a time: by a lease, which whoever stalls or dies loses. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { assertMirrors } from "./mirror.ts";
import { day, projectTests } from "./support.ts";
import { thirty } from "./interrupted_person.ts";

projectTests("Leases", {
  "two syncs of one person at once": async (project) => {
    const { person } = await thirty(project);
    const held = project.wire.hold("calendly_apply_step");
    const first = person.sync();
    await held.arrived;
    const others = await Promise.all([1, 2, 3].map(() => person.sync()));
    others.push(await person.sync({ full: true }));
    held.release();
    const { status, body } = await first;
    assert.deepEqual([status, body.status, body.created], [200, "complete", 30]);
    for (const other of others) {
      assert.equal(other.status, 409);
      const { code, message, hint, run_id } = other.body.error;
      assert.deepEqual([code, run_id], ["sync_in_progress", body.run_id]);
      assert.ok(message && hint);
    }
    assert.equal(person.requests(), 33);
    assert.equal((await person.runs()).length, 1);
  },

  "two people do not wait for each other": async (project) => {
    const [{ person: ann }, { person: bob }] = [await thirty(project), await thirty(project)];
    const held = project.wire.hold("calendly_apply_step");
    const running = ann.sync();
    await held.arrived;
    assert.equal((await bob.sync()).body.status, "complete");
    held.release();
    assert.equal((await running).body.status, "complete");
  },

  "a function that stalls is taken over, and cannot write when it wakes up": async (project) => {
    const { person } = await thirty(project);
    const stalled = project.wire.hold("calendly_apply_step", 1);
    const first = person.sync();
    await stalled.arrived;
    assert.equal((await person.sync()).status, 409, "the lease holds");

    // The stalled function holds the second page as it was before this.
    const [, second] = project.sandbox.truth().scheduled_events
      .filter(({ event }) => event.event_memberships[0].user === person.host.uri)
      .filter((_, place) => place % 10 === 5);
    await project.advance("3m");
    project.sandbox.control.cancel({ event: second.event.uri });
    const { status, body } = await person.sync();
    assert.deepEqual([status, body.status, body.created], [200, "complete", 30]);
    await assertMirrors(person);
    const before = await person.runs();

    stalled.release();
    const woken = await first;
    assert.deepEqual([woken.status, woken.body.error.code], [409, "lease_lost"]);
    assert.ok(woken.body.error.hint);
    await assertMirrors(person);
    assert.deepEqual(await person.runs(), before);
    assert.equal(before.length, 1, "it was one run all the time");
    assert.equal(before[0].id, body.run_id);
  },

  "a function that dies is taken over where it stopped": async (project) => {
    const { person } = await thirty(project);
    project.wire.next("calendly_apply_step", async (forward) => {
      await project.stack.functions.kill("calendly-sync");
      return await forward();
    }, 2);
    const died = await project.fetch("calendly-sync", {
      method: "POST",
      headers: { authorization: `Bearer ${person.account.access_token}` },
    });
    assert.equal(died.status, 500);
    const known = (await person.meetings()).length;
    assert.ok(known >= 20, "what was applied is there");

    const early = await person.sync();
    assert.deepEqual([early.status, early.body.error.code], [409, "sync_in_progress"]);
    await project.advance("3m");
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.created], ["complete", 30]);
    assert.equal(body.run_id, early.body.error.run_id);
    assert.equal(body.requests, 33);
    assert.ok(person.requests() <= 33 + 1, "at most the last page was asked for again");
    await assertMirrors(person);
  },

  "disconnecting ends a running sync, which writes no more": async (project) => {
    const { person } = await thirty(project);
    const held = project.wire.hold("calendly_apply_step", 1);
    const running = person.sync();
    await held.arrived;
    assert.equal((await person.disconnect()).body.state, "disconnected");
    held.release();
    const { status, body } = await running;
    assert.deepEqual([status, body.error.code], [409, "lease_lost"]);
    assert.equal((await person.meetings()).length, 10);
    const [run] = await person.runs();
    assert.deepEqual([run.status, run.error.code], ["failed", "disconnected"]);
  },
});

projectTests("Leases in Postgres", {
  "two people do not wait for each other in Postgres either": async (project) => {
    const [{ person: ann }, { person: bob }] = [await thirty(project), await thirty(project)];
    const sql = postgres(project.stack.databaseUrl, { max: 1, onnotice: () => {} });
    try {
      let finished = false;
      let waiting: ReturnType<typeof ann.sync>;
      await sql.begin(async (transaction) => {
        await transaction`select from calendly_connections where user_id = ${ann.id} for update`;
        await transaction`select from calendly_users where id = ${ann.id} for update`;
        waiting = ann.sync().finally(() => finished = true);
        assert.equal((await bob.sync()).body.status, "complete");
        assert.equal(finished, false);
      });
      assert.equal((await waiting!).body.status, "complete");
    } finally {
      await sql.end();
    }
  },

  "people who share meetings can sync at once": async (project) => {
    const people = [await project.person(), await project.person(), await project.person()];
    const [ann, bob, cho] = people.map(({ host }) => host.uri);
    const { control } = project.sandbox;
    const panel = control.create_event_type({
      user: ann,
      hosts: [bob, cho],
      pooling_type: "collective",
    });
    for (let place = 0; place < 40; place++) {
      control.book({
        event_type: panel.uri,
        start_time: day(1 + place / 10),
        location: "physical",
      });
    }
    for (const full of [false, true]) {
      const answers = await Promise.all(people.map((person) => person.sync({ full })));
      assert.deepEqual(answers.map(({ body }) => body.status), [
        "complete",
        "complete",
        "complete",
      ]);
    }
    for (const person of people) {
      assert.equal((await person.meetings()).length, 40);
      await assertMirrors(person);
    }
  },
}, { on: "real" });
