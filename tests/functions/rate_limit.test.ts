/** Calendly's rate limit is kept, waited for where that is quick, and paused for where it is not. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, projectTest } from "./support.ts";
import { INVITEES, LISTING, thirty } from "./interrupted_person.ts";

projectTest("the rate limit", async (project, t) => {
  for (
    const [where, path, skip] of [["listing", LISTING, 1], ["invitees", INVITEES, 12]] as const
  ) {
    await t.step(`a 429 amid the ${where} that resets in time is waited for`, async () => {
      const { person, strike } = await thirty(project);
      strike(path, { kind: "rate_limited", reset: 1 }, { skip });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 1]);
      assert.ok(body.duration_ms >= 1000, `${body.duration_ms} ms`);
      assert.equal(person.requests(), 33 + 1);
      await assertMirrors(person);
    });

    await t.step(`a 429 amid the ${where} that resets too late pauses until then`, async () => {
      const { person, strike } = await thirty(project);
      strike(path, { kind: "rate_limited", reset: 3600 }, { skip });
      const paused = (await person.sync()).body;
      assert.deepEqual(
        [paused.status, paused.resume_at, paused.reason.code],
        ["paused", day(1 / 24, project.now), "rate_limited"],
      );
      assert.equal(person.requests(), paused.requests);
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.requests], ["paused", paused.requests]);
      assert.equal((await person.row()).calendly_initial_sync_complete, false);

      strike(path, { kind: "rate_limited", reset: 3600 });
      const tooEarly = (await person.sync()).body;
      assert.deepEqual([tooEarly.status, tooEarly.resume_at], ["paused", paused.resume_at]);
      assert.equal(person.requests(), 1, "a click asks whether it is so");

      const { body } = await person.sync();
      assert.equal(body.run_id, paused.run_id);
      assert.deepEqual([body.status, body.created, body.requests], ["complete", 30, 33 + 2]);
      assert.equal(person.requests(), body.requests - tooEarly.requests);
      await assertMirrors(person);
    });
  }

  await t.step("a limit that other apps have used up is not run into", async () => {
    const { person } = await thirty(project);
    // One for connecting, three pages and sixteen invitees; then it must wait for the next minute.
    project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: 20 });
    await project.set("worker_time", "30 seconds");
    const paused = (await person.sync()).body;
    assert.deepEqual([paused.status, paused.reason.code, paused.requests], [
      "paused",
      "rate_limited",
      19,
    ]);
    await project.advance("2m");
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.requests], ["complete", 33]);
    assert.equal(project.sandbox.control.requests({ user: person.host.uri, status: 429 }).count, 0);
    await assertMirrors(person);
  });
}, { shortenPauses: 1 }); // or it could not be told from the syncs' own time that they waited
